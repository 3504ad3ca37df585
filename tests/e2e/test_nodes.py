"""Pods and nodes that misbehave while models are at work: one upload, each model's pod hit by another fault.

The namespace enforces the `restricted` level of Pod Security all the while. Pods that never start are in `test_pending`.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from misbehaving import logs_of, now, of, runner_of, shown, strike
from world import SUPPORT, Person, World, wait_for

from drishtiksha.resources import job_name
from drishtiksha_devcluster.node.faults import Fault

pytestmark = pytest.mark.long

IMAGE = {"image": True, "video": False, "audio": False, "fake": 0.9}
LINGER = "python -m drishtiksha_jobrunner.main; code=$?; test $code = 0 || exit $code; trap 'exit 143' TERM; sleep 600 & wait"
SMALL = "{requests: {cpu: 10m, memory: 32Mi}, limits: {memory: 512Mi}}"
CONFIG = """
services:
  - name: default
models:
  defaults:
    runnerResources: {small}
  overrides:
    - match: LINGERS-V1
      overlay: {{containers: [{{name: runner, command: [sh, -c, "{linger}"]}}]}}
    - match: SIDECAR-V1
      execution: pod
      image: drishtiksha/modelserver
      command: [python, "{scripted}", "0", "{script}"]
      mediaTypes: [IMAGE]
      resources: {small}
"""
SCRIPT: dict[str, dict[str, Any]] = {
    "PLAIN-V1": IMAGE,
    "TWIN-V1": {**IMAGE, "seconds": [5, 9], "fake": [0.9, 0.1]},
    "OOM-V1": {**IMAGE, "seconds": 1},
    "EVICTED-V1": {**IMAGE, "seconds": [60, 0]},
    "LINGERS-V1": IMAGE,
    "TERMINATED-V1": {**IMAGE, "seconds": [60, 0]},
    "POD-DELETED-V1": {**IMAGE, "seconds": [60, 0]},
    "JOB-DELETED-V1": {**IMAGE, "seconds": [60, 0]},
}
SIDECAR = {"SIDECAR-V1": {**IMAGE, "seconds": [60, 0]}}
ATTEMPTS = {
    "PLAIN-V1": 1, "TWIN-V1": 1, "EVICTED-V1": 1, "LINGERS-V1": 1,
    "OOM-V1": 2, "TERMINATED-V1": 2, "POD-DELETED-V1": 2, "JOB-DELETED-V1": 2, "SIDECAR-V1": 2,
}  # fmt: skip


@dataclass
class Struck:
    """The run in which each pod was hit, at its end: who asked, the full object, the run's view, and its pods by Job."""

    person: Person
    media: dict[str, Any]
    attempts: dict[str, list[dict[str, Any]]]
    pods: Counter[str]

    @property
    def run(self) -> str:
        return str(self.media["latestRunId"])

    def pods_of(self, model: str, attempt: int = 1) -> int:
        """Pods that an attempt has had, by the logs that they left."""
        return self.pods[job_name(self.run, model, attempt)]


@pytest.fixture(scope="module")
def sidecar_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sidecar") / "script.json"


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World], sidecar_script: Path) -> Iterator[World]:
    sidecar_script.write_text(json.dumps({"models": SIDECAR}))
    config = CONFIG.format(small=SMALL, linger=LINGER, scripted=SUPPORT / "scripted_ml.py", script=sidecar_script)
    made = new_world(script=SCRIPT, config=config, settings={})
    made.cluster.kubectl("label", "namespace", made.namespace, "pod-security.kubernetes.io/enforce=restricted")
    made.start()
    yield made
    strike(made)


