"""The controllers of the double: pods for Jobs, the ends of Jobs, and the garbage of owners that are gone.

As the Job controller and the garbage collector of Kubernetes 1.36 do it for the Jobs that we make: one pod, one try, a pod
failure policy. Deadlines and TTLs of Jobs are left to the tests. Each write is a step of its own, so that what lies between
two of them is seen by whoever looks.
"""

from __future__ import annotations

import asyncio
import copy
import random
from datetime import UTC, datetime
from typing import Any

from .kinds import JOBS, KINDS, PODS, Object
from .store import Change, Store

TRACKING = "batch.kubernetes.io/job-tracking"
"""The finalizer that keeps a pod until its end is counted."""


class Controllers:
    """`pause`: seconds before each step. `run` works until it is cancelled."""

    def __init__(self, store: Store, seed: int = 0) -> None:
        self.store = store
        self.pause = 0.0
        self._chance = random.Random(seed)
        self._dirty = asyncio.Event()
        store.followers.append(self._follow)

    def _follow(self, _change: Change) -> None:
        self._dirty.set()

    async def run(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            while self._step():
                await asyncio.sleep(self.pause)

    def _step(self) -> bool:
        """One write that is due; False when none is."""
        for namespace in sorted(self.store.namespaces):
            jobs = self.store.all(JOBS, namespace)
            pods = self.store.all(PODS, namespace)
            if any(self._untracked(pod, jobs) for pod in pods):
                return True
            if any(self._job(job, [p for p in pods if _owner(p) == job["metadata"]["uid"]]) for job in jobs):
                return True
            if self._garbage(namespace):
                return True
        return False

    # -- garbage ------------------------------------------------------------------------------------------------------

    def _garbage(self, namespace: str) -> bool:
        """Delete one object all of whose owners are gone."""
        everything = [(kind, body) for kind in KINDS for body in self.store.all(kind, namespace)]
        there = {(kind.name, body["metadata"]["name"], body["metadata"]["uid"]) for kind, body in everything}
        for kind, body in everything:
            metadata = body["metadata"]
            owners = {(o["kind"], o["name"], o["uid"]) for o in metadata.get("ownerReferences") or []}
            if owners and not owners & there and "deletionTimestamp" not in metadata:
                self.store.delete(kind, namespace, metadata["name"])
                return True
        return False

    # -- Jobs ---------------------------------------------------------------------------------------------------------

    def _untracked(self, pod: Object, jobs: list[Object]) -> bool:
        """A pod whose Job is gone is nobody's to count."""
        if TRACKING not in (pod["metadata"].get("finalizers") or []):
            return False
        return _owner(pod) not in {job["metadata"]["uid"] for job in jobs} and self._release(pod)

    def _release(self, pod: Object) -> bool:
        def without(body: Object) -> Object:
            body["metadata"]["finalizers"] = [f for f in body["metadata"]["finalizers"] if f != TRACKING]
            return body

        self.store.update(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], without)
        return True

    def _job(self, job: Object, pods: list[Object]) -> bool:
        """One step of one Job."""
        status = job.get("status") or {}
        said = {c["type"] for c in status.get("conditions") or [] if c["status"] == "True"}
        if said & {"Complete", "Failed"} or "deletionTimestamp" in job["metadata"]:
            return False
        if job["spec"].get("suspend"):
            return "Suspended" not in said and self._condition(job, "Suspended", "JobSuspended", "Job suspended")
        over = [p for p in pods if (p.get("status") or {}).get("phase") in ("Succeeded", "Failed")]
        counted = [p for p in over if TRACKING not in (p["metadata"].get("finalizers") or [])]
        for early, final, more in (
            ("SuccessCriteriaMet", "Complete", {"succeeded": 1, "completionTime": _now()}),
            ("FailureTarget", "Failed", {"failed": 1}),
        ):
            if early in said:
                uncounted = [p for p in over if p not in counted]
                if uncounted:
                    return self._release(uncounted[0])
                told = next(c for c in status["conditions"] if c["type"] == early)
                rest = {"active": None, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}}
                return self._condition(job, final, told["reason"], told["message"], more | rest)
        end = next((verdict for pod in over if (verdict := _verdict(job, pod)) is not None), None)
        if end is not None:
            return self._condition(job, *end)
        ignored = [p for p in over if p not in counted]
        if ignored:
            return self._release(ignored[0])
        if len(pods) == len(over):
            return self._make_pod(job)
        if not status.get("active"):
            begun = {"active": 1, "ready": 0, "terminating": 0, "startTime": _now(), "uncountedTerminatedPods": {}}
            return self._status(job, {**begun, **{k: status[k] for k in ("startTime",) if k in status}})
        return False

    def _condition(self, job: Object, type: str, reason: str, message: str, more: Object | None = None) -> bool:
        held = (job.get("status") or {}).get("conditions") or []
        new = {"type": type, "status": "True", "reason": reason, "message": message}
        new |= {"lastProbeTime": _now(), "lastTransitionTime": _now()}
        return self._status(job, {"conditions": [*held, new], **(more or {})})

    def _status(self, job: Object, changes: Object) -> bool:
        def written(body: Object) -> Object:
            status = {**(body.get("status") or {}), **changes}
            body["status"] = {key: value for key, value in status.items() if value is not None}
            return body

        self.store.update(JOBS, job["metadata"]["namespace"], job["metadata"]["name"], written, part="status")
        return True

    def _make_pod(self, job: Object) -> bool:
        template = copy.deepcopy(job["spec"]["template"])
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        ours = {"batch.kubernetes.io/job-name": name, "batch.kubernetes.io/controller-uid": uid}
        ours |= {"job-name": name, "controller-uid": uid}
        labels = (template.get("metadata") or {}).get("labels") or {}
        suffix = "".join(self._chance.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}
        metadata = {
            "name": f"{name}-{suffix}",
            "generateName": f"{name}-",
            "labels": {**labels, **ours},
            "finalizers": [TRACKING],
            "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
        }
        body = {"metadata": metadata, "spec": template["spec"], "status": {"phase": "Pending"}}
        self.store.create(PODS, job["metadata"]["namespace"], body)
        return True


def _verdict(job: Object, pod: Object) -> tuple[str, str, str] | None:
    """What a pod that is over says about its Job: condition, reason, message; None when another pod is made."""
    if pod["status"]["phase"] == "Succeeded":
        return "SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods"
    where = f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
    for index, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or []):
        told = _matches(rule, pod, where)
        if told is None:
            continue
        if rule["action"] == "Ignore":
            return None
        if rule["action"] == "FailJob":
            return "FailureTarget", "PodFailurePolicy", f"{told} matching FailJob rule at index {index}"
        break
    return "FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit"


def _matches(rule: dict[str, Any], pod: Object, where: str) -> str | None:
    """How a rule speaks of a pod that it matches."""
    held = {c["type"]: c["status"] for c in pod["status"].get("conditions") or []}
    for wanted in rule.get("onPodConditions") or []:
        if held.get(wanted["type"]) == wanted.get("status", "True"):
            return f"{where.capitalize()} has condition {wanted['type']}"
    if codes := rule.get("onExitCodes"):
        for container in pod["status"].get("containerStatuses") or []:
            code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode")
            if code is None or codes.get("containerName") not in (None, container["name"]):
                continue
            if code != 0 and (code in codes["values"]) == (codes["operator"] == "In"):
                return f"Container {container['name']} for {where} failed with exit code {code}"
    return None


def _owner(pod: Object) -> str | None:
    return next((o["uid"] for o in pod["metadata"].get("ownerReferences") or [] if o.get("controller")), None)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
