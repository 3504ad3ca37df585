"""A media with its runs as readers want it: loaded in few statements, frames evenly spaced where there are many."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from .tables import Analysis, FrameAnalysis, Media, Run


class Depth(Enum):
    """How much of an analysis is loaded, and shown."""

    FULL = "full"
    LIST = "list"
    """Series and regions are empty, as are arrays per frame; attempts are not loaded."""
    SUMMARY = "summary"
    """Only the analysis' own columns; all its children are left out."""


class FrameSeen(NamedTuple):
    """One frame of an analysis: `score` is P(fake), `timestamp` in seconds."""

    frame_number: int
    score: float
    prediction: str
    timestamp: float | None


@dataclass(frozen=True)
class MediaView:
    """One media with the runs that were asked for, newest first. `media.user`, `.video`, `.image`, `.audio` and each
    analysis' children are loaded. `frames`: rows by analysis id, empty in lists."""

    media: Media
    runs: Sequence[Run]
    frames: dict[uuid.UUID, list[FrameSeen]] = field(default_factory=dict)


_CHILDREN = (
    Analysis.errors, Analysis.metrics, Analysis.facts, Analysis.limits, Analysis.details,
    Analysis.temporal, Analysis.audio, Analysis.image, Analysis.model_info, Analysis.system_info, Analysis.artifacts,
)  # fmt: skip
_EVIDENCE = (Analysis.series, Analysis.regions, Analysis.attempts)
MAX_FRAMES_SHOWN = 20_000


WITH_FACTS = (selectinload(Media.user), selectinload(Media.video), selectinload(Media.image), selectinload(Media.audio))


def of_owner(user_id: uuid.UUID) -> Select[Media]:
    """The query for a user's live media with what the probe saw."""
    return select(Media).where(Media.user_id == user_id, Media.deleted_at.is_(None)).options(*WITH_FACTS)


async def runs_where(session: AsyncSession, condition: Any, depth: Depth) -> Sequence[Run]:
    """Runs with their analyses, and of these as many children as `depth` wants."""
    children = {Depth.SUMMARY: (), Depth.LIST: _CHILDREN, Depth.FULL: (*_CHILDREN, *_EVIDENCE)}[depth]
    loaded = [selectinload(Run.analyses).selectinload(child) for child in children]
    query = select(Run).where(condition).order_by(Run.number.desc()).options(selectinload(Run.analyses), *loaded)
    return (await session.scalars(query)).all()


async def frames_of(session: AsyncSession, analysis: Analysis) -> list[FrameSeen]:
    """An analysis' frames by number; every n-th when there are more than MAX_FRAMES_SHOWN."""
    step = -(-(analysis.frames_total or 0) // MAX_FRAMES_SHOWN)
    row = FrameAnalysis
    query = select(row.frame_number, row.score, row.prediction, row.timestamp).where(row.analysis_id == analysis.id)
    if step > 1:
        position = func.row_number().over(order_by=row.frame_number).label("position")
        numbered = select(row.frame_number, position).where(row.analysis_id == analysis.id).subquery()
        kept = select(numbered.c.frame_number).where((numbered.c.position - 1) % step == 0)
        query = query.where(row.frame_number.in_(kept))
    return [FrameSeen(*seen) for seen in await session.execute(query.order_by(row.frame_number))]
