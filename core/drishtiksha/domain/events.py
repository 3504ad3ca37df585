"""The durable events: their names, their sentences, and the message a client gets.

An event is written in the transaction of the change that it tells; only what clients receive is stored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .errors import ErrorClass
from .status import RunStatus
from .verdict import Verdict


class EventType(StrEnum):
    """Durable events carry a per-user sequence number; nothing else may use these names."""

    RUN_QUEUED = "RUN_QUEUED"
    ANALYSIS_QUEUED = "ANALYSIS_QUEUED"
    PROCESSING_STARTED = "PROCESSING_STARTED"
    ANALYSIS_STARTED = "ANALYSIS_STARTED"
    ANALYSIS_RETRYING = "ANALYSIS_RETRYING"
    ANALYSIS_COMPLETED = "ANALYSIS_COMPLETED"
    ANALYSIS_FAILED = "ANALYSIS_FAILED"
    RUN_COMPLETED = "RUN_COMPLETED"
    MEDIA_DELETED = "MEDIA_DELETED"


FRAME_PROGRESS = "FRAME_ANALYSIS_PROGRESS"
"""The one ephemeral event of ours: no sequence number, never stored."""

_EPHEMERAL = re.compile(r"^(AUDIO|SPECTROGRAM|VISUALIZATION|WINDOW|FACE)_[A-Z_]+$")


def may_pass_as_progress(name: str) -> bool:
    """Whether an ephemeral event from a runner or an ML service may reach clients; durable names never may."""
    return name == FRAME_PROGRESS or _EPHEMERAL.fullmatch(name) is not None


@dataclass(frozen=True)
class Event:
    """One thing to tell the owner: `message` is a sentence, `data` JSON values with camelCase keys."""

    type: EventType
    message: str
    data: dict[str, Any] = field(default_factory=dict)


def _of_model(model: str) -> dict[str, Any]:
    return {"modelName": model, "model_name": model}


def run_queued(number: int) -> Event:
    """A run exists: after an upload, or a rerun."""
    return Event(EventType.RUN_QUEUED, "Queued for analysis.", {"runNumber": number})


def analysis_queued(model: str) -> Event:
    """A model will examine the media: written when the set of models is frozen."""
    return Event(EventType.ANALYSIS_QUEUED, f"{model} is queued.", {**_of_model(model), "progress": 0, "total": 100})


def processing_started() -> Event:
    """The first model of the run has started."""
    return Event(EventType.PROCESSING_STARTED, "The analysis has started.")


def analysis_started(model: str, attempt: int) -> Event:
    """A runner has called for this model."""
    return Event(EventType.ANALYSIS_STARTED, f"{model} has started.", {**_of_model(model), "attempt": attempt})


def analysis_retrying(model: str, attempt: int, error_class: ErrorClass, message: str, delay: float) -> Event:
    """An attempt failed and another one follows, not before `delay` seconds."""
    data = {"attempt": attempt, "errorClass": error_class, "error": message, "error_message": message, "delay": delay}
    return Event(EventType.ANALYSIS_RETRYING, f"{model} failed once and is tried again.", {**_of_model(model), **data})


def analysis_completed(model: str, prediction: str, confidence: float, version: str) -> Event:
    """A model's result is stored."""
    data = {
        "success": True,
        "prediction": prediction,
        "confidence": confidence,
        "modelVersion": version,
        "progress": 100,
    }
    return Event(EventType.ANALYSIS_COMPLETED, f"{model} has finished.", {**_of_model(model), **data, "total": 100})


def analysis_failed(model: str, error_class: ErrorClass, message: str) -> Event:
    """A model will give no result in this run."""
    data = {"success": False, "errorClass": error_class, "error": message, "error_message": message}
    return Event(EventType.ANALYSIS_FAILED, f"{model} has failed.", {**_of_model(model), **data})


def run_completed(
    status: RunStatus, reason: ErrorClass | None, verdict: Verdict | None, total: int, completed: int, failed: int
) -> Event:
    """The run is final."""
    told = None
    if verdict is not None:
        told = {"label": verdict.label, "basis": verdict.basis, "score": verdict.score, "models": list(verdict.models)}
    data = {"status": status, "reason": reason, "verdict": told}
    counts = {"totalAnalyses": total, "completedAnalyses": completed, "failedAnalyses": failed}
    return Event(EventType.RUN_COMPLETED, "The analysis has ended.", {**data, **counts})
