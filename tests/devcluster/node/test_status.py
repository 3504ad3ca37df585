"""What the API is told of a pod, state by state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drishtiksha_devcluster.node.container import Container, Running, Terminated, Waiting
from drishtiksha_devcluster.node.status import Ending, Life, build, is_settling, phase

NOW = datetime(2026, 1, 2, 3, 4, 5, 999, tzinfo=UTC)
RUNNING = Running(NOW)


def ended(code: int, reason: str = "Error") -> Terminated:
    return Terminated(code, reason, NOW, NOW)


def one(state: Any, *, started: bool = False, sidecar: bool = False) -> Container:
    name = "model" if sidecar else "main"
    container = Container({"name": name, "image": "x"}, sidecar, "ContainerCreating", lambda: None)
    container.state = state
    if started:
        container.started.set()
    return container


def life(*mains: Any, sidecar: Container | None = None, **more: Any) -> Life:
    containers = [main if isinstance(main, Container) else one(main, started=main is RUNNING) for main in mains]
    return Life(containers, [sidecar] if sidecar else [], "127.0.0.1", NOW, address="127.64.0.1", **more)


def conditions(of: Life, previous: Any = ()) -> dict[str, dict[str, Any]]:
    return {condition["type"]: condition for condition in build(of, 1, previous, NOW)["conditions"]}


@pytest.mark.parametrize(
    ("of", "word"),
    [
        (life(Waiting("ContainerCreating")), "Pending"),
        (life(RUNNING), "Running"),
        (life(ended(0)), "Running"),
        (life(RUNNING, Waiting("ContainerCreating")), "Running"),
        (life(ended(0), ended=True), "Succeeded"),
        (life(ended(0), ended(3), ended=True), "Failed"),
        (life(ended(143), ended=True), "Failed"),
        (life(Waiting("ContainerCreating"), ended=True), "Failed"),
        (life(ended(0), ended=True, ending=Ending("Evicted", "why")), "Failed"),
        (life(ended(0), sidecar=one(ended(143), sidecar=True), ended=True), "Succeeded"),
        (life(Waiting("PodInitializing"), sidecar=one(RUNNING, sidecar=True)), "Pending"),
    ],
)
def test_the_main_containers_decide_the_phase(of: Life, word: str) -> None:
    assert phase(of) == word


def test_a_running_pod_is_ready() -> None:
    status = build(life(RUNNING), 4, [], NOW)
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "Ready": "True",
        "ContainersReady": "True",
    }
    assert status["observedGeneration"] == 4
    assert (status["podIP"], status["hostIP"], status["startTime"]) == (
        "127.64.0.1",
        "127.0.0.1",
        "2026-01-02T03:04:05Z",
    )
    assert status["containerStatuses"][0]["state"] == {"running": {"startedAt": "2026-01-02T03:04:05Z"}}


def test_a_pod_whose_sidecar_is_still_starting_is_not_initialized_and_says_who() -> None:
    found = conditions(life(Waiting("PodInitializing"), sidecar=one(RUNNING, sidecar=True)))
    assert found["Initialized"]["status"] == "False"
    assert "model" in found["Initialized"]["message"]
    assert found["Ready"]["message"] == "containers with unready status: [model main]"


def test_a_pod_whose_sidecar_died_is_no_longer_ready_but_stays_initialized() -> None:
    found = conditions(life(RUNNING, sidecar=one(ended(137, "OOMKilled"), sidecar=True)))
    assert (found["Ready"]["status"], found["Initialized"]["status"]) == ("False", "True")


def test_the_end_before_a_restart_stays_visible() -> None:
    sidecar = one(RUNNING, started=True, sidecar=True)
    sidecar.last, sidecar.restarts = ended(137, "OOMKilled"), 1
    (shown,) = build(life(RUNNING, sidecar=sidecar), 1, [], NOW)["initContainerStatuses"]
    assert shown["restartCount"] == 1
    assert shown["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert shown["lastState"]["terminated"]["exitCode"] == 137


def test_an_evicted_pod_is_a_disruption_target_and_others_are_not() -> None:
    evicted = conditions(life(ended(143), ended=True, ending=Ending("Evicted", "why", disruption=True)))
    assert evicted["DisruptionTarget"]["status"] == "True"
    assert "DisruptionTarget" not in conditions(life(ended(143), ended=True, ending=Ending("DeadlineExceeded", "why")))


def test_a_condition_keeps_its_time_while_it_does_not_change() -> None:
    before = build(life(RUNNING), 1, [], NOW)["conditions"]
    after = build(life(ended(0), ended=True), 1, before, NOW + timedelta(seconds=9))["conditions"]
    times = {condition["type"]: condition["lastTransitionTime"] for condition in after}
    assert times["Initialized"] == "2026-01-02T03:04:05Z"
    assert times["Ready"] == "2026-01-02T03:04:14Z"


def test_the_same_life_gives_the_same_status_later() -> None:
    first = build(life(RUNNING), 1, [], NOW)
    assert build(life(RUNNING), 1, first["conditions"], NOW + timedelta(hours=1)) == first


def test_nothing_is_told_while_only_sidecars_are_left() -> None:
    sidecar = one(RUNNING, started=True, sidecar=True)
    assert is_settling(life(ended(0), sidecar=sidecar))
    assert not is_settling(life(RUNNING, sidecar=sidecar))
    assert not is_settling(life(ended(0), sidecar=sidecar, ended=True))
