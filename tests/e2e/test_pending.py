"""Pods that never start, and a cluster that makes none: why is said by REST and by kubectl within a minute, and the clocks
end each with its class. All of it takes minutes: `make test-kill`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from misbehaving import now, of, shown, strike
from world import Person, World, wait_for

IMAGE = {"image": True, "video": False, "audio": False, "fake": 0.9}
SMALL = "{requests: {cpu: 10m, memory: 32Mi}, limits: {memory: 512Mi}}"
CLASS = "drishtiksha-test-scarce"
CONFIG = f"""
services:
  - name: default
models:
  defaults:
    runnerResources: {SMALL}
  overrides:
    - match: NO-KEY-V1
      overlay:
        containers:
          - name: runner
            env: [{{name: X, valueFrom: {{secretKeyRef: {{name: nobody-made-it, key: x}}}}}}]
    - match: NO-NODE-V1
      nodeSelector: {{drishtiksha.io/there-is: no-such-node}}
    - match: HELD-BACK-V1
      pendingDeadline: 75s
    - match: MANY-GPUS-V1
      execution: pod
      image: drishtiksha/modelserver
      mediaTypes: [IMAGE]
      resources: {SMALL}
      gpu: {{count: 64}}
      pendingDeadline: 75s
    - match: NEVER-READY-V1
      execution: pod
      image: drishtiksha/modelserver
      command: [sleep, "600"]
      mediaTypes: [IMAGE]
      resources: {SMALL}
      startup: 20s
    - match: ROOT-V1
      overlay: {{securityContext: {{runAsNonRoot: false, runAsUser: 0}}}}
    - match: SCARCE-V1
      priorityClassName: {CLASS}
    - match: GREEDY-V1
      runnerResources: {{requests: {{cpu: 10m, memory: 32Mi}}, limits: {{memory: 9Gi}}}}
