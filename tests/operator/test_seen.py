"""Reading Jobs and pods as the API tells them."""

from __future__ import annotations

from typing import Any

import pytest

from drishtiksha_operator.handlers import run_of_job, run_of_resource
from drishtiksha_operator.seen import has_ended, read_job, read_pod, refusal

RUN = "0198f1c2-7d1b-7aa0-8000-00000000002a"


def job(*conditions: tuple[str, str], **status: Any) -> dict[str, Any]:
    said = [{"type": kind, "status": value, "reason": f"because-{kind}"} for kind, value in conditions]
    owners = [{"uid": "x"}, {"uid": "ours", "controller": True}]
    metadata = {"name": "j", "uid": "u", "ownerReferences": owners, "labels": {"drishtiksha.io/run": RUN}}
    return {"metadata": metadata, "status": {"conditions": said, **status}}


@pytest.mark.parametrize(
    ("conditions", "ended"),
    [
        ([], False),
        ([("SuccessCriteriaMet", "True")], False),
        ([("FailureTarget", "True")], False),
        ([("Complete", "False")], False),
        ([("SuccessCriteriaMet", "True"), ("Complete", "True")], True),
        ([("FailureTarget", "True"), ("Failed", "True")], True),
    ],
)
def test_only_complete_and_failed_end_a_job(conditions: list[tuple[str, str]], ended: bool) -> None:
    found = job(*conditions, succeeded=1, failed=1)
    assert has_ended(found) is ended
    assert read_job(found).ended is ended


def test_the_controller_is_the_owner_and_a_job_without_status_is_read() -> None:
    assert read_job(job()).owner_uid == "ours"
    assert read_job({"metadata": {"name": "j", "uid": "u"}}).owner_uid is None


def pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    base = {"name": "p", "creationTimestamp": "2026-05-01T12:00:00Z", "labels": {"batch.kubernetes.io/job-name": "j"}}
    return {"metadata": {**base, **metadata}, "spec": {"nodeName": "gpu-0"}, "status": status}


def waiting(name: str, reason: str) -> dict[str, Any]:
    return {"name": name, "state": {"waiting": {"reason": reason, "message": "m"}}}


@pytest.mark.parametrize(
    ("status", "reason", "hopeless"),
    [
        ({}, "Starting", False),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "2 Insufficient nvidia.com/gpu"}]},
            "Unschedulable",
            False,
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes match the selector"}]},
            "Unschedulable",
            True,
        ),
        ({"containerStatuses": [waiting("runner", "ContainerCreating")]}, "Starting", False),
        ({"containerStatuses": [waiting("runner", "ImagePullBackOff")]}, "ImagePullBackOff", True),
        (
            {"initContainerStatuses": [waiting("model", "CreateContainerConfigError")]},
            "CreateContainerConfigError",
            True,
        ),
        (
            {"initContainerStatuses": [{"name": "model", "started": False, "state": {"running": {}}}]},
            "ModelStarting",
            False,
        ),
        (
            {
                "initContainerStatuses": [
                    {
                        "name": "model",
                        "started": False,
                        "state": {"running": {}},
                        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                    }
                ]
            },
            "ModelFailsToStart",
            True,
        ),
    ],
)
def test_why_a_pod_does_not_run_is_said_in_a_word(status: dict[str, Any], reason: str, hopeless: bool) -> None:
    found = read_pod(pod({"phase": "Pending", **status})).diagnosis
    assert found is not None
    assert (found.reason, found.hopeless) == (reason, hopeless)


def test_the_runners_exit_code_counts_and_whose_memory_ran_out_is_known() -> None:
    found = read_pod(
        pod(
            {
                "phase": "Failed",
                "initContainerStatuses": [
                    {
                        "name": "model",
                        "state": {"terminated": {"exitCode": 0, "reason": "Completed"}},
                        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                    }
                ],
                "containerStatuses": [{"name": "runner", "state": {"terminated": {"exitCode": 69}}}],
            }
        )
    )
    assert (found.exit_code, found.signal, found.oom, found.over, found.job) == (69, False, "model", True, "j")


def test_a_refused_pod_is_told_by_the_last_failed_create_event() -> None:
    events = [{"reason": "FailedCreate", "message": "old"}, {"reason": "FailedCreate", "message": "exceeded quota"}]
    found = refusal([*events, {"reason": "Other"}])
    assert found is not None
    assert found.refused
    assert "exceeded quota" in found.message
    assert refusal([{"reason": "Other"}]) is None


def resource(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": f"ma-{RUN}", "resourceVersion": "7", **metadata}}


def test_an_event_about_a_settled_resource_or_our_own_write_is_no_reason_to_look() -> None:
    held = resource(finalizers=["drishtiksha.io/run"])
    assert run_of_resource(held, lambda _run, _version: False) == RUN
    assert run_of_resource(held, lambda run, version: (run, version) == (RUN, "7")) is None
    assert run_of_resource(resource(), lambda _run, _version: False) is None
    assert run_of_resource({"metadata": {"name": "x", "finalizers": ["drishtiksha.io/run"]}}, lambda *_: False) is None


def test_of_a_job_only_its_end_and_its_absence_are_reasons_to_look() -> None:
    assert run_of_job(job(("Complete", "True")), "MODIFIED") == RUN
    assert run_of_job(job(active=1), "MODIFIED") is None
    assert run_of_job(job(), "DELETED") == RUN
    assert run_of_job({"metadata": {}}, "DELETED") is None
