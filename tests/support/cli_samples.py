"""Objects as the REST API gives them, with only what a test wants to say."""

from __future__ import annotations

from typing import Any

ID = "01a20393-c3cf-712b-8ac1-8a9e374d139d"
RUN = "01a20393-c5b2-709a-8d9a-8cd92126fcee"


def analysis(model: str = "ONE-V1", status: str = "COMPLETED", **more: Any) -> dict[str, Any]:
    """One analysis; INCONCLUSIVE without evidence unless it is told more."""
    done = status == "COMPLETED"
    return {
        "model": model,
        "modelVersion": "1.0.0",
        "status": status,
        "prediction": "INCONCLUSIVE" if done else None,
        "confidence": 0.5 if done else None,
        "score": None,
        "basis": "NONE" if done else None,
        "finding": "NONE" if done else None,
        "measure": None,
        "calibration": None,
        "inconclusiveReason": None,
        "note": None,
        "errorClass": None,
        "errorMessage": None,
        "attempt": 1,
        "facts": {},
        "limits": [],
        "errors": [],
        "artifacts": [],
    } | more


def verdict(
    label: str = "INCONCLUSIVE", basis: str = "NONE", score: float | None = None, *models: str
) -> dict[str, Any]:
    """A run's verdict."""
    return {"label": label, "basis": basis, "score": score, "models": list(models)}


def media(status: str = "ANALYZED", *analyses: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The full object of one media with one run."""
    said = verdict() if status in ("ANALYZED", "PARTIALLY_ANALYZED") else None
    reason = more.pop("reason", None)
    number = more.pop("run_number", 1)
    found = {
        "id": ID,
        "filename": "clip.mp4",
        "mimetype": "video/mp4",
        "mediaType": "VIDEO",
        "size": 380201,
        "sha256": "7c" * 32,
        "status": status,
        "createdAt": "2026-11-22T14:05:45.779Z",
        "latestRunId": RUN,
        "verdict": said,
        "analyses": list(analyses),
    } | more
    run = {"id": found["latestRunId"], "runNumber": number, "status": status, "reason": reason}
    return found | {"analysisRuns": [run]}
