"""All tables. Snake case; children cascade; sizes are BIGINT; enums are text with a CHECK.

Triggers that hold the invariants in the database itself stand in the migrations, where Alembic keeps them.
"""

from .base import Base
from .machinery import Event, EventCounter, IdempotencyKey, Outbox, ServerHealth
from .media import AudioMetadata, ImageMetadata, Media, VideoMetadata
from .people import Session, User
from .results import (
    AnalysisDetails,
    AnalysisFact,
    AnalysisLimit,
    AnalysisMetric,
    Artifact,
    AudioAnalysis,
    EvidenceRegion,
    EvidenceSeries,
    FrameAnalysis,
    ImageAnalysis,
    ModelInfo,
    SystemInfo,
    TemporalAnalysis,
)
from .runs import Analysis, AnalysisError, Attempt, Run

__all__ = [
    "Analysis",
    "AnalysisDetails",
    "AnalysisError",
    "AnalysisFact",
    "AnalysisLimit",
    "AnalysisMetric",
    "Artifact",
    "Attempt",
    "AudioAnalysis",
    "AudioMetadata",
    "Base",
    "Event",
    "EventCounter",
    "EvidenceRegion",
    "EvidenceSeries",
    "FrameAnalysis",
    "IdempotencyKey",
    "ImageAnalysis",
    "ImageMetadata",
    "Media",
    "ModelInfo",
    "Outbox",
    "Run",
    "ServerHealth",
    "Session",
    "SystemInfo",
    "TemporalAnalysis",
    "User",
    "VideoMetadata",
]
