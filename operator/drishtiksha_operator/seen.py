"""What we saw in the cluster, as values: Jobs and pods read from the API's JSON. Pure.

`jobs` fetches the JSON, `decide` judges what is read here. Only what a decision or a person needs is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .manifests import RUNNER

_HOPELESS_WAITING = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "CrashLoopBackOff",
    }
)
"""States of a container that do not heal by themselves."""
_PATIENT = ("Insufficient", "node.kubernetes.io/", "preemption is not helpful")
"""Words of the scheduler that say: somebody has to finish, or a node has to come back, first."""


@dataclass(frozen=True)
class JobSeen:
    """One Job. It has ended when `complete` or `failed`; counters and earlier conditions are not the end."""

    name: str
    uid: str
    owner_uid: str | None
    complete: bool
    failed: bool
    reason: str | None
    message: str | None
    deleting: bool

    @property
    def ended(self) -> bool:
        return self.complete or self.failed


@dataclass(frozen=True)
class Diagnosis:
    """Why a pod does not run yet. `hopeless`: it does not heal by itself. `refused`: the cluster makes no pod at all."""

    reason: str
    message: str
    hopeless: bool = False
    refused: bool = False


@dataclass(frozen=True)
class PodSeen:
    """One pod of an attempt. `exit_code` is the runner's; `oom` says whose memory ran out."""

    name: str
    job: str
    phase: str
    ready: bool
    node: str | None
    created_at: datetime
    reason: str | None
    message: str | None
    disrupted: bool
    exit_code: int | None
    signal: bool
    oom: str | None
    diagnosis: Diagnosis | None

    @property
    def over(self) -> bool:
        return self.phase in ("Succeeded", "Failed")


def read_job(job: Mapping[str, Any]) -> JobSeen:
    """A Job as the API tells it."""
    metadata = job["metadata"]
    owner = next((o for o in metadata.get("ownerReferences") or [] if o.get("controller")), None)
    held = {c["type"]: c for c in (job.get("status") or {}).get("conditions") or [] if c.get("status") == "True"}
    last = held.get("Failed") or held.get("Complete") or {}
    return JobSeen(
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=owner["uid"] if owner else None,
        complete="Complete" in held,
        failed="Failed" in held,
        reason=last.get("reason"),
        message=last.get("message"),
        deleting="deletionTimestamp" in metadata,
    )


def has_ended(job: Mapping[str, Any]) -> bool:
    """Whether a Job has its final condition: the one change of a Job that is worth a look."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(c.get("type") in ("Complete", "Failed") and c.get("status") == "True" for c in conditions)


def read_pod(pod: Mapping[str, Any]) -> PodSeen:
    """A pod as the API tells it."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    ended = next((_terminated(c) for c in containers if c.get("name") == RUNNER), None) or {}
    code = ended.get("exitCode")
    return PodSeen(
        name=metadata["name"],
        job=(metadata.get("labels") or {}).get("batch.kubernetes.io/job-name", ""),
        phase=status.get("phase", "Pending"),
        ready=conditions.get("Ready", {}).get("status") == "True",
        node=(pod.get("spec") or {}).get("nodeName"),
        created_at=datetime.fromisoformat(metadata["creationTimestamp"]),
        reason=status.get("reason"),
        message=status.get("message"),
        disrupted=conditions.get("DisruptionTarget", {}).get("status") == "True",
        exit_code=code,
        signal=bool(ended.get("signal")) or (code is not None and code > 128),
        oom=next((c["name"] for c in containers if any(e.get("reason") == "OOMKilled" for e in _endings(c))), None),
        diagnosis=_diagnosis(conditions, containers) if status.get("phase", "Pending") == "Pending" else None,
    )


def newest(pods: list[PodSeen]) -> PodSeen | None:
    """The last pod of an attempt; an evicted one may have been replaced."""
    return max(pods, key=lambda p: (p.created_at, p.name), default=None)


def refusal(events: list[Mapping[str, Any]]) -> Diagnosis | None:
    """Why a Job has no pod, from its FailedCreate Events."""
    for event in reversed(events):
        if event.get("reason") == "FailedCreate":
            return Diagnosis("NoPod", f"No pod could be made: {event.get('message', '')}"[:1000], True, True)
    return None


def _endings(container: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """How a container ended: now, and the last time before it was restarted."""
    said = ((container.get(key) or {}).get("terminated") for key in ("state", "lastState"))
    return [dict(found) for found in said if found]


def _terminated(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """The last of its endings."""
    return next(iter(_endings(container)), {})


def _diagnosis(conditions: Mapping[str, Any], containers: list[Mapping[str, Any]]) -> Diagnosis:
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        text = scheduled.get("message") or "no node takes the pod"
        patient = any(word in text for word in _PATIENT)
        return Diagnosis("Unschedulable", text, hopeless=not patient)
    for container in containers:
        name = container.get("name", "?")
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _HOPELESS_WAITING:
            text = waiting.get("message") or waiting["reason"]
            return Diagnosis(waiting["reason"], f"Container {name}: {text}", hopeless=True)
        ended = _terminated(container)
        if ended and name != RUNNER:
            why = ended.get("reason") or f"exit code {ended.get('exitCode')}"
            return Diagnosis(
                "ModelFailsToStart", f"Container {name} ended while it was starting: {why}.", hopeless=True
            )
        if name != RUNNER and "running" in (container.get("state") or {}) and not container.get("started"):
            return Diagnosis("ModelStarting", f"Container {name} has not said yet that it is ready.")
    return Diagnosis("Starting", "The pod is being started.")
