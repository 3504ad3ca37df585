"""One analysis as clients see it, from its rows. Keys inside `facts`, `metrics` and the like are data.

Stands below `media.py`. `Depth` says how much: lists leave per-frame arrays and series empty, summaries all children.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from drishtiksha.database.children import Child, Children, Depth
from drishtiksha.database.frames import Frame
from drishtiksha.database.media_views import FrameSeen
from drishtiksha.database.tables import Analysis
from drishtiksha.domain.status import AnalysisStatus

from .values import columns, maybe_moment, moment, with_unit

_PICTURES = ("heatmap", "visualization", "votes", "overlay", "picture", "spectrogram")
ArtifactLink = Callable[[uuid.UUID], str]
"""An artifact's id to its signed link."""


def analysis(
    row: Analysis,
    of: Children,
    media_type: str,
    frames: Sequence[FrameSeen],
    link: ArtifactLink,
    depth: Depth = Depth.FULL,
) -> dict[str, Any]:
    """The whole analysis object of one model; `of` are its children, `frames` evenly spaced if there were too many."""
    children = _no_children() if depth is Depth.SUMMARY else _children(of, media_type, frames, link, depth)
    return {
        "id": str(row.id),
        "mediaId": str(row.media_id),
        "runId": str(row.run_id),
        "model": row.model,
        "modelName": row.model,
        "modelVersion": row.model_version or None,
        "prediction": row.prediction,
        "confidence": row.confidence,
        "score": row.score,
        "processingTime": row.processing_time,
        "analysisType": row.analysis_type,
        "status": row.status,
        "errorMessage": row.error_message,
        "errorClass": row.error_class,
        **_pending(row),
        "timestamp": moment(row.finished_at or row.created_at),
        "createdAt": moment(row.created_at),
        "updatedAt": moment(row.updated_at),
        "attempt": row.attempt,
        "basis": row.basis,
        "finding": row.finding,
        "measure": _measure(row),
        "calibration": _calibration(row),
        "inconclusiveReason": row.inconclusive_reason,
        "coverage": _coverage(row),
        "note": row.note,
        "framesTotal": row.frames_total,
        **children,
    }


def frame_row(row: Frame) -> dict[str, Any]:
    """One frame by itself: with whose it is."""
    return {
        "model": row.model,
        "analysisId": str(row.analysis_id),
        "frameNumber": row.number,
        "confidence": row.score,
        "score": row.score,
        "prediction": row.prediction,
        "timestamp": row.timestamp,
    }


def _children(
    row: Children, media_type: str, frames: Sequence[FrameSeen], link: ArtifactLink, depth: Depth
) -> dict[str, Any]:
    video, full = media_type == "VIDEO", depth is Depth.FULL
    listed = [a for a in row.artifacts if a.listed]
    return {
        "visualizedUrl": _visualized(listed, link),
        "limits": [limit.text for limit in row.limits],
        "facts": {fact.name: _fact(fact) for fact in row.facts},
        "metrics": {metric.name: metric.value for metric in row.metrics},
        "evidence": {"series": _series(row) if full else [], "regions": _regions(row) if full else []},
        "analysisDetails": _details(row) if video else None,
        "frameAnalysis": [_frame(f) for f in frames] if video else [],
        "temporalAnalysis": _temporal(row) if video else None,
        "audioAnalysis": _audio(row, listed, link) if media_type == "AUDIO" else None,
        "imageAnalysis": columns(row.image, "width", "height") if row.image else None,
        "modelInfo": _model_info(row),
        "systemInfo": _system_info(row),
        "errors": [_error(error) for error in row.errors],
        "artifacts": [_artifact(artifact, link) for artifact in listed],
    }


def _no_children() -> dict[str, Any]:
    """The same keys without a value: a summary does not load the rows behind them."""
    return {
        **dict.fromkeys((
            "visualizedUrl", "analysisDetails", "temporalAnalysis", "audioAnalysis", "imageAnalysis", "modelInfo",
            "systemInfo",
        )),
        "limits": [], "facts": {}, "metrics": {}, "evidence": {"series": [], "regions": []},
        "frameAnalysis": [], "errors": [], "artifacts": [],
    }  # fmt: skip


def _pending(row: Analysis) -> dict[str, str | None]:
    """Why it has not started, or not again, in a word and a sentence; both null when it waits for nothing."""
    reason, message = row.pending_reason, row.pending_message
    if row.status == AnalysisStatus.PENDING and row.attempt == 0:  # an attempt is a place
        reason, message = "WaitingForPlace", "Waiting for a free place."
    return {"pendingReason": reason, "pendingMessage": message}


