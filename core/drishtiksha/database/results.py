"""What a runner's attempt writes, by way of the door: its start, its heartbeats, its artifacts, its one result or failure.

Every verb may raise Fenced: another attempt is current, or the run is final, cancelled or deleted.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from ..domain import events as told
from ..domain.analysis import Finding, Prediction, Thresholds, read_result
from ..domain.errors import RETRYABLE, ErrorClass, Fenced, NotFound
from ..domain.status import AnalysisStatus, AttemptState, RunStatus
from ..protocol import AttemptResult
from . import events, tables
from .events import Announcement
from .locks import LockedAttempt, advance, lock_attempt
from .result_rows import children, columns, frame_rows
from .runs import OPEN_ATTEMPT, error_row, fail
from .session import Database, new_id
from .tables import Analysis, Artifact, Attempt, Media, Run

_HEARTBEAT_EVERY = 5.0
"""Seconds between two writes of `seen_at`; calls in between only check the fence."""


@dataclass(frozen=True)
class Assigned:
    """What an attempt has to do. `object_key` names the bytes; `deadline` by the database's clock; seconds left until it."""

    attempt_id: uuid.UUID
    attempt_number: int
    analysis_id: uuid.UUID
    run_id: uuid.UUID
    media_id: uuid.UUID
    user_id: uuid.UUID
    model: str
    model_version: str
    media_type: str
    mimetype: str
    object_key: str
    size: int
    sha256: str
    has_audio: bool
    deadline: datetime
    seconds_left: float
    announcement: Announcement | None


@dataclass(frozen=True)
class NewArtifact:
    """Bytes that were stored under `key` before this row is written."""

    name: str
    kind: str
    key: str
    mimetype: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Stored:
    """Whether a result was taken; `accepted` False: this attempt already has one."""

    accepted: bool
    run_id: uuid.UUID
    announcement: Announcement | None


