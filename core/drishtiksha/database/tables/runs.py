"""Runs, their analyses, and each attempt: what moves while a media is examined."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ...domain.analysis import Basis, Finding, Prediction
from ...domain.errors import ErrorClass
from ...domain.status import AnalysisStatus, AttemptState, RunStatus
from .base import Base, made_now, one_of, parent


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
    media_id: Mapped[uuid.UUID] = parent("media.id")
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
    created_at: Mapped[datetime] = made_now()
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
        Index("ix_analyses_finished_at", "finished_at", postgresql_include=["model", "status", "processing_time"]),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run_id: Mapped[uuid.UUID] = parent("analysis_runs.id")
    media_id: Mapped[uuid.UUID] = parent("media.id")
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
    created_at: Mapped[datetime] = made_now()
    updated_at: Mapped[datetime] = made_now()
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


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
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id")
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
    created_at: Mapped[datetime] = made_now()
    seen_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    job_ended_at: Mapped[datetime | None]


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
    created_at: Mapped[datetime] = made_now()
