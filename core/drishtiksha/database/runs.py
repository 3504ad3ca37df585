"""Runs as the operator moves them: freeze, the ends of attempts, cancellation, conclusion. One verb per transition.

The door's verbs stand in `results`, admission in `admission`, the api's in `media`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from ..domain import events as told
from ..domain.analysis import Basis, Prediction, Thresholds, analysis_id
from ..domain.endings import ending, fails_as, tries_again
from ..domain.errors import RETRYABLE, ErrorClass
from ..domain.status import (
    TERMINAL_ANALYSIS,
    TERMINAL_RUN,
    AnalysisStatus,
    AttemptState,
    RunStatus,
)
from ..domain.verdict import Vote, verdict
from . import events
from .events import Announcement
from .locks import LockedAttempt, advance, lock_analyses, lock_attempt, lock_run
from .session import Database, new_id
from .snapshot import RunSnapshot, read_run
from .tables import Analysis, AnalysisError, Attempt, Media, Outbox, Run

OPEN_ANALYSIS = (AnalysisStatus.PENDING, AnalysisStatus.PROCESSING)
OPEN_RUN = (RunStatus.QUEUED, RunStatus.PROCESSING)
OPEN_ATTEMPT = (AttemptState.CREATED, AttemptState.STARTED)
WAS_CANCELLED = "The analysis was cancelled."


@dataclass(frozen=True)
class FrozenModel:
    """One member of the expected set. `budget`: attempts allowed; `execution`: service or pod; `version`: '' if untold."""

    name: str
    version: str
    source: str
    execution: str
    budget: int


@dataclass(frozen=True)
class Ended:
    """How an attempt's Job ended, or why the attempt is given up. `error_class` None: the Job completed."""

    error_class: ErrorClass | None
    reason: str
    message: str
    node: str | None = None
    job_ended: bool = True
    """False: the Job is still there (a deadline passed, a node is lost); its end will be noted later."""
    cause: str | None = None
    """What the cluster knows of a failure beyond the runner's own word; it is added to that."""
    retry_in: float = 5.0
    """Seconds until the next attempt, if the class is retryable and the budget allows one."""


@dataclass(frozen=True)
class Concluded:
    """A run that is final now."""

    status: RunStatus
    reason: ErrorClass | None
    announcement: Announcement | None


