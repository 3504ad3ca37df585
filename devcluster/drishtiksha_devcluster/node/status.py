"""The status of a pod as a kubelet would write it. Pure: from what the node knows to the body of the status patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .container import Container, Running, Terminated, Waiting


@dataclass(frozen=True)
class Ending:
    """Why the node ended a pod that did not end by itself. `disruption`: not the pod's own fault, so the Job replaces
    it without counting (condition DisruptionTarget)."""

    reason: str = ""
    message: str = ""
    disruption: bool = False


@dataclass
class Life:
    """What the node knows of one pod. `ended`: no process of it is left."""

    containers: list[Container]
    sidecars: list[Container]
    host: str
    began: datetime
    address: str | None = None
    ending: Ending = field(default_factory=Ending)
    ended: bool = False


def stamp(moment: datetime) -> str:
    """A time as the API writes it: UTC, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def phase(life: Life) -> str:
    """Pending until a main container started, Running until all processes are gone, then what the main ones say."""
    if life.ended:
        codes = [one.state.code if isinstance(one.state, Terminated) else None for one in life.containers]
        return "Succeeded" if not life.ending.reason and all(code == 0 for code in codes) else "Failed"
    return "Pending" if all(isinstance(one.state, Waiting) for one in life.containers) else "Running"


def is_settling(life: Life) -> bool:
    """Whether only sidecars are left, which are about to end: nothing to tell until they have."""
    return not life.ended and all(isinstance(one.state, Terminated) for one in life.containers)


def build(life: Life, generation: int | None, previous: Sequence[dict[str, Any]], now: datetime) -> dict[str, Any]:
    """The body of the status. `previous` are the conditions that were written last; unchanged ones keep their time."""
    status: dict[str, Any] = {
        "phase": phase(life),
        "startTime": stamp(life.began),
        "hostIP": life.host,
        "hostIPs": [{"ip": life.host}],
        "containerStatuses": [_container(one) for one in life.containers],
        "conditions": _conditions(life, generation, previous, now),
    }
    if generation is not None:
        status["observedGeneration"] = generation
    if life.sidecars:
        status["initContainerStatuses"] = [_container(one) for one in life.sidecars]
    if life.address is not None:
        status |= {"podIP": life.address, "podIPs": [{"ip": life.address}]}
    if life.ending.reason:
        status |= {"reason": life.ending.reason, "message": life.ending.message}
    return status


def _container(one: Container) -> dict[str, Any]:
    image = one.spec["image"]
    status: dict[str, Any] = {
        "name": one.name,
        "image": image,
        "imageID": "",
        "ready": one.running and one.started.is_set(),
        "started": one.started.is_set(),
        "restartCount": one.restarts,
        "state": _state(one.state),
        "lastState": _state(one.last) if one.last else {},
    }
    if one.process is not None:
        status |= {"imageID": f"process://{image}", "containerID": f"process://{one.process.pid}-{one.process.born}"}
    return status


def _state(state: Waiting | Running | Terminated) -> dict[str, Any]:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        case Running(since):
            return {"running": {"startedAt": stamp(since)}}
        case Terminated(code, reason, started, finished, message):
            end = {"exitCode": code, "reason": reason, "finishedAt": stamp(finished)}
            end |= {"startedAt": stamp(started)} if started else {}
            return {"terminated": end | ({"message": message} if message else {})}


def _conditions(
    life: Life, generation: int | None, previous: Sequence[dict[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    everybody = [*life.sidecars, *life.containers]
    not_ready = [one.name for one in everybody if not (one.running and one.started.is_set())]
    uninitialized = [one.name for one in life.sidecars if not one.started.is_set()]
    began = phase(life) != "Pending"
    if life.ended:
        word = "PodCompleted" if phase(life) == "Succeeded" else "PodFailed"
        ready = ("False", word, "")
        initialized = ("True", "PodCompleted" if word == "PodCompleted" else "", "")
    else:
        ready = (
            ("False", "ContainersNotReady", f"containers with unready status: [{' '.join(not_ready)}]")
            if not_ready
            else ("True", "", "")
        )
        initialized = (
            ("False", "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(uninitialized)}]")
            if uninitialized and not began
            else ("True", "", "")
        )
    wanted = {
        "PodReadyToStartContainers": ("True" if life.address and not life.ended else "False", "", ""),
        "Initialized": initialized,
        "Ready": ready,
        "ContainersReady": ready,
    }
    if life.ending.disruption:
        wanted["DisruptionTarget"] = ("True", "TerminationByKubelet", life.ending.message)
    before = {condition["type"]: condition for condition in previous}
    return [
        _condition(kind, value, reason, message, generation, before.get(kind), now)
        for kind, (value, reason, message) in wanted.items()
    ]


def _condition(
    kind: str,
    value: str,
    reason: str,
    message: str,
    generation: int | None,
    before: dict[str, Any] | None,
    now: datetime,
) -> dict[str, Any]:
    since = before["lastTransitionTime"] if before and before["status"] == value else stamp(now)
    condition: dict[str, Any] = {"type": kind, "status": value, "lastTransitionTime": since}
    # Null and not left out: the patch is merged into what was written before.
    condition |= {"reason": reason or None, "message": message or None}
    if generation is not None:
        condition["observedGeneration"] = generation
    return condition
