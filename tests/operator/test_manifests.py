"""Manifests compared whole with golden files, validated against the Kubernetes schema, and held to `restricted`.

`DRISHTIKSHA_TEST_GOLDEN=write pytest tests/operator/test_manifests.py` writes the files anew; read the diff.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from drishtiksha_operator import manifests as m
from drishtiksha_operator.config import Gpu, Override, Profile
from drishtiksha_operator.overlay import merged

GOLDEN = Path(__file__).parent / "golden"
RUN = "0198f1c2-7d1b-7aa0-8000-00000000002a"
OWNER = m.Owner(f"ma-{RUN}", "6f1c9a52-1111-4222-8333-444455556666")
PLACE = m.Place("drishtiksha", "http://door:3001", "drishtiksha/jobrunner", 600)
SERVICE = m.Work(
    run_id=RUN,
    analysis_id="11111111-2222-5333-8444-555555555555",
    model="JPEG-GRID-V1",
    attempt=1,
    profile=Profile(),
    pending_deadline=21600,
    running_deadline=1800,
    server_url="http://modelserver:8000",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
POD_PROFILE = Override.model_validate(
    {
        "match": "FACE-TEMPORAL-V1",
        "execution": "pod",
        "image": "drishtiksha/modelserver",
        "imagePullPolicy": "IfNotPresent",
        "args": ["serve"],
        "env": {"ACTIVE_MODELS": "FACE-TEMPORAL-V1", "PORT": "1"},
        "mediaTypes": ["VIDEO"],
        "gpu": {"count": 1},
        "nodeSelector": {"drishtiksha.io/accelerator": "gpu"},
        "runtimeClassName": "nvidia",
        "priorityClassName": "analysis",
        "imagePullSecrets": ["registry"],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "polarity": "real",
        "overlay": {"containers": [{"name": "runner", "imagePullPolicy": "Never"}], "hostUsers": False},
    }
)
POD = replace(SERVICE, model="FACE-TEMPORAL-V1", attempt=2, profile=POD_PROFILE, dialect="3", traceparent=None)
EVENT_OF = {"metadata": {"name": OWNER.name, "namespace": "drishtiksha", "uid": OWNER.uid}}

CASES: dict[str, dict[str, Any]] = {
    "job-service": m.job(SERVICE, OWNER, PLACE),
    "job-pod-gpu": m.job(POD, OWNER, PLACE),
    "secret": m.secret(
        RUN, OWNER, PLACE, {m.token_key("JPEG-GRID-V1", 1): "v1.a.b.c", m.ml_key("JPEG-GRID-V1"): "key"}
    ),
    "event": m.final_event(
        EVENT_OF, "Analyzed", "All 3 models answered.", good=True, now=dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_manifest_equals_its_golden_file(name: str) -> None:
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("DRISHTIKSHA_TEST_GOLDEN") == "write":
        path.write_text(yaml.safe_dump(json.loads(json.dumps(CASES[name])), sort_keys=False))
    assert yaml.safe_load(path.read_text()) == CASES[name]


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_manifest_is_valid_kubernetes_without_unknown_fields(name: str) -> None:
    kubernetes_validate.validate(CASES[name], "1.36", strict=True)


@pytest.mark.parametrize("name", ["job-service", "job-pod-gpu"])
def test_a_pod_passes_the_restricted_level(name: str) -> None:
    pod = CASES[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert pod["automountServiceAccountToken"] is False
    assert not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    assert all(set(volume) == {"name", "emptyDir"} for volume in pod["volumes"])
    for container in pod["containers"] + pod.get("initContainers", []):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"]
        assert container["resources"]["limits"]


def test_an_eviction_is_looked_at_before_exit_codes_and_only_the_runners_code_counts() -> None:
    rules = CASES["job-service"]["spec"]["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["Ignore", "FailJob"]
    assert rules[1]["onExitCodes"] == {"containerName": "runner", "operator": "In", "values": [65, 76, 77]}


def test_no_secret_stands_in_a_job() -> None:
    data = CASES["secret"]["data"]
    text = yaml.safe_dump_all([CASES["job-service"], CASES["job-pod-gpu"]])
    assert not any(base64.b64decode(value).decode() in text.split() for value in data.values())


def test_without_a_gpu_there_is_no_toleration_and_no_limit() -> None:
    profile = POD_PROFILE.model_copy(update={"gpu": Gpu(count=0), "runtime_class_name": None, "overlay": {}})
    pod = m.job(replace(POD, profile=profile), OWNER, PLACE)["spec"]["template"]["spec"]
    assert "tolerations" not in pod
    assert "runtimeClassName" not in pod
    assert set(pod["initContainers"][0]["resources"]["limits"]) == {"memory"}


def test_the_accelerators_resource_has_the_clusters_name() -> None:
    profile = POD_PROFILE.model_copy(update={"gpu": Gpu(resource="amd.com/gpu", count=2)})
    pod = m.job(replace(POD, profile=profile), OWNER, PLACE)["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["resources"]["limits"]["amd.com/gpu"] == 2
    assert "amd.com/gpu" not in pod["containers"][0]["resources"]["limits"]


def test_a_profiles_variables_cannot_take_ours() -> None:
    sidecar = CASES["job-pod-gpu"]["spec"]["template"]["spec"]["initContainers"][0]
    assert [e["value"] for e in sidecar["env"] if e["name"] == "PORT"] == ["8000"]


def test_an_overlay_merges_named_things_replaces_others_and_takes_keys_away() -> None:
    base = {"a": {"x": 1, "y": 2}, "list": [1, 2], "named": [{"name": "n", "v": 1}, {"name": "o", "v": 2}]}
    over = {"a": {"y": None, "z": 3}, "list": [3], "named": [{"name": "o", "w": 4}, {"name": "p"}]}
    assert merged(base, over) == {
        "a": {"x": 1, "z": 3},
        "list": [3],
        "named": [{"name": "n", "v": 1}, {"name": "o", "v": 2, "w": 4}, {"name": "p"}],
    }
    assert base["a"] == {"x": 1, "y": 2}
