"""What the platform found, in words for people. Pure. Nothing is ever called authentic."""

from __future__ import annotations

from typing import Any

STATUS_WORDS = {
    "QUEUED": "waiting",
    "PENDING": "waiting",
    "PROCESSING": "being examined",
    "ANALYZED": "examined by all models",
    "PARTIALLY_ANALYZED": "examined by some models",
    "COMPLETED": "done",
    "FAILED": "failed",
}

_FINDINGS = {
    "DECLARED_SYNTHETIC": "the file is signed as made by a generator",
    "TAMPERED_AFTER_SIGNING": "the file was altered after it was signed",
    "SYNTHETIC_MARKED": "the file carries a generator's watermark",
    "MANIPULATED_REGION": "a region of the picture was compressed on another grid than the rest: it was put there",
    "SUSPICIOUS": "something is unusual, which is no proof of anything",
    "NONE": "no evidence was found",
}

_CLASSES = {
    "BAD_MEDIA": ("the file could not be examined", "try another copy of it"),
    "ML_UNAVAILABLE": ("the model's service could not be reached", "look at it: drishtiksha status; then run it again"),
    "INTERNAL": ("something inside the platform went wrong", "look at: drishtiksha logs operator"),
    "ML_CONTRACT": ("the model's service gave an answer that cannot be used", "look at the service's own log"),
    "CANCELLED": ("it was cancelled", "run it again if you want it"),
    "DEADLINE": ("it took longer than its deadline", "raise DRISHTIKSHA_RUNNING_DEADLINE, or use a faster node"),
    "CRASHED": ("its pod was ended from outside", "look at: drishtiksha kubectl describe ma"),
    "UNSCHEDULABLE": ("no node could take its pod", "look at: drishtiksha kubectl get pods,nodes -o wide"),
    "CLUSTER_REJECTED": ("the cluster refused it", "look at quota and admission: drishtiksha kubectl get events"),
    "NO_COMPATIBLE_MODEL": ("no loaded model takes this kind of file", "load one: ACTIVE_MODELS of the model service"),
    "NO_DISCOVERY": (
        "it could not be found out which models are loaded",
        "look at the model service: drishtiksha status",
    ),
    "MODELS_FAILED": ("all models failed, for different reasons", "each model's line says why"),
}


def failure(error_class: str | None, message: str | None = None) -> str:
    """Why something failed, and what to do about it."""
    why, cure = _CLASSES.get(error_class or "", ("it failed", "run it again"))
    told = f" ({message.rstrip('.')})" if message else ""
    return f"{why}{told}; {cure}"


def analysis(one: dict[str, Any]) -> str:
    """One model's line."""
    if one["status"] == "FAILED":
        return f"failed: {failure(one.get('errorClass'), one.get('errorMessage'))}"
    if one["status"] != "COMPLETED":
        return STATUS_WORDS.get(str(one["status"]), str(one["status"]))
    found: str = _FINDINGS.get(one.get("finding") or "", "")
    if one["basis"] == "MEASURED":
        bound = (one.get("calibration") or {}).get("bound")
        return f"FAKE, measured: {found}{chance(bound)}"
    if one["basis"] == "DECLARED":
        return f"FAKE, declared: {found}"
    if one.get("score") is not None:
        return f"{one['prediction']}, {kind(one)}: {one['score']:.0%} likely to be fake"
    reason: str | None = one.get("inconclusiveReason") or one.get("note")
    word = "INCONCLUSIVE, suspicious" if _is_suspicious(one) else "INCONCLUSIVE"
    return f"{word}: " + (reason or found or "no evidence was found")


def _is_suspicious(one: dict[str, Any]) -> bool:
    return one.get("finding") == "SUSPICIOUS"


def kind(one: dict[str, Any]) -> str:
    """What a probability is worth."""
    return "calibrated" if one["basis"] == "CALIBRATED" else "as the model claims"


def chance(bound: float | None) -> str:
    """A false-alarm bound in words."""
    if bound is None:
        return ""
    if bound < 1e-12:
        return " (by chance: less than once in a million million pictures)"
    return f" (by chance: less than once in {1 / max(bound, 1e-12):,.0f})"


def verdict(media: dict[str, Any]) -> str:
    """What a media's latest run says, with its basis."""
    status = str(media["status"])
    if status == "FAILED":
        run = media["analysisRuns"][0] if media.get("analysisRuns") else {}
        return f"FAILED: {failure(run.get('reason'))}"
    said = media.get("verdict")
    if said is None:
        return STATUS_WORDS.get(status, status)
    without = ", ".join(one["model"] for one in media.get("analyses") or [] if one["status"] == "FAILED")
    partly = f" No result from {without or 'some models'}." if status == "PARTIALLY_ANALYZED" else ""
    runs = media.get("analysisRuns")
    if runs and runs[0].get("reason") == "CANCELLED":
        partly += " It was cancelled."
    names = ", ".join(said["models"])
    match said["basis"]:
        case "DECLARED":
            text = f"FAKE. The file itself declares it ({names})."
        case "MEASURED":
            text = f"FAKE. Measured, with a bounded rate of false alarms ({names})."
        case "CALIBRATED":
            text = f"{said['label']}. Calibrated models give {said['score']:.0%} for fake ({names})."
        case "CLAIMED":
            text = f"{said['label']}. Models claim {said['score']:.0%} for fake; nobody has calibrated them ({names})."
        case _ if by := ", ".join(one["model"] for one in media.get("analyses") or [] if _is_suspicious(one)):
            text = f"INCONCLUSIVE. Something looks suspicious ({by}), which alone decides nothing."
        case _:
            text = "INCONCLUSIVE. No evidence was found, which proves nothing either way."
    return text + partly


def colour(media: dict[str, Any]) -> str:
    """A terminal colour for a verdict or status."""
    said = media.get("verdict")
    if media["status"] == "FAILED":
        return "red"
    if said is None:
        return "cyan"
    return {"FAKE": "bold red", "REAL": "green"}.get(said["label"], "yellow")


def age(seconds: float) -> str:
    """A duration as kubectl says it."""
    if seconds < 120:
        return f"{seconds:.0f}s"
    if seconds < 7200:
        return f"{seconds / 60:.0f}m"
    if seconds < 172800:
        return f"{seconds / 3600:.0f}h"
    return f"{seconds / 86400:.0f}d"


def size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
