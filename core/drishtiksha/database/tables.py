"""All tables. Snake case; children cascade; sizes are BIGINT; enums are text with a CHECK.

Triggers that hold the invariants in the database itself stand in the migrations, where Alembic keeps them.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from ..domain.analysis import Basis, Finding, Prediction
from ..domain.errors import ErrorClass
from ..domain.media import MediaType
from ..domain.status import AnalysisStatus, AttemptState, RunStatus


class Base(DeclarativeBase):
    """Naming conventions, so that migrations can name what they change."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy
        datetime: DateTime(timezone=True),
        uuid.UUID: Uuid,
        str: Text,
        float: Float(53),
        dict[str, Any]: JSONB,
    }


def one_of(column: str, members: type[StrEnum], *, nullable: bool = False) -> CheckConstraint:
    """CHECK that a text column holds a member of an enum."""
    values = ", ".join(f"'{m.value}'" for m in members)
    null = f"{column} IS NULL OR " if nullable else ""
    return CheckConstraint(f"{null}{column} IN ({values})", name=f"{column}_known")


def _now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


def _parent(target: str, *, primary: bool = False) -> Mapped[uuid.UUID]:
    return mapped_column(ForeignKey(target, ondelete="CASCADE"), primary_key=primary)


class User(Base):
    """A person with an account. `token_generation` rises when all older tokens shall end."""

    __tablename__ = "users"
    __table_args__ = (
        Index("uq_users_email_lower", text("lower(email)"), unique=True),
        CheckConstraint("role IN ('USER', 'ADMIN')", name="role_known"),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    password_hash: Mapped[str]
    first_name: Mapped[str]
    last_name: Mapped[str]
    bio: Mapped[str | None]
    phone: Mapped[str | None]
    avatar: Mapped[str | None]
    role: Mapped[str] = mapped_column(server_default="USER")
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    token_generation: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class Session(Base):
    """One token that was handed out; `id` is its jti. Valid while not revoked, not expired, and of the user's generation."""

    __tablename__ = "sessions"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    generation: Mapped[int]
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]


