"""An answer of an ML service becomes the result of the runner protocol. Pure: values in, values out.

The rule that cannot bend: what is not clearly the answer of the model that was asked is never stored under its name.
`dialects`, `evidence` and `pictures` do the parts; `run` hands in what comes out.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass

from drishtiksha.domain.dialect import NEW

from .body import MAX_PLAIN, contract
from .dialects import opened
from .door import Artifact
from .evidence import Tables, mapping, number, score, text, thin
from .pictures import RAW_NAME, Album, Fetched
from .service import Service

PREDICTIONS = ("REAL", "FAKE", "INCONCLUSIVE")
FINDINGS = (
    "NONE",
    "SUSPICIOUS",
    "DECLARED_SYNTHETIC",
    "SYNTHETIC_MARKED",
    "MANIPULATED_REGION",
    "TAMPERED_AFTER_SIGNING",
)
CALIBRATIONS = ("none", "nfa", "p-value", "empirical")
MAX_FRAMES = 200_000
MAX_LIMITS = 50
MEDIA_KEYS = ("mediaId", "media_id", "videoId", "video_id")
"""Under one of these a service may say which media it speaks of."""

_AUDIO = {
    ("pitch", "mean_pitch_hz"): "meanPitchHz",
    ("pitch", "pitch_stability_score"): "pitchStabilityScore",
    ("energy", "rms_energy"): "rmsEnergy",
    ("energy", "silence_ratio"): "silenceRatio",
    ("spectral", "spectral_centroid"): "spectralCentroid",
    ("spectral", "spectral_contrast"): "spectralContrast",
    ("properties", "duration_seconds"): "durationSeconds",
    ("properties", "sample_rate"): "sampleRate",
    ("properties", "channels"): "channels",
}


@dataclass(frozen=True)
class Asked:
    """What was asked, and of whom: the model, the version frozen with the run, the media, and the seconds it took.

    `dialect`: in which it was asked, 2 or 3.
    """

    model: str
    model_version: str
    media_id: str
    polarity: str
    seconds: float
    service: Service
    dialect: int = NEW


def normalise(
    answer: dict[str, object], asked: Asked, fetched: Sequence[Fetched] = ()
) -> tuple[dict[str, object], list[Artifact]]:
    """The result as the door takes it, and the artifacts that it lists. Takes pictures out of `answer`.

    `fetched`: what came of the pictures that the answer points to.

    Raises Fault ML_CONTRACT when the answer breaks the contract: another model's, about another media, no prediction,
    a score outside 0..1, a number that is not finite, too many frames.
    """
    plain = opened(answer, asked.model, asked.dialect)
    data = plain.data
    for part in (answer, data):
        if other := [part[key] for key in MEDIA_KEYS if part.get(key) not in (None, "", asked.media_id)]:
            raise contract("The answer is about another media than the one sent.", text(json.dumps(other), 300))
    evidence = mapping(data.get("evidence"))
    album = Album()
    album.take(evidence.get("images"))
    album.hang(fetched)
    album.draw(data)
    raw = _dump(plain.said)

    tables = Tables()
    frames = _frames(data.get("frame_predictions"), asked.polarity)
    result: dict[str, object] = {
        "protocol": 1,
        "model": asked.model,
        "modelVersion": asked.service.model_version or asked.model_version,
        **_claim(data),
        **_finding(data),
        "processingTime": max(0.0, number(data.get("processing_time")) or asked.seconds),
        "frames": frames,
        "modelInfo": asked.service.model_info,
        "systemInfo": asked.service.system_info,
    }
    if (coverage := _coverage(data)) is not None:
        result["coverage"] = coverage
    count = _whole(data.get("frame_count"))
    result["frameCount"] = count if count is not None else len(frames) or None
    _figures(data, evidence, tables, frames)
    if audio := _audio(data, tables):
        result["audio"] = audio
    dimensions = mapping(data.get("dimensions"))
    if dimensions:
        result["image"] = {"width": _whole(dimensions.get("width")), "height": _whole(dimensions.get("height"))}

    told = data.get("limits")
    own = [sentence for limit in (told if isinstance(told, list) else []) if (sentence := text(limit))]
    note = " ".join(part for part in [text(data.get("note"), 2500) or "", *album.notes] if part)
    result |= {
        "note": note[:4000] or None,
        "limits": (own[: MAX_LIMITS - len(tables.limits)] + tables.limits)[:MAX_LIMITS],
        "facts": tables.facts,
        "metrics": tables.metrics,
        "series": tables.series,
        "regions": tables.regions,
    }
    artifacts = [*album.pictures, Artifact(RAW_NAME, "ml-response", "application/gzip", gzip.compress(raw, 6, mtime=0))]
    return result, artifacts


def encode(result: dict[str, object], artifacts: list[str]) -> bytes:
    """The result's JSON with the names of its artifacts, slimmed when it would be larger than 16 MiB.

    Raises Fault ML_CONTRACT if it is still too large.
    """
    listed = {key: value for key, value in result.items() if value not in (None, [], {})} | {"artifacts": artifacts}
    body = _dump(listed)
    if len(body) > MAX_PLAIN:
        _slim(listed)
        body = _dump(listed)
    if len(body) > MAX_PLAIN:
        raise contract(f"The model's answer does not fit in a result of {MAX_PLAIN} bytes.")
    return body


def _slim(listed: dict[str, object]) -> None:
    """Make a very long result fit: fewer points on its curves, fewer digits in its frames (raw: ml-response)."""
    for curve in _objects(listed.get("series")):
        thin(curve, 1000)
    for frame in _objects(listed.get("frames")):
        for key, digits in (("score", 4), ("timestamp", 3)):
            if isinstance(value := frame.get(key), float):
                frame[key] = round(value, digits)


def _objects(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []


def _claim(data: dict[str, object]) -> dict[str, object]:
    """What the service claims for readers who do not know the extension."""
    prediction = data.get("prediction")
    if prediction not in PREDICTIONS:
        raise contract("The model's prediction is none of REAL, FAKE, INCONCLUSIVE.", text(json.dumps(prediction), 300))
    confidence = data.get("confidence")
    if confidence is None and (prediction == "INCONCLUSIVE" or data.get("finding") is not None):
        return {"prediction": prediction}
    return {"prediction": prediction, "confidence": score(confidence, "confidence")}


def _finding(data: dict[str, object]) -> dict[str, object]:
    """The extension: finding, probability, the detector's own statistic and how far it can be trusted."""
    made: dict[str, object] = {}
    if (finding := data.get("finding")) is not None:
        if finding not in FINDINGS:
            raise contract("The model's finding is none that the contract knows.", text(json.dumps(finding), 300))
        made["finding"] = finding
    if data.get("probability_fake") is not None:
        made["probabilityFake"] = score(data["probability_fake"], "probability_fake")
    if isinstance(measure := data.get("score"), dict):
        made["measure"] = {
            "value": number(measure.get("value")),
            "kind": text(measure.get("kind"), 200) or "",
            "name": text(measure.get("name"), 200) or "",
        }
    if isinstance(told := data.get("calibration"), dict):
        if told.get("kind") not in CALIBRATIONS:
            raise contract("The model's calibration is of no kind that the contract knows.")
        calibration: dict[str, object] = {
            "kind": told["kind"],
            "source": text(told.get("source")),
            "n": _whole(told.get("n")),
        }
        for key in ("bound", "auc"):
            calibration[key] = None if told.get(key) is None else score(told[key], f"calibration {key}")
        made["calibration"] = calibration
    if (reason := text(data.get("inconclusive_reason"))) is not None:
        made["inconclusiveReason"] = reason
    return made