class Results:
    """Called by the door."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, attempt_id: uuid.UUID) -> Assigned:
        """The runner's first call is the start: analysis PENDING → PROCESSING, and the run with it. Repeatable."""

        async def write(session: AsyncSession) -> Assigned:
            found = await _locked(session, attempt_id)
            if not found.may_write:
                raise Fenced("This attempt may not write any more.")
            now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
            spoken: list[told.Event] = []
            if found.attempt.state == AttemptState.CREATED:
                found.attempt.state = AttemptState.STARTED
                found.attempt.started_at = now
                found.analysis.pending_reason = found.analysis.pending_message = None
                if found.analysis.status == AnalysisStatus.PENDING:
                    found.analysis.status = AnalysisStatus.PROCESSING
                    found.analysis.started_at = now
                    spoken += await advance(session, found.media, found.run)
                spoken.append(told.analysis_started(found.analysis.model, found.attempt.number))
            found.attempt.seen_at = now
            await session.flush()
            announcement = None
            if spoken:
                announcement = await events.append(session, found.media.user_id, found.media.id, found.run.id, spoken)
            return _assigned(found, now, announcement)

        return await self._database.transaction(write)

    async def heartbeat(self, attempt_id: uuid.UUID) -> Assigned:
        """The attempt lives. Writes at most every few seconds; raises Fenced when it may not write any more."""

        async def write(session: AsyncSession) -> Assigned:
            row = (
                await session.execute(
                    select(Media, Run, Analysis, Attempt, func.clock_timestamp())
                    .select_from(Attempt)
                    .join(Analysis, Analysis.id == Attempt.analysis_id)
                    .join(Run, Run.id == Analysis.run_id)
                    .join(Media, Media.id == Run.media_id)
                    .where(Attempt.id == attempt_id)
                )
            ).one_or_none()
            if row is None:
                raise Fenced("This attempt does not exist any more.")
            media, run, analysis, attempt, now = row.tuple()
            found = LockedAttempt(media, run, analysis, attempt)
            if not found.may_write:
                raise Fenced("This attempt may not write any more.")
            if attempt.seen_at is None or (now - attempt.seen_at).total_seconds() >= _HEARTBEAT_EVERY:
                changed = update(Attempt).where(Attempt.id == attempt_id, Attempt.state.in_(OPEN_ATTEMPT))
                await session.execute(changed.values(seen_at=func.clock_timestamp()))
            return _assigned(found, now, None)

        return await self._database.transaction(write)

    async def put_artifact(self, attempt_id: uuid.UUID, new: NewArtifact, most: int) -> str | None:
        """Remember an artifact; the same name again replaces it. Returns the key of bytes that are now unused.

        Raises ValueError when the attempt already has `most` others.
        """

        async def write(session: AsyncSession) -> str | None:
            found = await _locked(session, attempt_id)
            if not found.may_write:
                raise Fenced("This attempt may not write any more.")
            rows = (await session.scalars(select(Artifact).where(Artifact.attempt_id == attempt_id))).all()
            old = next((r for r in rows if r.name == new.name), None)
            if old is None and len(rows) >= most:
                raise ValueError(f"an attempt has at most {most} artifacts")
            values = {
                "kind": new.kind,
                "key": new.key,
                "mimetype": new.mimetype,
                "size": new.size,
                "sha256": new.sha256,
            }
            await session.execute(
                upsert(Artifact)
                .values(id=new_id(), analysis_id=found.analysis.id, attempt_id=attempt_id, name=new.name, **values)
                .on_conflict_do_update(index_elements=["attempt_id", "name"], set_=values)
            )
            return old.key if old is not None and old.key != new.key else None

        return await self._database.transaction(write)

    async def store(
        self, attempt_id: uuid.UUID, result: AttemptResult, thresholds: Thresholds = Thresholds()
    ) -> Stored:
        """Store the one result of an analysis with all its children. First terminal write wins.

        Raises Fenced, or ValueError when it is of another model or lists an artifact that was never put.
        """

        async def write(session: AsyncSession) -> Stored:
            found = await _locked(session, attempt_id)
            analysis = found.analysis
            if found.attempt.state == AttemptState.SUCCEEDED:
                return Stored(False, found.run.id, None)
            if not found.may_write:
                raise Fenced("This attempt may not write any more.")
            if result.model != analysis.model:
                raise ValueError(f"the result is of model {result.model}, this attempt is of {analysis.model}")
            await _list_artifacts(session, attempt_id, result.artifacts)
            reading = read_result(
                prediction=Prediction(result.prediction),
                confidence=result.confidence,
                finding=None if result.finding is None else Finding(result.finding),
                probability_fake=result.probability_fake,
                calibration_kind=result.calibration.kind if result.calibration else None,
                bound=result.calibration.bound if result.calibration else None,
                thresholds=thresholds,
            )
            spoken: list[told.Event] = []
            if analysis.status == AnalysisStatus.PENDING:  # its first call was lost; handing in is a start too
                analysis.status, analysis.started_at = AnalysisStatus.PROCESSING, func.now()
                await session.flush()
                spoken += await advance(session, found.media, found.run)
                spoken.append(told.analysis_started(analysis.model, found.attempt.number))
            children(session, analysis.id, result)
            if result.frames:
                await session.flush()
                await session.execute(insert(tables.FrameAnalysis), frame_rows(analysis.id, result))
            analysis.status = AnalysisStatus.COMPLETED
            analysis.prediction, analysis.basis = reading.prediction, reading.basis
            analysis.confidence, analysis.score = reading.confidence, reading.score
            columns(analysis, result)
            found.attempt.state = AttemptState.SUCCEEDED
            found.attempt.finished_at = found.attempt.seen_at = func.now()
            await session.flush()
            spoken.append(
                told.analysis_completed(analysis.model, reading.prediction, reading.confidence, result.model_version)
            )
            announcement = await events.append(session, found.media.user_id, found.media.id, found.run.id, spoken)
            return Stored(True, found.run.id, announcement)

        return await self._database.transaction(write)

    async def failed(
        self, attempt_id: uuid.UUID, error_class: ErrorClass, message: str, server_response: str | None
    ) -> tuple[uuid.UUID, Announcement | None]:
        """The runner reports its own failure. A permanent class ends the analysis; a retryable one only the attempt.

        The operator decides about the next attempt when the Job has ended. Returns the run and what to announce.
        """

        async def write(session: AsyncSession) -> tuple[uuid.UUID, Announcement | None]:
            found = await _locked(session, attempt_id)
            if found.attempt.state == AttemptState.FAILED:
                return found.run.id, None
            if not found.may_write:
                raise Fenced("This attempt may not write any more.")
            found.attempt.state = AttemptState.FAILED
            found.attempt.error_class, found.attempt.message = error_class, message
            found.attempt.finished_at = found.attempt.seen_at = func.now()
            session.add(error_row(found, error_class, message, server_response))
            if error_class in RETRYABLE:
                return found.run.id, None
            fail(found.analysis, error_class, message)
            more = await advance(session, found.media, found.run)
            spoken = [*more, told.analysis_failed(found.analysis.model, error_class, message)]
            return found.run.id, await events.append(session, found.media.user_id, found.media.id, found.run.id, spoken)

        return await self._database.transaction(write)

    async def owner(self, media_id: uuid.UUID) -> uuid.UUID | None:
        """The user whose live media is being analysed; None when there is none. For the relay of ephemeral progress."""

        async def read(session: AsyncSession) -> uuid.UUID | None:
            live = select(Media.user_id).where(
                Media.id == media_id,
                Media.deleted_at.is_(None),
                Media.status.in_((RunStatus.QUEUED, RunStatus.PROCESSING)),
            )
            return (await session.execute(live)).scalar_one_or_none()

        return await self._database.transaction(read)


async def _locked(session: AsyncSession, attempt_id: uuid.UUID) -> LockedAttempt:
    try:
        return await lock_attempt(session, attempt_id)
    except NotFound:
        raise Fenced("This attempt does not exist any more.") from None


def _assigned(found: LockedAttempt, now: datetime, announcement: Announcement | None) -> Assigned:
    deadline = (found.attempt.started_at or now) + timedelta(seconds=found.attempt.running_deadline)
    return Assigned(
        attempt_id=found.attempt.id,
        attempt_number=found.attempt.number,
        analysis_id=found.analysis.id,
        run_id=found.run.id,
        media_id=found.media.id,
        user_id=found.media.user_id,
        model=found.analysis.model,
        model_version=found.analysis.model_version,
        media_type=found.media.media_type,
        mimetype=found.media.mimetype,
        object_key=found.media.object_key,
        size=found.media.size,
        sha256=found.media.sha256,
        has_audio=found.media.has_audio,
        deadline=deadline,
        seconds_left=max(0.0, (deadline - now).total_seconds()),
        announcement=announcement,
    )


async def _list_artifacts(session: AsyncSession, attempt_id: uuid.UUID, names: Sequence[str]) -> None:
    if not names:
        return
    listed = await session.execute(
        update(Artifact)
        .where(Artifact.attempt_id == attempt_id, Artifact.name.in_(names))
        .values(listed=True)
        .returning(Artifact.name)
    )
    missing = sorted(set(names) - set(listed.scalars()))
    if missing:
        raise ValueError(f"artifacts were listed but never put: {', '.join(missing)}")