class Media(Base):
    """An accepted upload. Its status is that of its latest run; `deleted_at` makes it a tombstone until it is erased."""

    __tablename__ = "media"
    __table_args__ = (
        one_of("media_type", MediaType),
        one_of("status", RunStatus),
        CheckConstraint("size > 0", name="size_positive"),
        CheckConstraint("latest_run_number >= 1", name="latest_run_number_positive"),
        Index("ix_media_user_id_created_at", "user_id", text("created_at DESC"), text("id DESC")),
        Index("ix_media_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = _parent("users.id")
    filename: Mapped[str]
    description: Mapped[str | None]
    object_key: Mapped[str] = mapped_column(unique=True)
    mimetype: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(index=True)
    media_type: Mapped[str]
    has_audio: Mapped[bool]
    status: Mapped[str]
    latest_run_id: Mapped[uuid.UUID]
    latest_run_number: Mapped[int]
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(lazy="raise", viewonly=True)
    video: Mapped[VideoMetadata | None] = relationship(lazy="raise", viewonly=True)
    image: Mapped[ImageMetadata | None] = relationship(lazy="raise", viewonly=True)
    audio: Mapped[AudioMetadata | None] = relationship(lazy="raise", viewonly=True)
    runs: Mapped[list[Run]] = relationship(lazy="raise", viewonly=True, order_by="Run.number.desc()")


class VideoMetadata(Base):
    """What the probe saw in a video: seconds, pixels, frames per second, bit/s, degrees."""

    __tablename__ = "video_metadata"
    media_id: Mapped[uuid.UUID] = _parent("media.id", primary=True)
    duration: Mapped[float | None]
    width: Mapped[int]
    height: Mapped[int]
    fps: Mapped[float | None]
    codec: Mapped[str]
    bitrate: Mapped[int | None] = mapped_column(BigInteger)
    rotation: Mapped[int] = mapped_column(SmallInteger)


class ImageMetadata(Base):
    """What the probe saw in a picture: pixels, format, colour mode."""

    __tablename__ = "image_metadata"
    media_id: Mapped[uuid.UUID] = _parent("media.id", primary=True)
    width: Mapped[int]
    height: Mapped[int]
    format: Mapped[str]
    color_space: Mapped[str]
    animated: Mapped[bool]


class AudioMetadata(Base):
    """What the probe saw in the audio stream: seconds, kbit/s, Hz."""

    __tablename__ = "audio_metadata"
    media_id: Mapped[uuid.UUID] = _parent("media.id", primary=True)
    duration: Mapped[float | None]
    bitrate: Mapped[float | None]
    codec: Mapped[str]
    channels: Mapped[int] = mapped_column(SmallInteger)
    sample_rate: Mapped[int]


class Run(Base):
    """One analysis of a media by a frozen set of models. At most one per media is not final."""

    __tablename__ = "analysis_runs"
    __table_args__ = (
        UniqueConstraint("media_id", "number"),
        one_of("status", RunStatus),
        one_of("reason", ErrorClass, nullable=True),
        one_of("verdict", Prediction, nullable=True),
        one_of("verdict_basis", Basis, nullable=True),
        CheckConstraint("number >= 1", name="number_positive"),
        CheckConstraint(
            "(status IN ('ANALYZED', 'PARTIALLY_ANALYZED', 'FAILED')) = (finished_at IS NOT NULL)", name="finished"
        ),
        CheckConstraint("status = 'QUEUED' OR frozen_at IS NOT NULL", name="frozen_before_start"),
        Index(
            "uq_analysis_runs_one_active",
            "media_id",
            unique=True,
            postgresql_where=text("status IN ('QUEUED', 'PROCESSING')"),
        ),
        Index(
            "ix_analysis_runs_active",
            "created_at",
            postgresql_where=text("status IN ('QUEUED', 'PROCESSING')"),
        ),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    media_id: Mapped[uuid.UUID] = _parent("media.id")
    number: Mapped[int]
    status: Mapped[str]
    reason: Mapped[str | None]
    message: Mapped[str | None]
    requested_models: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    requested_reason: Mapped[str | None]
    requested_by: Mapped[uuid.UUID | None]
    cancel_requested_at: Mapped[datetime | None]
    traceparent: Mapped[str | None]
    frozen_at: Mapped[datetime | None]
    verdict: Mapped[str | None]
    verdict_basis: Mapped[str | None]
    verdict_score: Mapped[float | None]
    verdict_models: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = _now()
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    analyses: Mapped[list[Analysis]] = relationship(lazy="raise", viewonly=True, order_by="Analysis.model")


class Analysis(Base):
    """One model in one run. Inserted at the freeze, immutable when terminal. `attempt` is the current attempt's number."""

    __tablename__ = "analyses"
    __table_args__ = (
        UniqueConstraint("run_id", "model"),
        one_of("status", AnalysisStatus),
        one_of("prediction", Prediction, nullable=True),
        one_of("basis", Basis, nullable=True),
        one_of("finding", Finding, nullable=True),
        one_of("error_class", ErrorClass, nullable=True),
        CheckConstraint("attempt >= 0 AND attempt <= budget", name="attempt_within_budget"),
        CheckConstraint(
            "(status = 'COMPLETED') = (prediction IS NOT NULL AND confidence IS NOT NULL AND basis IS NOT NULL)",
            name="completed_has_result",
        ),
        CheckConstraint("(status = 'FAILED') = (error_class IS NOT NULL)", name="failed_has_class"),
        CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence_is_fraction"),
        CheckConstraint("score BETWEEN 0 AND 1", name="score_is_fraction"),
        Index("ix_analyses_media_id_model_analysis_type", "media_id", "model", "analysis_type"),
        Index("ix_analyses_open", "run_id", postgresql_where=text("status IN ('PENDING', 'PROCESSING')")),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run_id: Mapped[uuid.UUID] = _parent("analysis_runs.id")
    media_id: Mapped[uuid.UUID] = _parent("media.id")
    model: Mapped[str]
    model_version: Mapped[str]
    source: Mapped[str]
    execution: Mapped[str]
    analysis_type: Mapped[str] = mapped_column(server_default="COMPREHENSIVE")
    status: Mapped[str]
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    budget: Mapped[int] = mapped_column(SmallInteger)
    retry_at: Mapped[datetime | None]
    pending_reason: Mapped[str | None]
    pending_message: Mapped[str | None]
    prediction: Mapped[str | None]
    confidence: Mapped[float | None]
    score: Mapped[float | None]
    basis: Mapped[str | None]
    finding: Mapped[str | None]
    measure_value: Mapped[float | None]
    measure_kind: Mapped[str | None]
    measure_name: Mapped[str | None]
    calibration_kind: Mapped[str | None]
    calibration_bound: Mapped[float | None]
    calibration_source: Mapped[str | None]
    calibration_auc: Mapped[float | None]
    calibration_n: Mapped[int | None]
    inconclusive_reason: Mapped[str | None]
    coverage_analysed_seconds: Mapped[float | None]
    coverage_total_seconds: Mapped[float | None]
    coverage_frames: Mapped[int | None]
    processing_time: Mapped[float | None]
    note: Mapped[str | None]
    frames_total: Mapped[int | None]
    error_class: Mapped[str | None]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    attempts: Mapped[list[Attempt]] = relationship(lazy="raise", viewonly=True, order_by="Attempt.number")
    errors: Mapped[list[AnalysisError]] = relationship(lazy="raise", viewonly=True, order_by="AnalysisError.created_at")
    metrics: Mapped[list[AnalysisMetric]] = relationship(lazy="raise", viewonly=True, order_by="AnalysisMetric.name")
    facts: Mapped[list[AnalysisFact]] = relationship(lazy="raise", viewonly=True, order_by="AnalysisFact.name")
    limits: Mapped[list[AnalysisLimit]] = relationship(lazy="raise", viewonly=True, order_by="AnalysisLimit.position")
    details: Mapped[AnalysisDetails | None] = relationship(lazy="raise", viewonly=True)
    frames: Mapped[list[FrameAnalysis]] = relationship(
        lazy="raise", viewonly=True, order_by="FrameAnalysis.frame_number"
    )
    temporal: Mapped[TemporalAnalysis | None] = relationship(lazy="raise", viewonly=True)
    audio: Mapped[AudioAnalysis | None] = relationship(lazy="raise", viewonly=True)
    image: Mapped[ImageAnalysis | None] = relationship(lazy="raise", viewonly=True)
    model_info: Mapped[ModelInfo | None] = relationship(lazy="raise", viewonly=True)
    system_info: Mapped[SystemInfo | None] = relationship(lazy="raise", viewonly=True)
    artifacts: Mapped[list[Artifact]] = relationship(lazy="raise", viewonly=True, order_by="Artifact.name")
    series: Mapped[list[EvidenceSeries]] = relationship(lazy="raise", viewonly=True, order_by="EvidenceSeries.position")
    regions: Mapped[list[EvidenceRegion]] = relationship(
        lazy="raise", viewonly=True, order_by="EvidenceRegion.position"
    )


class AnalysisMetric(Base):
    """A number that the model reports."""

    __tablename__ = "analysis_metrics"
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id", primary=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float]


class AnalysisFact(Base):
    """Something the model saw: exactly one of number, flag and text is set, or none when the value is null."""

    __tablename__ = "analysis_facts"
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id", primary=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[float | None]
    flag: Mapped[bool | None]
    text: Mapped[str | None]


class AnalysisLimit(Base):
    """A sentence about what the model cannot see."""

    __tablename__ = "analysis_limits"
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id", primary=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    text: Mapped[str]


class AnalysisDetails(Base):
    """Summary of a video's frame scores. `confidence_std` is a standard deviation."""

    __tablename__ = "analysis_details"
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id", primary=True)
    frame_count: Mapped[int | None]
    avg_confidence: Mapped[float | None]
    confidence_std: Mapped[float | None]
    temporal_consistency: Mapped[float | None]
    rolling_average: Mapped[float | None]


class FrameAnalysis(Base):
    """One examined frame: `score` is P(fake), `timestamp` in seconds."""

    __tablename__ = "frame_analysis"
    __table_args__ = (CheckConstraint("score BETWEEN 0 AND 1", name="score_is_fraction"),)
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id", primary=True)
    frame_number: Mapped[int] = mapped_column(primary_key=True)
    score: Mapped[float]
    prediction: Mapped[str]
    timestamp: Mapped[float | None]


class TemporalAnalysis(Base):
    """What the frame scores say over time."""

    __tablename__ = "temporal_analysis"
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id", primary=True)
    consistency_score: Mapped[float | None]
    pattern_detection: Mapped[str | None]
    anomaly_frames: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    confidence_trend: Mapped[str | None]
    total_frames: Mapped[int]
    fake_frames: Mapped[int]
    real_frames: Mapped[int]
    avg_confidence: Mapped[float | None]


class AudioAnalysis(Base):
    """Acoustic figures: Hz, fractions 0..1."""

    __tablename__ = "audio_analysis"
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id", primary=True)
    mean_pitch_hz: Mapped[float | None]
    pitch_stability_score: Mapped[float | None]
    rms_energy: Mapped[float | None]
    silence_ratio: Mapped[float | None]
    spectral_centroid: Mapped[float | None]
    spectral_contrast: Mapped[float | None]
    duration_seconds: Mapped[float | None]
    sample_rate: Mapped[float | None]
    channels: Mapped[int | None]
    voice_quality: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))


class ImageAnalysis(Base):
    """The picture as the model saw it, in pixels."""

    __tablename__ = "image_analysis"
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id", primary=True)
    width: Mapped[int | None]
    height: Mapped[int | None]


class ModelInfo(Base):
    """About the model that answered. Load time in ms, memory in MB."""

    __tablename__ = "model_info"
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id", primary=True)
    model_name: Mapped[str]
    version: Mapped[str | None]
    architecture: Mapped[str | None]
    device: Mapped[str | None]
    batch_size: Mapped[int | None]
    num_frames: Mapped[int | None]
    model_size: Mapped[str | None]
    load_time: Mapped[float | None]
    memory_usage: Mapped[float | None]


class SystemInfo(Base):
    """About the service that answered."""

    __tablename__ = "system_info"
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id", primary=True)
    gpu_memory_used: Mapped[str | None]
    gpu_memory_total: Mapped[str | None]
    processing_device: Mapped[str | None]
    cuda_available: Mapped[bool | None]
    cuda_version: Mapped[str | None]
    system_memory_used: Mapped[str | None]
    system_memory_total: Mapped[str | None]
    cpu_usage: Mapped[float | None]
    server_version: Mapped[str | None]
    python_version: Mapped[str | None]
    torch_version: Mapped[str | None]
    node_name: Mapped[str | None]
    request_id: Mapped[str | None]


class AnalysisError(Base):
    """One failure of one attempt."""

    __tablename__ = "analysis_errors"
    __table_args__ = (one_of("error_class", ErrorClass),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    analysis_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("analyses.id", ondelete="CASCADE"), index=True)
    error_class: Mapped[str]
    error_message: Mapped[str]
    server_response: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(SmallInteger)
    retryable: Mapped[bool]
    created_at: Mapped[datetime] = _now()


class Attempt(Base):
    """One try of one analysis: one token, one Job. It holds its place until `job_ended_at` is set."""

    __tablename__ = "attempts"
    __table_args__ = (
        UniqueConstraint("analysis_id", "number"),
        one_of("state", AttemptState),
        one_of("error_class", ErrorClass, nullable=True),
        CheckConstraint("number >= 1", name="number_positive"),
        Index("ix_attempts_in_flight", "created_at", postgresql_where=text("job_ended_at IS NULL")),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id")
    number: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str]
    job_name: Mapped[str | None]
    job_uid: Mapped[str | None]
    error_class: Mapped[str | None]
    reason: Mapped[str | None]
    message: Mapped[str | None]
    node: Mapped[str | None]
    running_deadline: Mapped[float]
    """Seconds from the start."""
    created_at: Mapped[datetime] = _now()
    seen_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    job_ended_at: Mapped[datetime | None]


class Artifact(Base):
    """Bytes that came with a result: a picture, the raw answer. Unlisted ones are collected."""

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("attempt_id", "name"),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    analysis_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("analyses.id", ondelete="CASCADE"), index=True)
    attempt_id: Mapped[uuid.UUID] = _parent("attempts.id")
    kind: Mapped[str]
    name: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    mimetype: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    listed: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[datetime] = _now()


class EvidenceSeries(Base):
    """A measured curve: `t` in seconds, `v` in `unit`."""

    __tablename__ = "evidence_series"
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id", primary=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    name: Mapped[str]
    unit: Mapped[str]
    t: Mapped[list[float]] = mapped_column(ARRAY(Float(53)))
    v: Mapped[list[float | None]] = mapped_column(ARRAY(Float(53)))
    threshold: Mapped[float | None]


class EvidenceRegion(Base):
    """A place in the media: x, y, width, height in pixels; `t` in seconds."""

    __tablename__ = "evidence_regions"
    analysis_id: Mapped[uuid.UUID] = _parent("analyses.id", primary=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    t: Mapped[float | None]
    x: Mapped[float]
    y: Mapped[float]
    width: Mapped[float]
    height: Mapped[float]
    score: Mapped[float | None]
    label: Mapped[str]


class Event(Base):
    """A durable event of one user. No foreign key to media: the sequence keeps its numbers when media are erased."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("user_id", "seq"), Index("ix_events_media_id_seq", "media_id", "seq"))
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = _parent("users.id")
    seq: Mapped[int] = mapped_column(BigInteger)
    media_id: Mapped[uuid.UUID | None]
    run_id: Mapped[uuid.UUID | None]
    type: Mapped[str]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class EventCounter(Base):
    """The last sequence number of each user; taken last in a transaction."""

    __tablename__ = "event_counters"
    user_id: Mapped[uuid.UUID] = _parent("users.id", primary=True)
    last_seq: Mapped[int] = mapped_column(BigInteger)


class Outbox(Base):
    """A wish towards the cluster or the object store: (create, run id) or (erase, media id)."""

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("kind IN ('create', 'erase')", name="kind_known"),
        Index("ix_outbox_due", "next_try_at", postgresql_where=text("rejected_at IS NULL")),
    )
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    next_try_at: Mapped[datetime] = _now()
    tries: Mapped[int] = mapped_column(server_default="0")
    last_error: Mapped[str | None]
    rejected_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = _now()


class IdempotencyKey(Base):
    """The first answer to a request that may be repeated."""

    __tablename__ = "idempotency_keys"
    user_id: Mapped[uuid.UUID] = _parent("users.id", primary=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str | None]
    status_code: Mapped[int | None]
    response: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class ServerHealth(Base):
    """One look at the ML service."""

    __tablename__ = "server_health"
    __table_args__ = (CheckConstraint("status IN ('HEALTHY', 'DEGRADED', 'UNHEALTHY')", name="status_known"),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    status: Mapped[str]
    response_time_ms: Mapped[float | None]
    checked_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    version: Mapped[str | None]
    error_message: Mapped[str | None]
    stats_payload: Mapped[dict[str, Any] | None]
