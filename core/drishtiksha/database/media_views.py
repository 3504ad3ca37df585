"""A media with its runs as readers want it: loaded in few statements, frames evenly spaced where there are many."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from .children import Children, Depth, children_of
from .tables import Analysis, FrameAnalysis, Media, Run


class FrameSeen(NamedTuple):
    """One frame of an analysis: `score` is P(fake), `timestamp` in seconds."""

    frame_number: int
    score: float
    prediction: str
    timestamp: float | None


@dataclass(frozen=True)
class MediaView:
    """One media with the runs that were asked for, newest first. `media.user`, `.video`, `.image`, `.audio` and each
    run's analyses are loaded. `children` and `frames`: rows by analysis id; frames are empty in lists."""

    media: Media
    runs: Sequence[Run]
    children: dict[uuid.UUID, Children]
    frames: dict[uuid.UUID, list[FrameSeen]] = field(default_factory=dict)


MAX_FRAMES_SHOWN = 20_000


WITH_FACTS = (joinedload(Media.user), joinedload(Media.video), joinedload(Media.image), joinedload(Media.audio))


def of_owner(user_id: uuid.UUID) -> Select[Media]:
    """The query for a user's live media with what the probe saw."""
    return select(Media).where(Media.user_id == user_id, Media.deleted_at.is_(None)).options(*WITH_FACTS)


async def runs_where(
    session: AsyncSession, condition: Any, depth: Depth
) -> tuple[Sequence[Run], dict[uuid.UUID, Children]]:
    """Runs with their analyses, highest number first, and the children of these."""
    query = select(Run).where(condition).order_by(Run.number.desc()).options(selectinload(Run.analyses))
    runs = (await session.scalars(query)).all()
    return runs, await children_of(session, [a.id for run in runs for a in run.analyses], depth)


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