@pytest.fixture(scope="module")
def struck(world: World, demo_media: dict[str, Any], sidecar_script: Path) -> Struck:
    strike(world, of(world, "twin", "TWIN-V1"), of(world, "oom", "OOM-V1"))
    person = world.person()
    media = person.upload(demo_media["picture"].path)
    run = media["latestRunId"]

    # Everybody is at work, or done; the faults so far have struck.
    waiting = ("EVICTED-V1", "TERMINATED-V1", "POD-DELETED-V1", "JOB-DELETED-V1")
    asked = Path(f"{world.script_file}.calls")
    wait_for("the models to be asked", lambda: asked.exists() and set(waiting) <= set(asked.read_text().split()))
    wait_for("the sidecar's model to be asked", Path(f"{sidecar_script}.calls").exists)

    def states() -> dict[str, tuple[str, int]]:
        return {a["model"]: (a["status"], a["attempt"]) for a in person.media(media["id"])["analyses"]}

    wait_for("a second attempt and a handed in result", lambda: (
        states()["OOM-V1"][1] == 2 and states()["LINGERS-V1"][0] == "COMPLETED" and states()["TWIN-V1"][0] == "COMPLETED"
    ))  # fmt: skip

    # The rest of the faults.
    kinds = (of(world, "evict", "EVICTED-V1"), of(world, "evict", "LINGERS-V1"), of(world, "oom-sidecar", "SIDECAR-V1"))
    strike(world, *kinds)
    os.kill(runner_of(world, run, "TERMINATED-V1").pid, signal.SIGTERM)
    label = f"batch.kubernetes.io/job-name={job_name(run, 'POD-DELETED-V1', 1)}"
    world.kubectl("delete", "pod", "-l", label, "--wait=false")
    world.kubectl("delete", "job", job_name(run, "JOB-DELETED-V1", 1), "--wait=false")

    person.wait(media["id"], 180)
    wait_for("all Jobs to end", lambda: not world.sql("SELECT 1 FROM attempts WHERE job_ended_at IS NULL"))
    seen = world.same_answer(person, media["id"])
    view = person.http.get(f"/media/{media['id']}/runs/1").json()["data"]
    attempts = {a["model"]: a["attempts"] for a in view["analyses"]}
    pods = Counter(log.parent.name.split("_")[1].rpartition("-")[0] for log in all_logs(world))
    return Struck(person, seen, attempts, pods)


def all_logs(world: World) -> list[Path]:
    return list((world.cluster.home / "logs" / "pods").glob(f"{world.namespace}_*/runner.log"))


def of_model(struck: Struck, model: str) -> dict[str, Any]:
    return next(a for a in struck.media["analyses"] if a["model"] == model)


def reasons(world: World, model: str) -> list[tuple[str | None, str | None]]:
    """Class and reason of each attempt of a model, from the rows."""
    query = (
        "SELECT t.error_class, t.reason FROM attempts t JOIN analyses a ON a.id = t.analysis_id "
        "WHERE a.model = %s ORDER BY t.number"
    )
    return world.sql(query, model)


def test_every_fault_costs_the_attempts_that_it_must_and_no_result(world: World, struck: Struck) -> None:
    assert struck.media["status"] == "ANALYZED"
    assert {a["model"]: a["attempt"] for a in struck.media["analyses"]} == ATTEMPTS
    assert {a["prediction"] for a in struck.media["analyses"]} == {"FAKE"}
    assert struck.media["verdict"]["score"] == pytest.approx(0.9)
    told = world.sql("SELECT type FROM events WHERE media_id = %s", struck.media["id"])
    assert [kind for (kind,) in told].count("ANALYSIS_COMPLETED") == len(ATTEMPTS)
    world.verify()
    shown.ended("nodes", "the namespace enforces the restricted level", "all pods pass it")


def test_i5_twins_hand_in_one_result_and_both_end(world: World, struck: Struck) -> None:
    asked = Path(f"{world.script_file}.calls").read_text().split()
    assert asked.count("TWIN-V1") == 2, "both have examined"
    assert of_model(struck, "TWIN-V1")["confidence"] == pytest.approx(0.9), "the first one's"
    wait_for("the twins to end", lambda: all('"attempt started"' not in last_line(log) for log in twins(world, struck)))
    ends = [last_line(log) for log in twins(world, struck)]
    assert len(ends) == 2
    assert any("result handed in" in end for end in ends), ends
    assert any("already had a result" in end or "fenced" in end for end in ends), ends
    shown.ended(
        "nodes", "a pod starts its runner twice (one token)", "one result, the first; the other is told so and ends"
    )


