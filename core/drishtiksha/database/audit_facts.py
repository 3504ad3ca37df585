"""What the audit knows of Postgres: rows as plain values, a media with all that hangs below it.

`audit_reads` reads them in one snapshot; `drishtiksha.audit` judges them. No SQL here.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class AttemptFacts:
    """One attempt's row."""

    id: uuid.UUID
    number: int
    state: str
    job_name: str | None
    job_uid: str | None
    error_class: str | None
    running_deadline: float
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    job_ended_at: datetime | None


@dataclass(frozen=True)
class ArtifactFacts:
    """One artifact's row."""

    id: uuid.UUID
    attempt_id: uuid.UUID
    key: str
    size: int
    sha256: str
    listed: bool


@dataclass(frozen=True)
class AnalysisFacts:
    """One analysis' row and what hangs below it."""

    id: uuid.UUID
    media_id: uuid.UUID
    model: str
    status: str
    attempt: int
    budget: int
    retry_at: datetime | None
    prediction: str | None
    confidence: float | None
    score: float | None
    basis: str | None
    error_class: str | None
    error_message: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: tuple[AttemptFacts, ...] = ()
    artifacts: tuple[ArtifactFacts, ...] = ()
    recorded: frozenset[int] = frozenset()
    """Numbers of the attempts whose failure has a row of its own."""
    has_children: bool = False
    """There are rows of a result: evidence, metrics, frames."""
    has_model_info: bool = False


@dataclass(frozen=True)
class ToldFacts:
    """One stored event of a run: `status` and `model` as its data tell them."""

    seq: int
    type: str
    user_id: uuid.UUID
    status: str | None
    model: str | None


@dataclass(frozen=True)
class RunFacts:
    """One run's row, its analyses by model, and its events by number."""

    id: uuid.UUID
    number: int
    status: str
    reason: str | None
    cancel_requested: bool
    frozen_at: datetime | None
    verdict: str | None
    verdict_basis: str | None
    verdict_score: float | None
    verdict_models: tuple[str, ...] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    wished: bool
    """The outbox has a row that creates its resource."""
    rejected_at: datetime | None
    """The cluster refused its resource."""
    analyses: tuple[AnalysisFacts, ...] = ()
    told: tuple[ToldFacts, ...] = ()


@dataclass(frozen=True)
class MediaFacts:
    """One media's row and its runs by number."""

    id: uuid.UUID
    user_id: uuid.UUID
    object_key: str
    size: int
    sha256: str
    status: str
    latest_run_id: uuid.UUID
    latest_run_number: int
    created_at: datetime
    deleted_at: datetime | None
    personal: tuple[str, ...]
    """Names of the personal columns that are not blank."""
    has_metadata: bool
    """The metadata row of its type is there."""
    erasure_wished: bool
    runs: tuple[RunFacts, ...] = ()


@dataclass(frozen=True)
class Numbers:
    """One user's events: the counter, and the numbers that are kept."""

    user_id: uuid.UUID
    user_created_at: datetime
    last_seq: int | None
    count: int
    lowest: int | None
    highest: int | None


@dataclass(frozen=True)
class StrayEvent:
    """An event that tells too much (its media is gone) or lies (MEDIA_DELETED of a media that is there)."""

    user_id: uuid.UUID
    seq: int
    type: str
    media_id: uuid.UUID
    media_is_there: bool


@dataclass(frozen=True)
class WishFacts:
    """One outbox row. `subject`: live, final (a run only), deleted, gone: what it is about."""

    kind: str
    key: uuid.UUID
    subject: str
    created_at: datetime
    next_try_at: datetime
    rejected_at: datetime | None
    last_error: str | None