def _frames(listed: object, polarity: str) -> list[dict[str, object]]:
    """Frames by number, scores as P(fake)."""
    if listed is None:
        return []
    if not isinstance(listed, list) or len(listed) > MAX_FRAMES:
        raise contract(f"The model's frames are no list of at most {MAX_FRAMES}.")
    frames: dict[int, dict[str, object]] = {}
    for entry in listed:
        told = mapping(entry)
        index = _whole(told.get("index"))
        if index is None:
            raise contract("A frame of the model has no index.")
        if index in frames:
            raise contract(f"The model sent frame {index} twice.")
        value = score(told.get("score"), f"score of frame {index}")
        fake = 1.0 - value if polarity == "real" else value
        prediction = told.get("prediction")
        if prediction not in PREDICTIONS:
            prediction = "FAKE" if fake >= 0.5 else "REAL"
        frame: dict[str, object] = {"number": index, "score": fake, "prediction": prediction}
        if (timestamp := number(told.get("timestamp"))) is not None:
            frame["timestamp"] = timestamp
        frames[index] = frame
    return [frames[index] for index in sorted(frames)]


def _coverage(data: dict[str, object]) -> dict[str, object] | None:
    told = mapping(data.get("coverage"))
    frames = _whole(told.get("frames"))
    made: dict[str, object] = {
        "analysedSeconds": number(told.get("analysed_s")),
        "totalSeconds": number(told.get("total_s")),
        "frames": frames if frames is not None else _whole(data.get("frames_analyzed")),
    }
    return made if any(value is not None for value in made.values()) else None


def _figures(
    data: dict[str, object], evidence: dict[str, object], tables: Tables, frames: list[dict[str, object]]
) -> None:
    times = [at for frame in frames if isinstance(at := frame.get("timestamp"), float)]
    tables.take(mapping(data.get("metrics")), times)
    if (plain := number(data.get("score"))) is not None:
        tables.take({"score": plain}, times)
    tables.curves(evidence.get("series"))
    tables.places(evidence.get("regions"))
    for name, value in (mapping(data.get("facts")) | mapping(evidence.get("facts"))).items():
        tables.fact(name, value)


def _audio(data: dict[str, object], tables: Tables) -> dict[str, object]:
    """Acoustic figures by their names; what else the groups hold goes to metrics and facts with a dotted name."""
    made: dict[str, object] = {}
    for group in ("properties", "pitch", "energy", "spectral"):
        rest = dict(mapping(data.get(group)))
        if group == "properties" and "duration" in rest:
            rest.setdefault("duration_seconds", rest.pop("duration"))
        for (of, key), name in _AUDIO.items():
            value = _whole(rest.get(key)) if key == "channels" else number(rest.get(key))
            if of == group and value is not None:
                made[name] = value
                del rest[key]
        tables.take(rest, [], f"{group}.")
    quality = data.get("voice_quality")
    if quality is not None and not isinstance(quality, dict):
        quality = {"value": quality}
    voice = {
        text(key, 200) or "": value if (value := number(told)) is not None else text(told, 200)
        for key, told in mapping(quality).items()
        if number(told) is not None or isinstance(told, str)
    }
    if voice:
        made["voiceQuality"] = dict(list(voice.items())[:50])
    return made


def _whole(value: object) -> int | None:
    """A whole number from 0 that the database can hold, or None."""
    as_number = number(value)
    return int(as_number) if as_number is not None and as_number.is_integer() and 0 <= as_number < 2**31 else None


def _dump(value: object) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        raise contract("The model's answer holds a number that is not finite.") from None
    except RecursionError:
        raise contract("The model's answer is nested too deeply.") from None