class Runs:
    """The operator's verbs and reads. A verb that finds its work already done writes nothing and returns None."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def snapshot(self, run_id: uuid.UUID) -> RunSnapshot | None:
        """All that the operator needs to know about a run."""

        async def read(session: AsyncSession) -> RunSnapshot | None:
            return await read_run(session, run_id)

        return await self._database.transaction(read)

    async def freeze(self, run_id: uuid.UUID, models: Sequence[FrozenModel]) -> Announcement | None:
        """Insert the expected set as PENDING analyses, once. None when the run is frozen, final, cancelled or deleted."""
        if not models:
            raise ValueError("an empty set is frozen by conclude, with the reason why it is empty")

        async def write(session: AsyncSession) -> Announcement | None:
            media, run = await lock_run(session, run_id)
            if run.frozen_at is not None or media.deleted_at is not None or run.cancel_requested_at is not None:
                return None
            rows = [
                {
                    "id": analysis_id(run_id, m.name),
                    "run_id": run_id,
                    "media_id": media.id,
                    "model": m.name,
                    "model_version": m.version,
                    "source": m.source,
                    "execution": m.execution,
                    "budget": m.budget,
                    "status": AnalysisStatus.PENDING,
                }
                for m in sorted(models, key=lambda m: analysis_id(run_id, m.name).bytes)
            ]
            await session.execute(insert(Analysis), rows)
            run.frozen_at = func.now()
            await session.flush()
            queued = [told.analysis_queued(m.name) for m in sorted(models, key=lambda m: m.name)]
            return await events.append(session, media.user_id, media.id, run_id, queued)

        return await self._database.transaction(write)

    async def note_jobs(self, made: Mapping[uuid.UUID, tuple[str, str]]) -> None:
        """Write down which Job (name, uid) each of these attempts has; once."""

        async def write(session: AsyncSession) -> None:
            for attempt_id in sorted(made):
                job_name, job_uid = made[attempt_id]
                await session.execute(
                    update(Attempt)
                    .where(Attempt.id == attempt_id, Attempt.job_uid.is_(None))
                    .values(job_name=job_name, job_uid=job_uid)
                )

        await self._database.transaction(write)

    async def note_pending(self, analysis: uuid.UUID, reason: str | None, message: str | None) -> None:
        """Why an analysis has not started, in a word and in a sentence; None once it has. Only written when it changed."""

        async def write(session: AsyncSession) -> None:
            await session.execute(
                update(Analysis)
                .where(
                    Analysis.id == analysis,
                    Analysis.status.in_(OPEN_ANALYSIS),
                    or_(
                        Analysis.pending_reason.is_distinct_from(reason),
                        Analysis.pending_message.is_distinct_from(message),
                    ),
                )
                .values(pending_reason=reason, pending_message=message)
            )

        await self._database.transaction(write)

    async def note_node(self, attempt_id: uuid.UUID, node: str) -> None:
        """Write down the node that an attempt's pod runs on."""

        async def write(session: AsyncSession) -> None:
            changed = update(Attempt).where(Attempt.id == attempt_id, Attempt.node.is_distinct_from(node))
            await session.execute(changed.values(node=node))

        await self._database.transaction(write)

    async def attempt_ended(self, attempt_id: uuid.UUID, ended: Ended) -> Announcement | None:
        """An attempt is over, as seen from outside: note it, and decide between the next attempt and FAILED.

        Idempotent. A result that was handed in stays (the pod may have been evicted after it); an attempt whose runner
        has reported a class keeps that class; only the current attempt moves its analysis.
        """

        async def write(session: AsyncSession) -> Announcement | None:
            found = await lock_attempt(session, attempt_id)
            attempt = found.attempt
            if ended.job_ended and attempt.job_ended_at is None:
                attempt.job_ended_at = func.now()
            if ended.node and attempt.node is None:
                attempt.node = ended.node
            if attempt.state in OPEN_ATTEMPT:
                error = ended.error_class or ErrorClass.INTERNAL
                attempt.state = AttemptState.FAILED
                attempt.error_class = error
                attempt.reason = ended.reason
                attempt.message = ended.message
                attempt.finished_at = func.now()
                session.add(error_row(found, error, ended.message))
            elif attempt.reason is None:
                attempt.reason = ended.reason
                if ended.cause and attempt.state == AttemptState.FAILED:
                    attempt.message = f"{attempt.message or ''} {ended.cause}".strip()
            if attempt.state != AttemptState.FAILED or not _decides(found):
                return None
            return await _next_or_failed(session, found, ended.retry_in)

        return await self._database.transaction(write)

    async def fail_analysis(self, analysis: uuid.UUID, error_class: ErrorClass, message: str) -> Announcement | None:
        """An analysis that has no attempt to blame will give no result (run too old, Secret or Job refused for good)."""

        async def write(session: AsyncSession) -> Announcement | None:
            run_id = (
                await session.execute(select(Analysis.run_id).where(Analysis.id == analysis))
            ).scalar_one_or_none()
            if run_id is None:
                return None
            media, run = await lock_run(session, run_id)
            row = (await session.scalars(select(Analysis).where(Analysis.id == analysis).with_for_update())).one()
            if row.status in TERMINAL_ANALYSIS or media.deleted_at is not None:
                return None
            await _fence(session, [row.id])
            fail(row, error_class, message)
            more = await advance(session, media, run)
            spoken = [*more, told.analysis_failed(row.model, error_class, message)]
            return await events.append(session, media.user_id, media.id, run_id, spoken)

        return await self._database.transaction(write)

    async def carry_out_cancel(self, run_id: uuid.UUID) -> Announcement | None:
        """End all unfinished analyses as CANCELLED and fence their attempts. An unfrozen run is ended by `conclude`."""

        async def write(session: AsyncSession) -> Announcement | None:
            media, run = await lock_run(session, run_id)
            if run.status in TERMINAL_RUN or media.deleted_at is not None:
                return None
            if run.cancel_requested_at is None:
                run.cancel_requested_at = func.now()
            open_ones = [a for a in await lock_analyses(session, run_id) if a.status in OPEN_ANALYSIS]
            if not open_ones:
                return None
            await _fence(session, [a.id for a in open_ones])
            for row in open_ones:
                fail(row, ErrorClass.CANCELLED, WAS_CANCELLED)
            more = await advance(session, media, run)
            failed = [told.analysis_failed(a.model, ErrorClass.CANCELLED, WAS_CANCELLED) for a in open_ones]
            return await events.append(session, media.user_id, media.id, run_id, [*more, *failed])

        return await self._database.transaction(write)

    async def conclude(
        self,
        run_id: uuid.UUID,
        *,
        unfrozen: ErrorClass | None = None,
        message: str | None = None,
        thresholds: Thresholds = Thresholds(),
        weights: Mapping[str, float] | None = None,
    ) -> Concluded | None:
        """Every terminal status of a run and its media comes from here. None when the run is final or not yet due.

        `unfrozen` says why a run without a set ends (it freezes the empty set); it is ignored once the set is frozen.
        """

        async def write(session: AsyncSession) -> Concluded | None:
            media, run = await lock_run(session, run_id)
            if run.status in TERMINAL_RUN or media.deleted_at is not None:
                return None
            analyses = await lock_analyses(session, run_id)
            end = ending(
                [(AnalysisStatus(a.status), ErrorClass(a.error_class) if a.error_class else None) for a in analyses],
                frozen=run.frozen_at is not None,
                cancelled=run.cancel_requested_at is not None,
                unfrozen=unfrozen,
            )
            if end is None:
                return None
            status, reason = end.status, end.reason
            votes = [
                Vote(a.model, Prediction(a.prediction), Basis(a.basis), a.score)
                for a in analyses
                if a.prediction is not None and a.basis is not None
            ]
            found = verdict(votes, thresholds, weights)
            run.status, run.reason, run.message = status, reason, message
            run.frozen_at = func.now() if run.frozen_at is None else run.frozen_at
            run.finished_at = func.now()
            if found is not None:
                run.verdict, run.verdict_basis, run.verdict_score = found.label, found.basis, found.score
                run.verdict_models = list(found.models)
            await session.flush()
            if media.latest_run_id == run_id:
                media.status, media.updated_at = status, func.now()
            completed = sum(a.status == AnalysisStatus.COMPLETED for a in analyses)
            spoken = told.run_completed(status, reason, found, len(analyses), completed, len(analyses) - completed)
            announcement = await events.append(session, media.user_id, media.id, run_id, [spoken])
            return Concluded(status, reason, announcement)

        return await self._database.transaction(write)

    # -- reads for the sweep ------------------------------------------------------------------------------------------

    async def live(self) -> list[uuid.UUID]:
        """Runs that are not final, oldest first, without those of deleted media."""
        return await self._ids(
            select(Run.id)
            .join(Media)
            .where(Run.status.in_(OPEN_RUN), Media.deleted_at.is_(None))
            .order_by(Run.created_at)
        )

    async def with_open_jobs(self) -> list[uuid.UUID]:
        """Runs with an attempt whose Job has not been seen to end."""
        return await self._ids(
            select(Analysis.run_id).join(Attempt, Attempt.analysis_id == Analysis.id)
            .where(Attempt.job_ended_at.is_(None)).distinct()
        )  # fmt: skip

    async def rejected(self) -> list[uuid.UUID]:
        """Runs whose resource the cluster refused."""
        return await self._ids(select(Outbox.key).where(Outbox.kind == "create", Outbox.rejected_at.is_not(None)))

    async def states(self, run_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[RunStatus, datetime | None, bool]]:
        """Of these runs: status, when it ended, whether its media is deleted. Unknown runs are missing."""

        async def read(session: AsyncSession) -> dict[uuid.UUID, tuple[RunStatus, datetime | None, bool]]:
            rows = await session.execute(
                select(Run.id, Run.status, Run.finished_at, Media.deleted_at.is_not(None))
                .join(Media)
                .where(Run.id.in_(run_ids))
            )
            return {run: (RunStatus(status), finished, deleted) for run, status, finished, deleted in rows.tuples()}

        return await self._database.transaction(read)

    async def _ids(self, query) -> list[uuid.UUID]:  # type: ignore[no-untyped-def]
        async def read(session: AsyncSession) -> list[uuid.UUID]:
            return list((await session.scalars(query)).all())

        return await self._database.transaction(read)


