"""`resultPayload`: an analysis composed from its rows in the ML service's own form, which one front end draws from.

Snake case, as a dialect-3 service answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drishtiksha.database.children import Children
from drishtiksha.database.media_views import FrameSeen
from drishtiksha.database.tables import Analysis


def result_payload(row: Analysis, of: Children, media_type: str, frames: Sequence[FrameSeen]) -> dict[str, Any] | None:
    """Null unless COMPLETED; in a list without its frames."""
    if row.status != "COMPLETED":
        return None
    common: dict[str, Any] = {
        "media_type": media_type.lower(),
        "model_name": row.model,
        "prediction": row.prediction,
        "confidence": row.confidence,
        "processing_time": row.processing_time,
        "note": row.note,
        "system_info": _system(of),
    }
    match media_type:
        case "VIDEO":
            return common | _video(row, of, frames)
        case "AUDIO":
            return common | _audio(of)
        case _:
            return common | _image(of)


def _video(row: Analysis, of: Children, frames: Sequence[FrameSeen]) -> dict[str, Any]:
    return {
        "frame_count": of.details.frame_count if of.details else row.frames_total,
        "frames_analyzed": row.frames_total,
        "frame_predictions": [{"index": f.frame_number, "score": f.score, "prediction": f.prediction} for f in frames],
        "metrics": {metric.name: metric.value for metric in of.metrics},
    }


def _audio(of: Children) -> dict[str, Any]:
    figures = of.audio
    if figures is None:
        return dict.fromkeys(("properties", "pitch", "energy", "spectral", "voice_quality", "visualization"))
    return {
        "properties": {
            "duration_seconds": figures.duration_seconds,
            "sample_rate": figures.sample_rate,
            "channels": figures.channels,
        },
        "pitch": {"mean_pitch_hz": figures.mean_pitch_hz, "pitch_stability_score": figures.pitch_stability_score},
        "energy": {"rms_energy": figures.rms_energy, "silence_ratio": figures.silence_ratio},
        "spectral": {
            "spectral_centroid": figures.spectral_centroid,
            "spectral_contrast": figures.spectral_contrast,
        },
        "voice_quality": figures.voice_quality or None,
        "visualization": None,
    }


def _image(of: Children) -> dict[str, Any]:
    size = {"width": of.image.width, "height": of.image.height} if of.image else None
    return {"dimensions": size, "heatmap_scores": [], "visualization_path": None}


def _system(of: Children) -> dict[str, Any] | None:
    info = of.system_info
    if info is None:
        return None
    return {
        "processing_device": info.processing_device,
        "server_version": info.server_version,
        "python_version": info.python_version,
        "node_name": info.node_name,
    }