def twins(world: World, struck: Struck) -> list[Path]:
    return [*logs_of(world, struck.run, "TWIN-V1"), *logs_of(world, struck.run, "TWIN-V1", container="runner.twin")]


def last_line(log: Path) -> str:
    return (log.read_text().strip().splitlines() or [""])[-1]


def test_a_pod_evicted_before_it_handed_in_is_replaced_inside_its_attempt(world: World, struck: Struck) -> None:
    assert struck.pods_of("EVICTED-V1") == 2
    assert reasons(world, "EVICTED-V1")[0][0] is None
    shown.ended("nodes", "evicted before handing in", "a new pod in the same attempt, COMPLETED")


def test_i11_a_pod_evicted_after_it_handed_in_changes_nothing(world: World, struck: Struck) -> None:
    assert struck.pods_of("LINGERS-V1") == 2, "the cluster starts another pod"
    assert any("fenced" in log.read_text() for log in logs_of(world, struck.run, "LINGERS-V1"))
    ((state, error, reason),) = world.sql(
        "SELECT t.state, t.error_class, t.reason FROM attempts t JOIN analyses a ON a.id = t.analysis_id WHERE a.model = %s",
        "LINGERS-V1",
    )
    assert (state, error, reason) == ("SUCCEEDED", None, "PodFailurePolicy"), "the end of its Job is only noted"
    shown.ended(
        "nodes", "evicted after handing in", "the result counts, the Job's failure is noted; the new pod is fenced"
    )


def test_a_runner_that_ran_out_of_memory_says_so_and_is_tried_again(world: World, struck: Struck) -> None:
    assert reasons(world, "OOM-V1")[0] == ("CRASHED", "OOMKilled")
    assert "runner used more memory" in of_model(struck, "OOM-V1")["errors"][0]["errorMessage"]
    shown.ended("nodes", "the runner runs out of memory", "CRASHED, OOMKilled; the next attempt COMPLETED")


def test_a_model_beside_the_runner_that_ran_out_of_memory_says_so_too(world: World, struck: Struck) -> None:
    assert reasons(world, "SIDECAR-V1")[0] == ("ML_UNAVAILABLE", "OOMKilled")
    ((message,),) = world.sql(
        "SELECT t.message FROM attempts t JOIN analyses a ON a.id = t.analysis_id WHERE a.model = %s AND t.number = 1",
        "SIDECAR-V1",
    )
    assert message.endswith("Container model used more memory than its limit.")
    shown.ended(
        "nodes",
        "the model beside the runner runs out of memory",
        "ML_UNAVAILABLE, OOMKilled; the next attempt COMPLETED",
    )


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ("TERMINATED-V1", "SIGTERM of the runner (exit 143)"),
        ("POD-DELETED-V1", "the pod is deleted"),
        ("JOB-DELETED-V1", "the Job is deleted"),
    ],
)
def test_a_runner_that_is_ended_hands_in_nothing_and_is_tried_again(
    world: World, struck: Struck, model: str, fault: str
) -> None:
    assert [error for error, _ in reasons(world, model)] == ["CRASHED", None]
    (log,) = logs_of(world, struck.run, model)
    assert "terminated, nothing was handed in" in log.read_text()
    assert [a["state"] for a in struck.attempts[model]] == ["FAILED", "SUCCEEDED"]
    shown.ended("nodes", fault, "CRASHED; the next attempt COMPLETED")


GPU_FIRST = """
      tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
      affinity:
        nodeAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
            - weight: 100
              preference: {matchExpressions: [{key: drishtiksha.io/accelerator, operator: In, values: [gpu]}]}
"""
LOST = f"""
services:
  - name: default
models:
  defaults:
    runnerResources: {SMALL}
  overrides:
    - match: FROZEN-V1
      runningDeadline: 20s
    - match: LOST-V1{GPU_FIRST}
    - match: CUT-OFF-V1{GPU_FIRST}
"""