def attempt(row: Child) -> dict[str, Any]:
    """One attempt of an analysis."""
    return {
        "number": row.number,
        "state": row.state,
        "reason": row.error_class or row.reason,
        "node": row.node,
        "jobName": row.job_name,
        "startedAt": maybe_moment(row.started_at),
        "finishedAt": maybe_moment(row.finished_at),
    }


def _frame(row: FrameSeen) -> dict[str, Any]:
    return {
        "frameNumber": row.frame_number,
        "confidence": row.score,
        "score": row.score,
        "prediction": row.prediction,
        "timestamp": row.timestamp,
    }


def _visualized(listed: Sequence[Child], link: ArtifactLink) -> str | None:
    pictures = [a for a in listed if a.mimetype.startswith("image/")]
    pictures.sort(key=lambda a: (_PICTURES.index(a.kind) if a.kind in _PICTURES else len(_PICTURES), a.name))
    return link(pictures[0].id) if pictures else None


def _measure(row: Analysis) -> dict[str, Any] | None:
    if row.measure_name is None:
        return None
    return {"value": row.measure_value, "kind": row.measure_kind, "name": row.measure_name}


def _calibration(row: Analysis) -> dict[str, Any] | None:
    if row.calibration_kind is None:
        return None
    names = ("kind", "bound", "source", "auc", "n")
    return {name: getattr(row, f"calibration_{name}") for name in names}


def _coverage(row: Analysis) -> dict[str, Any] | None:
    names = ("analysed_seconds", "total_seconds", "frames")
    values = [getattr(row, f"coverage_{name}") for name in names]
    if all(value is None for value in values):
        return None
    return dict(zip(("analysedSeconds", "totalSeconds", "frames"), values, strict=True))


def _fact(row: Child) -> float | bool | str | None:
    said: tuple[float | bool | str | None, ...] = (row.flag, row.number, row.text)
    return next((one for one in said if one is not None), None)


def _series(row: Children) -> list[dict[str, Any]]:
    return [columns(series, "name", "unit", "t", "v", "threshold") for series in row.series]


def _regions(row: Children) -> list[dict[str, Any]]:
    return [{"t": r.t, "box": [r.x, r.y, r.width, r.height], "score": r.score, "label": r.label} for r in row.regions]


def _details(row: Children) -> dict[str, Any] | None:
    names = ("frame_count", "avg_confidence", "confidence_std", "temporal_consistency", "rolling_average")
    return columns(row.details, *names) if row.details else None


def _temporal(row: Children) -> dict[str, Any] | None:
    names = (
        "consistency_score", "pattern_detection", "anomaly_frames", "confidence_trend",
        "total_frames", "fake_frames", "real_frames", "avg_confidence",
    )  # fmt: skip
    return columns(row.temporal, *names) if row.temporal else None


def _audio(row: Children, listed: Sequence[Child], link: ArtifactLink) -> dict[str, Any] | None:
    if row.audio is None:
        return None
    names = (
        "mean_pitch_hz", "pitch_stability_score", "rms_energy", "silence_ratio", "spectral_centroid",
        "spectral_contrast",
    )  # fmt: skip
    drawn = next((link(a.id) for a in listed if a.kind == "spectrogram"), None)
    return {**columns(row.audio, *names), "spectrogramUrl": drawn, "spectrogramData": None}


def _model_info(row: Children) -> dict[str, Any] | None:
    info = row.model_info
    if info is None:
        return None
    names = ("model_name", "version", "architecture", "device", "batch_size", "num_frames", "model_size", "load_time")
    return {**columns(info, *names), "memoryUsage": with_unit(info.memory_usage, "MB")}


def _system_info(row: Children) -> dict[str, Any] | None:
    names = (
        "gpu_memory_used", "gpu_memory_total", "processing_device", "cuda_available", "cuda_version",
        "system_memory_used", "system_memory_total", "cpu_usage", "server_version", "python_version",
        "torch_version", "node_name", "request_id",
    )  # fmt: skip
    return columns(row.system_info, *names) if row.system_info else None


def _error(row: Child) -> dict[str, Any]:
    return {
        "errorType": row.error_class,
        **columns(row, "error_message", "attempt", "retryable", "server_response"),
        "createdAt": moment(row.created_at),
    }


def _artifact(row: Child, link: ArtifactLink) -> dict[str, Any]:
    return {**columns(row, "kind", "name", "mimetype", "size", "sha256"), "url": link(row.id)}
