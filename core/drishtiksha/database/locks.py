"""Row locks in the one order that everybody keeps: media, run, analysis (by id), attempt; event_counters last.

A statement with `FOR UPDATE OF a, b` locks the rows of one result in the order in which OF names them, and returns
them as they are once they are locked (a test holds PostgreSQL to both).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from ..domain.errors import NotFound
from ..domain.events import Event, processing_started
from ..domain.status import AnalysisStatus, RunStatus, run_status
from .tables import Analysis, Attempt, Media, Run


async def lock_run(session: AsyncSession, run_id: uuid.UUID) -> tuple[Media, Run]:
    """The media and the run, locked. Raises NotFound when they are gone."""
    both = select(Media, Run).join(Run, Run.media_id == Media.id).where(Run.id == run_id)
    found = (await session.execute(both.with_for_update(of=[Media, Run]))).one_or_none()
    if found is None:
        raise NotFound(f"there is no run {run_id}")
    media, run = found.tuple()
    return media, run


async def lock_analyses(session: AsyncSession, run_id: uuid.UUID) -> Sequence[Analysis]:
    """All analyses of a locked run, locked by id."""
    found = select(Analysis).where(Analysis.run_id == run_id).order_by(Analysis.id).with_for_update()
    return (await session.scalars(found)).all()


@dataclass(frozen=True)
class LockedAttempt:
    """An attempt and all that stands above it, locked."""

    media: Media
    run: Run
    analysis: Analysis
    attempt: Attempt

    @property
    def may_write(self) -> bool:
        """Whether this attempt is the current one of a live analysis of a live run of a live media."""
        return (
            self.media.deleted_at is None
            and self.run.finished_at is None
            and self.run.cancel_requested_at is None
            and self.analysis.attempt == self.attempt.number
            and self.analysis.status in (AnalysisStatus.PENDING, AnalysisStatus.PROCESSING)
            and self.attempt.state in ("CREATED", "STARTED")
        )


async def lock_attempt(session: AsyncSession, attempt_id: uuid.UUID) -> LockedAttempt:
    """The attempt with everything above it, locked in order. Raises NotFound."""
    all_four = (
        select(Media, Run, Analysis, Attempt)
        .select_from(Attempt)
        .join(Analysis, Analysis.id == Attempt.analysis_id)
        .join(Run, Run.id == Analysis.run_id)
        .join(Media, Media.id == Run.media_id)
        .where(Attempt.id == attempt_id)
        .with_for_update(of=[Media, Run, Analysis, Attempt])
    )
    found = (await session.execute(all_four)).one_or_none()
    if found is None:
        raise NotFound(f"there is no attempt {attempt_id}")
    media, run, analysis, attempt = found.tuple()
    return LockedAttempt(media, run, analysis, attempt)


async def advance(session: AsyncSession, media: Media, run: Run) -> list[Event]:
    """QUEUED → PROCESSING of a locked run and its media, once an analysis has left PENDING. Never a terminal status.

    Part of every verb that moves an analysis out of PENDING; returns the event to append.
    """
    if run.status != RunStatus.QUEUED:
        return []
    await session.flush()
    statuses = await session.scalars(select(Analysis.status).where(Analysis.run_id == run.id))
    if run_status(run.frozen_at is not None, map(AnalysisStatus, statuses)) is not RunStatus.PROCESSING:
        return []
    run.status = RunStatus.PROCESSING
    run.started_at = func.now()
    await session.flush()
    if media.latest_run_id == run.id and media.deleted_at is None:
        media.status = RunStatus.PROCESSING
        media.updated_at = func.now()
    return [processing_started()]