@pytest.mark.kill
def test_a_lost_node_is_found_in_minutes_and_what_comes_late_from_it_is_refused(
    new_world: Callable[..., World], demo_media: dict[str, Any]
) -> None:
    script = {
        "FROZEN-V1": {**IMAGE, "seconds": 5, "fake": 0.1},
        "LOST-V1": {**IMAGE, "seconds": [5, 0], "fake": [0.1, 0.9]},
        "CUT-OFF-V1": {**IMAGE, "seconds": 30},
    }
    world = new_world(script=script, config=LOST, settings={"DRISHTIKSHA_SILENCE": "20s"})
    world.start()
    person = world.person()
    try:
        media = person.upload(demo_media["picture"].path)
        run = media["latestRunId"]
        asked = Path(f"{world.script_file}.calls")
        wait_for("the models to be asked", lambda: asked.exists() and set(script) <= set(asked.read_text().split()))
        pods = json.loads(world.kubectl("get", "pods", "-o", "json"))["items"]
        on = {p["metadata"]["labels"]["drishtiksha.io/model"]: p["spec"]["nodeName"] for p in pods}
        assert on == {"FROZEN-V1": "cpu-0", "LOST-V1": "gpu-0", "CUT-OFF-V1": "gpu-0"}
        frozen = [Fault("freeze", name=job_name(run, model, 1) + "-*") for model in ("FROZEN-V1", "LOST-V1")]
        strike(world, *frozen)
        for model in ("FROZEN-V1", "LOST-V1"):
            runner = runner_of(world, run, model)
            wait_for(f"{model} to be frozen", lambda runner=runner: runner.status() == "stopped")
        strike(world, *frozen, lost=("gpu-0",))
        lost_at = now()

        def states() -> dict[str, tuple[str, int]]:
            return {a["model"]: (a["status"], a["attempt"]) for a in person.media(media["id"])["analyses"]}

        # Cut off from the cluster, not from the door: it goes on, and its result counts.
        wait_for("the one cut off to hand in", lambda: states()["CUT-OFF-V1"] == ("COMPLETED", 1), 120)
        # Frozen on a node that is well: nobody can tell it from one that works, until its deadline.
        wait_for("the deadline of the frozen one", lambda: states()["FROZEN-V1"] == ("FAILED", 1), 120)
        # Frozen on a node that is lost: another attempt, elsewhere, long before the deadline of half an hour.
        wait_for("the next attempt of the lost one", lambda: states()["LOST-V1"][1] == 2, 240)
        shown.replaced_after = now() - lost_at
        assert shown.replaced_after < 240
        wait_for("its result", lambda: states()["LOST-V1"][0] == "COMPLETED", 120)
        person.wait(media["id"])

        # Thawed, while the node is still cut off: it hands in what it had, and is refused.
        strike(world, lost=("gpu-0",))
        wait_for(
            "the thawed one to be refused",
            lambda: "fenced" in logs_of(world, run, "LOST-V1")[0].read_text(),
        )
        strike(world)
        wait_for("all Jobs to end", lambda: not world.sql("SELECT 1 FROM attempts WHERE job_ended_at IS NULL"), 120)
        seen = world.same_answer(person, media["id"])
        world.verify()
    finally:
        strike(world)
    assert seen["status"] == "PARTIALLY_ANALYZED"
    found = {a["model"]: (a["status"], a["errorClass"], a["attempt"], a["prediction"]) for a in seen["analyses"]}
    assert found == {
        "FROZEN-V1": ("FAILED", "DEADLINE", 1, None),
        "LOST-V1": ("COMPLETED", None, 2, "FAKE"),
        "CUT-OFF-V1": ("COMPLETED", None, 1, "FAKE"),
    }
    assert reasons(world, "LOST-V1")[0] == ("CRASHED", "Silent")
    shown.ended(
        "nodes",
        "a node is lost, its pod silent",
        "CRASHED (Silent), the next attempt elsewhere COMPLETED; the late result refused",
    )
    shown.ended("nodes", "a node is cut off, its pod works on", "the result counts, COMPLETED in the first attempt")
    shown.ended("nodes", "frozen on a node that is well", "DEADLINE at its running deadline, not before")
    shown.write()
