"""What the service tells about itself: the JSON of `/stats`, from plain values. `metrics.py` has the text of `/metrics`."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from drishtiksha import __version__
from drishtiksha.domain.media import MediaType

from .settings import ModelService

SERVICE_VERSION = "3.0.0"
"""Its first number is the dialect of the ML contract that clients choose by it."""


def stats(
    settings: ModelService,
    models: Sequence[Mapping[str, Any]],
    inferences: Mapping[str, int],
    uptime: float,
    memory_mb: float,
) -> dict[str, Any]:
    """The answer of `GET /stats`."""
    return {
        "service_name": "drishtiksha-models",
        "version": SERVICE_VERSION,
        "status": "ok",
        "uptime_seconds": round(uptime, 3),
        "device_info": {
            "type": "cpu",
            "name": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "cuda_available": any(model["device"] == "cuda" for model in models),
        },
        "system_info": {
            "python_version": platform.python_version(),
            "platform": platform.platform(),
            "release": __version__,
            "node_name": platform.node(),
        },
        "models_info": [_model(m, inferences.get(m["name"], 0), memory_mb) for m in models],
        "active_models_count": sum(bool(m["loaded"]) for m in models),
        "total_models_count": len(models),
        "configuration": {
            "workers": settings.workers,
            "waiting": settings.waiting,
            "max_upload_bytes": settings.max_upload_bytes,
            "analysis_deadline_seconds": settings.analysis_deadline,
            "trust_anchors": settings.trust_anchors is not None,
            "progress_channel": settings.progress_channel if settings.redis_url else None,
        },
    }


def _model(model: Mapping[str, Any], inferences: int, memory_mb: float) -> dict[str, Any]:
    """One entry of models_info. `memory_usage_mb` is that of the worker process that holds all detectors, or of the process
    that runs the network of a bundle."""
    kinds = model["media_types"]
    return {
        "name": model["name"],
        "class_name": model["class_name"],
        "description": model["description"] if model["loaded"] else f"Not loaded: {model['reason']}",
        "loaded": model["loaded"],
        "reason": model["reason"],
        "version": model["version"],
        "device": model["device"],
        "model_path": None,
        "isAudio": MediaType.AUDIO in kinds,
        "isVideo": MediaType.VIDEO in kinds,
        "isImage": MediaType.IMAGE in kinds,
        "isMultiModal": False,
        "limits": model["limits"],
        "memory_usage_mb": round(model.get("memory_mb") or memory_mb, 1) if model["loaded"] else None,
        "load_time": round(model["load_ms"], 3) if model["load_ms"] is not None else None,
        "inference_count": inferences,
    }
