"""The children of analyses as readers want them: plain rows, one statement per table for however many analyses.

Entities would cost more than all the queries: a list of fifty media has hundreds of these rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ARRAY, Select, Uuid, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from . import tables

Child = Any
"""A row by the names of its columns."""


class Depth(Enum):
    """How much of an analysis is loaded, and shown."""

    FULL = "full"
    LIST = "list"
    """Series and regions are empty, as are arrays per frame; attempts are not loaded."""
    SUMMARY = "summary"
    """Only the analysis' own columns; all its children are left out."""


@dataclass
class Children:
    """What belongs to one analysis; what was not asked for is empty."""

    errors: list[Child] = field(default_factory=list)
    metrics: list[Child] = field(default_factory=list)
    facts: list[Child] = field(default_factory=list)
    limits: list[Child] = field(default_factory=list)
    artifacts: list[Child] = field(default_factory=list)
    series: list[Child] = field(default_factory=list)
    regions: list[Child] = field(default_factory=list)
    attempts: list[Child] = field(default_factory=list)
    details: Child | None = None
    temporal: Child | None = None
    audio: Child | None = None
    image: Child | None = None
    model_info: Child | None = None
    system_info: Child | None = None


_MANY: dict[str, tuple[type[tables.Base], str]] = {
    "errors": (tables.AnalysisError, "created_at"),
    "metrics": (tables.AnalysisMetric, "name"),
    "facts": (tables.AnalysisFact, "name"),
    "limits": (tables.AnalysisLimit, "position"),
    "artifacts": (tables.Artifact, "name"),
}
_MANY_IN_FULL: dict[str, tuple[type[tables.Base], str]] = {
    "series": (tables.EvidenceSeries, "position"),
    "regions": (tables.EvidenceRegion, "position"),
    "attempts": (tables.Attempt, "number"),
}
"""By the field of `Children` the table and the column that sorts it."""
_ONE: dict[str, type[tables.Base]] = {
    "details": tables.AnalysisDetails,
    "temporal": tables.TemporalAnalysis,
    "audio": tables.AudioAnalysis,
    "image": tables.ImageAnalysis,
    "model_info": tables.ModelInfo,
    "system_info": tables.SystemInfo,
}


async def children_of(session: AsyncSession, analyses: Sequence[uuid.UUID], depth: Depth) -> dict[uuid.UUID, Children]:
    """The children of each of these analyses, as many as `depth` wants."""
    found = {one: Children() for one in analyses}
    if depth is Depth.SUMMARY or not analyses:
        return found
    for name, (table, order) in (_MANY | (_MANY_IN_FULL if depth is Depth.FULL else {})).items():
        for row in await session.execute(_of(table, analyses).order_by(table.__table__.c[order])):
            getattr(found[row.analysis_id], name).append(_child(row))
    for name, table in _ONE.items():
        for row in await session.execute(_of(table, analyses)):
            setattr(found[row.analysis_id], name, _child(row))
    return found


def _of(table: type[tables.Base], analyses: Sequence[uuid.UUID]) -> Select[*tuple[Any, ...]]:
    # One array, not a list of values: the statement is the same text for any number of analyses, and is prepared once.
    wanted = any_(literal(list(analyses), ARRAY(Uuid)))
    return select(table.__table__).where(table.__table__.c.analysis_id == wanted)


def _child(row: Any) -> Child:
    return SimpleNamespace(**row._mapping)  # by name: a row of SQLAlchemy has a `t` of its own
