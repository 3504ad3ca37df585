"""What a result brought: the children of an analysis, written once with it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Float,
    ForeignKey,
    Integer,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, made_now, parent


class AnalysisMetric(Base):
    """A number that the model reports."""

    __tablename__ = "analysis_metrics"
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id", primary=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float]


class AnalysisFact(Base):
    """Something the model saw: exactly one of number, flag and text is set, or none when the value is null."""

    __tablename__ = "analysis_facts"
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id", primary=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[float | None]
    flag: Mapped[bool | None]
    text: Mapped[str | None]


class AnalysisLimit(Base):
    """A sentence about what the model cannot see."""

    __tablename__ = "analysis_limits"
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id", primary=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    text: Mapped[str]


class AnalysisDetails(Base):
    """Summary of a video's frame scores. `confidence_std` is a standard deviation."""

    __tablename__ = "analysis_details"
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id", primary=True)
    frame_count: Mapped[int | None]
    avg_confidence: Mapped[float | None]
    confidence_std: Mapped[float | None]
    temporal_consistency: Mapped[float | None]
    rolling_average: Mapped[float | None]


class FrameAnalysis(Base):
    """One examined frame: `score` is P(fake), `timestamp` in seconds."""

    __tablename__ = "frame_analysis"
    __table_args__ = (CheckConstraint("score BETWEEN 0 AND 1", name="score_is_fraction"),)
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id", primary=True)
    frame_number: Mapped[int] = mapped_column(primary_key=True)
    score: Mapped[float]
    prediction: Mapped[str]
    timestamp: Mapped[float | None]


class TemporalAnalysis(Base):
    """What the frame scores say over time."""

    __tablename__ = "temporal_analysis"
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id", primary=True)
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
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id", primary=True)
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
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id", primary=True)
    width: Mapped[int | None]
    height: Mapped[int | None]


class ModelInfo(Base):
    """About the model that answered. Load time in ms, memory in MB."""

    __tablename__ = "model_info"
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id", primary=True)
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
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id", primary=True)
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


class Artifact(Base):
    """Bytes that came with a result: a picture, the raw answer. Unlisted ones are collected."""

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("attempt_id", "name"),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    analysis_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("analyses.id", ondelete="CASCADE"), index=True)
    attempt_id: Mapped[uuid.UUID] = parent("attempts.id")
    kind: Mapped[str]
    name: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    mimetype: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    listed: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[datetime] = made_now()


class EvidenceSeries(Base):
    """A measured curve: `t` in seconds, `v` in `unit`."""

    __tablename__ = "evidence_series"
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id", primary=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    name: Mapped[str]
    unit: Mapped[str]
    t: Mapped[list[float]] = mapped_column(ARRAY(Float(53)))
    v: Mapped[list[float | None]] = mapped_column(ARRAY(Float(53)))
    threshold: Mapped[float | None]


class EvidenceRegion(Base):
    """A place in the media: x, y, width, height in pixels; `t` in seconds."""

    __tablename__ = "evidence_regions"
    analysis_id: Mapped[uuid.UUID] = parent("analyses.id", primary=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    t: Mapped[float | None]
    x: Mapped[float]
    y: Mapped[float]
    width: Mapped[float]
    height: Mapped[float]
    score: Mapped[float | None]
    label: Mapped[str]