def _decides(found: LockedAttempt) -> bool:
    return (
        found.media.deleted_at is None
        and found.analysis.status in OPEN_ANALYSIS
        and found.analysis.attempt == found.attempt.number
        and found.analysis.retry_at is None
    )


async def _next_or_failed(session: AsyncSession, found: LockedAttempt, retry_in: float) -> Announcement | None:
    """The current attempt has failed: another one when its class and the budget allow, else the analysis fails."""
    analysis, attempt = found.analysis, found.attempt
    error = ErrorClass(attempt.error_class or ErrorClass.INTERNAL)
    message = attempt.message or attempt.reason or error
    cancelled = found.run.cancel_requested_at is not None
    spoken: list[told.Event]
    if tries_again(error, analysis.attempt, analysis.budget, cancelled=cancelled):
        analysis.retry_at = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, retry_in)
        analysis.pending_reason, analysis.pending_message = "Retrying", message
        spoken = [told.analysis_retrying(analysis.model, attempt.number, error, message, retry_in)]
    else:
        last = fails_as(error, cancelled=cancelled)
        message = message if last is error else WAS_CANCELLED
        fail(analysis, last, message)
        spoken = [*await advance(session, found.media, found.run), told.analysis_failed(analysis.model, last, message)]
    await session.flush()
    return await events.append(session, found.media.user_id, found.media.id, found.run.id, spoken)


def fail(row: Analysis, error_class: ErrorClass, message: str) -> None:
    """A locked analysis ends without a result."""
    row.status, row.error_class, row.error_message = AnalysisStatus.FAILED, error_class, message
    row.pending_reason = row.pending_message = row.retry_at = None
    row.finished_at = row.updated_at = func.now()


async def _fence(session: AsyncSession, analyses: Sequence[uuid.UUID]) -> None:
    await session.execute(
        update(Attempt)
        .where(Attempt.analysis_id.in_(analyses), Attempt.state.in_(OPEN_ATTEMPT))
        .values(state=AttemptState.FENCED, finished_at=func.now())
    )


def error_row(
    found: LockedAttempt, error: ErrorClass, message: str, server_response: str | None = None
) -> AnalysisError:
    """The record of one failure of one attempt."""
    return AnalysisError(
        id=new_id(),
        analysis_id=found.analysis.id,
        error_class=error,
        error_message=message,
        server_response=server_response,
        attempt=found.attempt.number,
        retryable=error in RETRYABLE,
    )
