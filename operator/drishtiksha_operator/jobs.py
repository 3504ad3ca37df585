"""The calls to Kubernetes about what a run owns: Jobs, pods, the Secret, the last Event. It decides nothing.

`seen` reads what is fetched here; `manifests` makes what is posted here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from drishtiksha import resources as r
from drishtiksha.kube import Kube, KubeConflict, KubeNotFound, Object
from drishtiksha.resources import NotOurs

from .manifests import MANAGED_BY
from .seen import Diagnosis, JobSeen, PodSeen, read_job, read_pod, refusal


class Jobs:
    """One namespace. At most `concurrency` creates are under way at a time."""

    def __init__(self, kube: Kube, namespace: str, concurrency: int) -> None:
        self._kube = kube
        self._core = f"/api/v1/namespaces/{namespace}"
        self._batch = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._creating = asyncio.Semaphore(concurrency)

    async def of_run(self, run_id: object) -> dict[str, JobSeen]:
        """The run's Jobs by name, consistently read: one that is missing is not there."""
        found = await self._kube.list(self._batch, labels=f"{r.LABEL_RUN}={run_id}")
        return {job.name: job for job in map(read_job, found)}

    async def pods_of_run(self, run_id: object) -> dict[str, list[PodSeen]]:
        """The run's pods by the name of their Job."""
        by_job: dict[str, list[PodSeen]] = {}
        for pod in map(read_pod, await self._kube.list(f"{self._core}/pods", labels=f"{r.LABEL_RUN}={run_id}")):
            by_job.setdefault(pod.job, []).append(pod)
        return by_job

    async def why_no_pod(self, job: JobSeen) -> Diagnosis | None:
        """What the cluster says about a Job that has no pod."""
        events = await self._kube.list(f"{self._core}/events", fields=f"involvedObject.uid={job.uid}")
        return refusal(sorted(events, key=lambda e: str(e.get("lastTimestamp") or "")))

    async def create(self, body: Object) -> JobSeen:
        """Post a Job; one that is there with our owner is success. Raises NotOurs, KubeInvalid, KubeForbidden."""
        async with self._creating:
            return read_job(await self._post(self._batch, body))

    async def create_secret(self, body: Object) -> None:
        """Post the run's Secret; one that is there with our owner is success."""
        await self._post(f"{self._core}/secrets", body)

    async def create_event(self, body: Object) -> bool:
        """Post an Event; False when it is told already."""
        try:
            await self._kube.create(f"{self._core}/events", body)
        except KubeConflict:
            return False
        return True

    async def delete(self, names: Sequence[str]) -> None:
        """Delete Jobs with their pods; those that are gone are fine."""
        await asyncio.gather(*(self._kube.delete(f"{self._batch}/{name}") for name in names))

    async def _post(self, path: str, body: Object) -> Object:
        name = body["metadata"]["name"]
        try:
            return await self._kube.create(path, body)
        except KubeConflict as conflict:
            if not conflict.already_exists:
                raise
            try:
                there = await self._kube.get(f"{path}/{name}")
            except KubeNotFound:
                raise conflict from None
            owners = {o.get("uid") for o in there["metadata"].get("ownerReferences") or [] if o.get("controller")}
            if body["metadata"]["ownerReferences"][0]["uid"] not in owners:
                raise NotOurs(name, f"it is there, and {MANAGED_BY} did not make it for this resource.") from conflict
            return there
