"""The nodes that the house has not: each Job's pod is the runner, called in this process, and the ends are written here.

The Job controller makes the pods. The end of a Job is written too, for the controller takes a second or two to do it.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import drishtiksha_jobrunner.run
from drishtiksha.kube import KubeError, KubeNotFound, Object
from drishtiksha_jobrunner import environment
from drishtiksha_jobrunner.timing import Timing

from .ground import JOBS, NAMESPACE, PATIENCE, PODS_PATH, Ground


@dataclass
class Nodes:
    """`name`: the node that pods are bound to, None for none; `codes`: exit codes of the runners, in order."""

    ground: Ground
    folder: Path
    timing: Timing
    name: str | None = None
    codes: list[int] = field(default_factory=list)
    _started: set[str] = field(default_factory=set)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def carry_out(self) -> None:
        """What nodes do: run the pod of each Job that has not ended."""
        for job in await self.ground.jobs():
            name = job["metadata"]["name"]
            if name not in self._started and "deletionTimestamp" not in job["metadata"] and not ended(job):
                self._started.add(name)
                await self._run_pod(job)

    async def start_pod(self, job: Object) -> asyncio.Task[None]:
        """A pod beside the story."""
        self._started.add(job["metadata"]["name"])
        task = asyncio.create_task(self._run_pod(job))
        self._tasks.append(task)
        return task

    async def _run_pod(self, job: Object) -> None:
        """From the pod's start to the end of its Job. A Job that was deleted meanwhile takes its pod with it."""
        pod = await self._pod_of(job)
        if pod is None:
            return
        try:
            environ = await self._environ(pod)
        except KubeNotFound:
            return
        async with asyncio.timeout(PATIENCE):
            code = await drishtiksha_jobrunner.run.run(environment.read(environ), self.timing)
        self.codes.append(code)
        await _forgiving(self._end, job, pod, code)

    async def _environ(self, pod: Object) -> dict[str, str]:
        if self.name is not None:
            target = {"apiVersion": "v1", "kind": "Node", "name": self.name}
            binding = {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": pod["metadata"]["name"]},
                "target": target,
            }
            await self.ground.admin.create(f"{PODS_PATH}/{pod['metadata']['name']}/binding", binding)
        environ = {"TMPDIR": str(self.folder)}
        for entry in pod["spec"]["containers"][0]["env"]:
            environ.setdefault(entry["name"], await self._value(entry))
        return environ

    async def _value(self, entry: Object) -> str:
        told = (entry.get("valueFrom") or {}).get("secretKeyRef")
        if told is None:
            return str(entry.get("value", ""))
        secret = await self.ground.admin.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{told['name']}")
        return base64.b64decode(secret["data"][told["key"]]).decode()

    async def _pod_of(self, job: Object) -> Object | None:
        """The pod that the Job controller makes; None when the Job has gone before it was made."""
        name = job["metadata"]["name"]
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await self.ground.admin.list(PODS_PATH, labels=f"batch.kubernetes.io/job-name={name}")
                if found:
                    return found[0]
                if not any(j["metadata"]["name"] == name for j in await self.ground.jobs()):
                    return None
                await asyncio.sleep(0.02)

    async def _end(self, job: Object, pod: Object, code: int) -> None:
        """The end of the pod, as a kubelet writes it, and of its Job, as its controller does a second or two later."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ended = {"exitCode": code, "reason": "Completed", "startedAt": pod["metadata"]["creationTimestamp"]}
        container = {"name": "runner", "image": "i", "imageID": "i", "ready": False, "restartCount": 0}
        status: Object = {
            "phase": "Succeeded" if code == 0 else "Failed",
            "containerStatuses": [{**container, "state": {"terminated": ended}}],
        }
        await self.ground.admin.merge(f"{PODS_PATH}/{pod['metadata']['name']}/status", {"status": status})
        words = ("SuccessCriteriaMet", "Complete") if code == 0 else ("FailureTarget", "Failed")
        whole: Object = {
            "active": 0, "ready": 0, "terminating": 0, "uncountedTerminatedPods": None,
            "succeeded" if code == 0 else "failed": 1,
            "conditions": [
                {"type": word, "status": "True", "reason": "Told", "message": "", "lastProbeTime": now, "lastTransitionTime": now}
                for word in words
            ],
        }  # fmt: skip
        path = f"{JOBS}/{job['metadata']['name']}"
        if "startTime" not in (await self.ground.admin.get(path)).get("status", {}):
            whole["startTime"] = now
        if code == 0:
            whole["completionTime"] = now
        await self.ground.admin.merge(f"{path}/status", {"status": whole})

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def ended(job: Object) -> bool:
    found = (job.get("status") or {}).get("conditions") or []
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in found)


async def _forgiving(call: Callable[..., Awaitable[None]], *args: Any) -> None:
    """A node whose pod or Job was deleted has nothing to tell."""
    try:
        await call(*args)
    except KubeNotFound:
        pass
    except KubeError:
        await asyncio.sleep(0.2)
        await call(*args)
