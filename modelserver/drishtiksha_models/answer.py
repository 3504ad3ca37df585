"""What a detector said, as the `data` of the ML contract: pure, from one `Examination` to one JSON object.

The shape of the extension (finding, calibration, evidence …) is that of the detectors' result schema; beside it stand
the fields that readers of dialect 3 know. `prediction` and `confidence` follow from the finding, never the other way.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

from drishtiksha.domain.media import MediaType

from .detector import AudioFigures, Detector, Examination, Fact, Finding, MediaFile, Picture, Series

SCHEMA = "drishtiksha.io/result/v1"
FAKE_FROM = 0.6
"""A calibrated probability of FAKE at or above this is called FAKE."""
REAL_TO = 0.4
"""A calibrated probability of FAKE at or below this is called REAL."""
MAX_PICTURES = 16
MAX_PICTURE_BYTES = 4 * 1024 * 1024
MAX_POINTS = 20_000

_DECLARED = frozenset({Finding.DECLARED_SYNTHETIC, Finding.TAMPERED_AFTER_SIGNING})
_MEASURED = frozenset({Finding.SYNTHETIC_MARKED, Finding.MANIPULATED_REGION})


def prediction(examination: Examination) -> tuple[str, float]:
    """The stated prediction and the confidence in it, 0..1.

    1 for a declaration, 1 - bound for a measured finding, P(prediction) for a calibrated probability, else 0.5.
    """
    bound, p = examination.calibration.bound, examination.probability_fake
    if examination.finding in _DECLARED:
        return "FAKE", 1.0
    if examination.finding in _MEASURED and bound is not None:
        return "FAKE", 1.0 - bound
    if p is not None and p >= FAKE_FROM:
        return "FAKE", p
    if p is not None and p <= REAL_TO:
        return "REAL", 1.0 - p
    return "INCONCLUSIVE", 0.5


def data(detector: Detector, media: MediaFile, examination: Examination, seconds: float) -> dict[str, Any]:
    """The `data` object for one examination that took `seconds`. Raises ValueError on a number that is not finite."""
    stated, confidence = prediction(examination)
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "detector": {
            "name": detector.name,
            "version": detector.version,
            "modality": str(media.media_type).lower(),
        },
        "model_name": detector.name,
        "media_type": str(media.media_type).lower(),
        "status": str(examination.status),
        "prediction": stated,
        "confidence": confidence,
        "processing_time": round(seconds, 4),
        "timing_ms": round(seconds * 1000),
        "note": examination.note or examination.inconclusive_reason,
        "finding": str(examination.finding),
        "probability_fake": examination.probability_fake,
        "score": _score(examination),
        "calibration": _calibration(examination),
        "evidence": {
            "series": [_series(s) for s in examination.series],
            "regions": [
                {"t": r.t, "box": [float(x) for x in r.box], "score": r.score, "label": r.label}
                for r in examination.regions
            ],
            "images": [_picture(p) for p in _fitting(examination.images)],
            "facts": {name: _plain(value) for name, value in examination.facts.items()},
        },
        "inconclusive_reason": examination.inconclusive_reason,
        "coverage": _coverage(examination),
        "limits": [*detector.limits, *examination.limits],
        "metrics": {name: float(value) for name, value in examination.metrics.items()},
    }
    body.update(_by_kind(media.media_type, examination))
    _check_finite(body, "data")
    return body


def _by_kind(kind: MediaType, examination: Examination) -> dict[str, Any]:
    """The fields that dialect 3 has for one kind of media. Our frames have no P(fake), so none is stated."""
    if kind is MediaType.VIDEO:
        frames = examination.coverage.frames if examination.coverage else None
        return {"frame_count": frames, "frames_analyzed": frames, "frame_predictions": []}
    if kind is MediaType.AUDIO:
        return _audio(examination.audio or AudioFigures())
    return {
        "dimensions": {"width": examination.width, "height": examination.height},
        "heatmap_scores": [],
        "visualization_path": None,
    }


def _audio(figures: AudioFigures) -> dict[str, Any]:
    return {
        "properties": {
            "duration_seconds": figures.duration_seconds,
            "sample_rate": figures.sample_rate,
            "channels": figures.channels,
        },
        "pitch": {
            "mean_pitch_hz": figures.mean_pitch_hz,
            "pitch_stability_score": figures.pitch_stability_score,
        },
        "energy": {"rms_energy": figures.rms_energy, "silence_ratio": figures.silence_ratio},
        "spectral": {
            "spectral_centroid": figures.spectral_centroid,
            "spectral_contrast": figures.spectral_contrast,
        },
        "voice_quality": {},
        "visualization": {"spectrogram_url": None, "spectrogram_data": None},
    }


def _score(examination: Examination) -> dict[str, Any] | None:
    score = examination.score
    return None if score is None else {"value": float(score.value), "kind": score.kind, "name": score.name}


def _calibration(examination: Examination) -> dict[str, Any]:
    c = examination.calibration
    return {"kind": c.kind, "bound": c.bound, "source": c.source or None, "auc": c.auc, "n": c.n}


def _coverage(examination: Examination) -> dict[str, Any] | None:
    c = examination.coverage
    return None if c is None else {"analysed_s": c.analysed_s, "total_s": c.total_s, "frames": c.frames}


def _series(series: Series) -> dict[str, Any]:
    """One curve, thinned evenly to MAX_POINTS so that an answer stays bounded."""
    step = max(1, math.ceil(len(series.t) / MAX_POINTS))
    return {
        "name": series.name,
        "unit": series.unit,
        "t": [float(t) for t in series.t[::step]],
        "v": [None if v is None else float(v) for v in series.v[::step]],
        "threshold": series.threshold,
    }


def _fitting(pictures: Sequence[Picture]) -> list[Picture]:
    return [p for p in pictures if len(p.data) <= MAX_PICTURE_BYTES][:MAX_PICTURES]


def _picture(picture: Picture) -> dict[str, Any]:
    return {
        "kind": picture.kind,
        "name": picture.name,
        "mimetype": picture.mimetype,
        "sha256": picture.sha256,
        "data": base64.b64encode(picture.data).decode("ascii"),
    }


def _plain(value: Fact) -> Fact:
    """A number of any numeric library as Python's own."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return float(value)


def _check_finite(value: object, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is not finite")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_finite(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_finite(inner, f"{where}[{index}]")