"""
WAITS: dict[str, tuple[str, str, str]] = {
    "NO-IMAGE-V1": ("ImagePullBackOff", "UNSCHEDULABLE", "Back-off pulling image"),
    "NO-KEY-V1": ("CreateContainerConfigError", "UNSCHEDULABLE", "nobody-made-it"),
    "NO-NODE-V1": ("Unschedulable", "UNSCHEDULABLE", "node"),
    "MANY-GPUS-V1": ("Unschedulable", "UNSCHEDULABLE", "Insufficient nvidia.com/gpu"),
    "HELD-BACK-V1": ("Starting", "UNSCHEDULABLE", "The pod is being started"),
    "NEVER-READY-V1": ("ModelFailsToStart", "UNSCHEDULABLE", "Container model"),
    "ROOT-V1": ("NoPod", "CLUSTER_REJECTED", "violates PodSecurity"),
    "SCARCE-V1": ("NoPod", "CLUSTER_REJECTED", "exceeded quota"),
    "GREEDY-V1": ("NoPod", "CLUSTER_REJECTED", "maximum memory usage per Container"),
}
"""By model: the reason while it waits, its class in the end, and words of the cluster that must be in the message."""
STORY = {
    "NO-IMAGE-V1": "ImagePullBackOff",
    "NO-KEY-V1": "CreateContainerConfigError (a Secret that nobody made)",
    "NO-NODE-V1": "no node has the wanted label",
    "MANY-GPUS-V1": "64 GPUs, which no node has",
    "HELD-BACK-V1": "a pod that is bound and never started",
    "NEVER-READY-V1": "a model whose startup probe never passes",
    "ROOT-V1": "Pod Security refuses the pod",
    "SCARCE-V1": "a ResourceQuota refuses the pod",
    "GREEDY-V1": "a LimitRange refuses the pod",
}


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    script = {name: IMAGE for name in ("GOOD-V1", *WAITS) if name not in ("MANY-GPUS-V1", "NEVER-READY-V1")}
    made = new_world(script=script, config=CONFIG, settings={"DRISHTIKSHA_HOPELESS_DEADLINE": "75s"})
    made.cluster.kubectl("label", "namespace", made.namespace, "pod-security.kubernetes.io/enforce=restricted")
    folder = tmp_path_factory.mktemp("manifests")
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": CLASS}, "value": 1}
    scope = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": [CLASS]}]}
    limits = {"limits": [{"type": "Container", "max": {"memory": "8Gi"}}]}
    apply(made, folder, priority)
    quota(made, folder, "scarce", {"pods": "0"}, scopeSelector=scope)
    apply(made, folder, {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "modest"}, "spec": limits})
    made.start()
    yield made
    strike(made)
    made.cluster.kubectl("delete", "priorityclass", CLASS)


def apply(world: World, folder: Path, manifest: Mapping[str, Any]) -> None:
    file = folder / f"{manifest['kind']}-{manifest['metadata']['name']}.json"
    file.write_text(json.dumps(manifest))
    world.kubectl("apply", "-f", str(file))


def quota(world: World, folder: Path, name: str, hard: Mapping[str, str], **spec: Any) -> None:
    """A quota in force: this control plane runs no quota controller, so its count is written here."""
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": hard, **spec}}
    apply(world, folder, body)
    counted = {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
    world.kubectl("patch", "resourcequota", name, "--subresource=status", "--type=merge", "-p", json.dumps(counted))


def by_rest(person: Person, media_id: str) -> dict[str, tuple[str | None, str | None]]:
    """Why each model has not started, as its owner sees it; after its end, its class and message."""
    found = {}
    for a in person.media(media_id)["analyses"]:
        found[a["model"]] = (a["pendingReason"] or a["errorClass"], a["pendingMessage"] or a["errorMessage"])
    return found


def by_kubectl(world: World, run_id: str) -> dict[str, tuple[str | None, str | None]]:
    """The same, as those who run the cluster see it."""
    models = world.resource(run_id).get("status", {}).get("models", [])
    return {m["name"]: (m.get("reason"), m.get("message")) for m in models}


def says(seen: Mapping[str, tuple[str | None, str | None]], model: str) -> bool:
    reason, message = seen.get(model) or (None, None)
    return reason == WAITS[model][0] and WAITS[model][2] in (message or "")


@pytest.mark.kill
def test_why_a_pod_does_not_start_is_said_within_a_minute_and_ends_with_its_class(
    world: World, demo_media: dict[str, Any]
) -> None:
    strike(world, of(world, "image-pull", "NO-IMAGE-V1", None), of(world, "pending", "HELD-BACK-V1", None))
    person = world.person()
    media = person.upload(demo_media["picture"].path)
    run = media["latestRunId"]
    wait_for("the first attempts", lambda: len(world.jobs(run)) == len(WAITS) + 1)
    began, first = now(), {}

    def all_said() -> bool:
        rest, kubectl = by_rest(person, media["id"]), by_kubectl(world, run)
        for model in WAITS:
            if model not in first and says(rest, model) and says(kubectl, model):
                first[model] = now() - began
        return len(first) == len(WAITS)

    wait_for("all reasons", all_said, 150)
    shown.visible = {STORY[model]: seconds for model, seconds in first.items()}
    progressing = next(c for c in world.resource(run)["status"]["conditions"] if c["type"] == "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("True", "Waiting")
    assert f"{len(WAITS)} have not started" in progressing["message"]

    person.wait(media["id"], 240)
    seen = world.same_answer(person, media["id"])
    found = {a["model"]: a for a in seen["analyses"]}
    assert seen["status"] == "PARTIALLY_ANALYZED"
    assert found.pop("GOOD-V1")["status"] == "COMPLETED"
    assert {m: (a["status"], a["errorClass"], a["attempt"]) for m, a in found.items()} == {
        model: ("FAILED", error, 1) for model, (_, error, _) in WAITS.items()
    }
    for model, (_, error, words) in WAITS.items():
        assert words in found[model]["errorMessage"], model
        assert by_kubectl(world, run)[model] == (error, found[model]["errorMessage"])
    strike(world)
    world.verify()
    for model, (_, error, _) in WAITS.items():
        shown.ended("pending", STORY[model], error)
    shown.write()


@pytest.mark.kill
def test_a_quota_that_refuses_jobs_is_told_at_once_and_what_comes_after_it_goes_on(
    world: World, demo_media: dict[str, Any], tmp_path: Path
) -> None:
    world.script({"GOOD-V1": IMAGE})
    person = world.person()
    quota(world, tmp_path, "no-jobs", {"count/jobs.batch": "0"})
    media = person.upload(demo_media["picture"].path)
    person.wait(media["id"])
    seen = world.same_answer(person, media["id"])
    assert seen["status"] == "FAILED"
    good = next(a for a in seen["analyses"] if a["model"] == "GOOD-V1")
    assert (good["errorClass"], good["attempt"]) == ("CLUSTER_REJECTED", 1)
    assert "exceeded quota: no-jobs" in good["errorMessage"]
    assert seen["analysisRuns"][0]["reason"] == "CLUSTER_REJECTED"
    assert by_kubectl(world, media["latestRunId"])["GOOD-V1"] == ("CLUSTER_REJECTED", good["errorMessage"])
    assert world.jobs(media["latestRunId"]) == []
    world.kubectl("delete", "resourcequota", "no-jobs")
    world.verify()
    shown.ended("pending", "a ResourceQuota refuses Jobs", "CLUSTER_REJECTED, at once")
    shown.write()


@pytest.mark.kill
def test_a_run_that_waits_for_a_place_ends_at_its_age_limit_and_what_is_at_work_goes_on(
    new_world: Callable[..., World], demo_media: dict[str, Any]
) -> None:
    settings = {"DRISHTIKSHA_MAX_ACTIVE_JOBS": "1", "DRISHTIKSHA_RUN_AGE_LIMIT": "40s"}
    world = new_world(script={"SLOW-V1": {**IMAGE, "seconds": 75}}, settings=settings)
    world.start()
    person = world.person()
    first = person.upload(demo_media["picture"].path)
    wait_for("the one place to be taken", lambda: person.media(first["id"])["status"] == "PROCESSING")
    second = person.upload(demo_media["picture"].path)
    wait_for("the other to wait", lambda: by_rest(person, second["id"]).get("SLOW-V1", (None,))[0] == "WaitingForPlace")

    def kubectl_says_so() -> bool:
        reason, message = by_kubectl(world, second["latestRunId"]).get("SLOW-V1", (None, None))
        return reason == "WaitingForPlace" and "ahead" in (message or "")

    wait_for("kubectl to say so too", kubectl_says_so)
    person.wait(second["id"], 120)
    late = world.same_answer(person, second["id"])
    assert (late["status"], late["analysisRuns"][0]["reason"]) == ("FAILED", "UNSCHEDULABLE")
    assert "age limit" in late["analyses"][0]["errorMessage"]
    assert late["analyses"][0]["attempt"] == 0
    person.wait(first["id"], 180)
    assert world.same_answer(person, first["id"])["status"] == "ANALYZED"
    world.verify()
    shown.ended("pending", "no place within the run's age limit", "UNSCHEDULABLE; older work goes on")
    shown.write()
