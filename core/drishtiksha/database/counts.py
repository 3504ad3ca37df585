"""Numbers about the whole platform, for monitoring and metrics: counts, never anything of one person's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from ..domain.status import AnalysisStatus, RunStatus
from .runs import OPEN_RUN
from .session import Database
from .tables import Analysis, Media, Run


@dataclass(frozen=True)
class QueueCounts:
    """Analyses waiting, running, completed, failed; delayed: waiting for a retry, or once per run for discovery."""

    pending: int
    active: int
    completed: int
    failed: int
    delayed: int


@dataclass(frozen=True)
class Gauges:
    """`analyses` by (state, model), `runs` by state; seconds that the oldest unfinished work waits for its start."""

    analyses: dict[tuple[str, str], int]
    runs: dict[str, int]
    oldest_pending_seconds: float


@dataclass(frozen=True)
class Outcome:
    """How analyses ended; of the successful ones `timed` told how long they took, `seconds` all together."""

    successful: int = 0
    failed: int = 0
    timed: int = 0
    seconds: float = 0.0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.successful + other.successful,
            self.failed + other.failed,
            self.timed + other.timed,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True)
class Outcomes:
    """Analyses that ended in a period, by model."""

    start: datetime
    end: datetime
    models: dict[str, Outcome]


class Counts:
    """Reads over all users; live media only, but for what has ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def queue(self) -> QueueCounts:
        """The counts of /monitoring/queue-status."""

        async def read(session: AsyncSession) -> QueueCounts:
            waiting = Analysis.retry_at.is_not(None)
            rows = await session.execute(
                select(Analysis.status, waiting, func.count())
                .join(Media, Media.id == Analysis.media_id)
                .where(Media.deleted_at.is_(None))
                .group_by(Analysis.status, waiting)
            )
            seen = {(status, retrying): count for status, retrying, count in rows.tuples()}
            undiscovered = select(func.count()).select_from(Run).join(Media)
            undiscovered = undiscovered.where(
                Run.status.in_(OPEN_RUN), Run.frozen_at.is_(None), Media.deleted_at.is_(None)
            )
            delayed = (await session.execute(undiscovered)).scalar_one()
            for status in (AnalysisStatus.PENDING, AnalysisStatus.PROCESSING):
                delayed += seen.get((status, True), 0)
            return QueueCounts(
                pending=seen.get((AnalysisStatus.PENDING, False), 0),
                active=seen.get((AnalysisStatus.PROCESSING, False), 0),
                completed=seen.get((AnalysisStatus.COMPLETED, False), 0),
                failed=seen.get((AnalysisStatus.FAILED, False), 0),
                delayed=delayed,
            )

        return await self._database.transaction(read)

    async def gauges(self) -> Gauges:
        """The numbers of /metrics: each replica of the api gives the same."""

        async def read(session: AsyncSession) -> Gauges:
            analyses = await session.execute(
                select(Analysis.status, Analysis.model, func.count())
                .join(Media, Media.id == Analysis.media_id)
                .where(Media.deleted_at.is_(None))
                .group_by(Analysis.status, Analysis.model)
            )
            runs = await session.execute(
                select(Run.status, Run.frozen_at.is_(None), func.count())
                .join(Media)
                .where(Media.deleted_at.is_(None))
                .group_by(Run.status, Run.frozen_at.is_(None))
            )
            by_state: dict[str, int] = {"waiting_for_discovery": 0, **dict.fromkeys(RunStatus, 0)}
            for status, unfrozen, count in runs.tuples():
                by_state[status] += count
                if unfrozen and status in OPEN_RUN:
                    by_state["waiting_for_discovery"] += count
            oldest = (
                await session.execute(
                    select(func.extract("epoch", func.now() - func.min(Run.created_at)))
                    .select_from(Run)
                    .join(Media)
                    .outerjoin(Analysis, Analysis.run_id == Run.id)
                    .where(
                        Run.status.in_(OPEN_RUN),
                        Media.deleted_at.is_(None),
                        Run.frozen_at.is_(None) | (Analysis.status == AnalysisStatus.PENDING),
                    )
                )
            ).scalar_one()
            counted = {(status, model): count for status, model, count in analyses.tuples()}
            return Gauges(counted, by_state, float(oldest or 0.0))

        return await self._database.transaction(read)

    async def outcomes(self, hours: int) -> Outcomes:
        """What ended in the last hours, by model. Analyses of a deleted media count until they are erased."""

        async def read(session: AsyncSession) -> Outcomes:
            end: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
            start = end - timedelta(hours=hours)
            done = Analysis.status == AnalysisStatus.COMPLETED
            rows = await session.execute(
                select(
                    Analysis.model,
                    func.count().filter(done),
                    func.count().filter(Analysis.status == AnalysisStatus.FAILED),
                    func.count(Analysis.processing_time).filter(done),
                    func.sum(Analysis.processing_time).filter(done),
                )
                .where(Analysis.finished_at > start, Analysis.finished_at <= end)
                .group_by(Analysis.model)
                .order_by(Analysis.model)
            )
            ended = {model: Outcome(good, bad, timed, total or 0.0) for model, good, bad, timed, total in rows.tuples()}
            return Outcomes(start, end, ended)

        return await self._database.transaction(read)
