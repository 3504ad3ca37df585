"""What the operator sees of one run: plain values read by one statement, so all of one moment, with the database's clock."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from ..domain.errors import ErrorClass
from ..domain.media import MediaType
from ..domain.status import ENDED_ATTEMPT, TERMINAL_ANALYSIS, TERMINAL_RUN, AnalysisStatus, AttemptState, RunStatus
from .tables import Analysis, Attempt, Media, Outbox, Run


@dataclass(frozen=True)
class AttemptSnapshot:
    """One attempt. It holds its place until `job_ended_at`. Times by the database's clock; deadline in seconds."""

    id: uuid.UUID
    number: int
    state: AttemptState
    job_name: str | None
    job_uid: str | None
    error_class: ErrorClass | None
    reason: str | None
    message: str | None
    node: str | None
    running_deadline: float
    created_at: datetime
    seen_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    job_ended_at: datetime | None

    @property
    def ended(self) -> bool:
        """It will write nothing any more."""
        return self.state in ENDED_ATTEMPT


@dataclass(frozen=True)
class AnalysisSnapshot:
    """One model of the frozen set, with all its attempts by number."""

    id: uuid.UUID
    model: str
    model_version: str
    source: str
    execution: str
    status: AnalysisStatus
    attempt: int
    budget: int
    retry_at: datetime | None
    pending_reason: str | None
    pending_message: str | None
    prediction: str | None
    error_class: ErrorClass | None
    error_message: str | None
    started_at: datetime | None
    finished_at: datetime | None
    attempts: tuple[AttemptSnapshot, ...]

    @property
    def terminal(self) -> bool:
        """It has its one result or its one failure."""
        return self.status in TERMINAL_ANALYSIS

    @property
    def current(self) -> AttemptSnapshot | None:
        """The attempt that may write."""
        return next((a for a in self.attempts if a.number == self.attempt), None)


@dataclass(frozen=True)
class RunSnapshot:
    """One run, its media and its analyses by model name. `now` is the database's clock at the look."""

    id: uuid.UUID
    media_id: uuid.UUID
    user_id: uuid.UUID
    number: int
    media_type: MediaType
    has_audio: bool
    status: RunStatus
    frozen: bool
    deleted: bool
    cancel_requested: bool
    reason: ErrorClass | None
    message: str | None
    requested_models: tuple[str, ...] | None
    traceparent: str | None
    verdict: str | None
    verdict_basis: str | None
    verdict_score: float | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    create_pending: bool
    """The outbox still has to create the resource."""
    create_rejected: str | None
    """Why the cluster refused the resource, if it did."""
    analyses: tuple[AnalysisSnapshot, ...]
    now: datetime

    @property
    def terminal(self) -> bool:
        """Nothing about this run changes any more, but the ends of its Jobs."""
        return self.status in TERMINAL_RUN


async def read_run(session: AsyncSession, run_id: uuid.UUID) -> RunSnapshot | None:
    """The snapshot in the caller's transaction; None when there is no such run."""
    rows = (
        await session.execute(
            select(Run, Media, Outbox, Analysis, Attempt, func.clock_timestamp())
            .join(Media, Media.id == Run.media_id)
            .outerjoin(Outbox, (Outbox.kind == "create") & (Outbox.key == Run.id))
            .outerjoin(Analysis, Analysis.run_id == Run.id)
            .outerjoin(Attempt, Attempt.analysis_id == Analysis.id)
            .where(Run.id == run_id)
            .order_by(Analysis.model, Attempt.number)
        )
    ).all()
    if not rows:
        return None
    run, media, outbox, _, _, now = rows[0].tuple()
    analyses: dict[uuid.UUID, Analysis] = {}
    attempts: dict[uuid.UUID, list[AttemptSnapshot]] = {}
    for _, _, _, analysis, attempt, _ in rows:
        if analysis is not None:
            analyses[analysis.id] = analysis
        if attempt is not None:
            attempts.setdefault(attempt.analysis_id, []).append(attempt_snapshot(attempt))
    rejected = outbox is not None and outbox.rejected_at is not None
    return RunSnapshot(
        id=run.id,
        media_id=media.id,
        user_id=media.user_id,
        number=run.number,
        media_type=MediaType(media.media_type),
        has_audio=media.has_audio,
        status=RunStatus(run.status),
        frozen=run.frozen_at is not None,
        deleted=media.deleted_at is not None,
        cancel_requested=run.cancel_requested_at is not None,
        reason=_class(run.reason),
        message=run.message,
        requested_models=None if run.requested_models is None else tuple(run.requested_models),
        traceparent=run.traceparent,
        verdict=run.verdict,
        verdict_basis=run.verdict_basis,
        verdict_score=run.verdict_score,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        create_pending=outbox is not None and not rejected,
        create_rejected=(outbox.last_error or "the cluster refused the resource") if rejected else None,
        analyses=tuple(_analysis(a, tuple(attempts.get(a.id, ()))) for a in analyses.values()),
        now=now,
    )


def attempt_snapshot(row: Attempt) -> AttemptSnapshot:
    """One attempt's row as plain values."""
    return AttemptSnapshot(
        id=row.id,
        number=row.number,
        state=AttemptState(row.state),
        job_name=row.job_name,
        job_uid=row.job_uid,
        error_class=_class(row.error_class),
        reason=row.reason,
        message=row.message,
        node=row.node,
        running_deadline=row.running_deadline,
        created_at=row.created_at,
        seen_at=row.seen_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        job_ended_at=row.job_ended_at,
    )


def _analysis(row: Analysis, attempts: tuple[AttemptSnapshot, ...]) -> AnalysisSnapshot:
    return AnalysisSnapshot(
        id=row.id,
        model=row.model,
        model_version=row.model_version,
        source=row.source,
        execution=row.execution,
        status=AnalysisStatus(row.status),
        attempt=row.attempt,
        budget=row.budget,
        retry_at=row.retry_at,
        pending_reason=row.pending_reason,
        pending_message=row.pending_message,
        prediction=row.prediction,
        error_class=_class(row.error_class),
        error_message=row.error_message,
        started_at=row.started_at,
        finished_at=row.finished_at,
        attempts=attempts,
    )


def _class(text: str | None) -> ErrorClass | None:
    return None if text is None else ErrorClass(text)
