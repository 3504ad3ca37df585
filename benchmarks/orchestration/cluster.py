"""Two looks at the cluster that both sides need: when each Job of a namespace was seen to end, and whether the
platform's resources have settled. Asked as the administrator, so that it is not counted for anybody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Any, Self

from drishtiksha.resources import FINALIZER
from drishtiksha_devcluster.node.client import ApiError, ApiUnreachable, KubeClient


class Unfinished(Exception):
    """What was waited for did not come, or ended badly; the text says what is missing."""


class JobEnds:
    """Watches the Jobs of a namespace; `ended` is by name: when the end was seen (Unix seconds), and whether it was good."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self.ended: dict[str, tuple[float, bool]] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        listed = await self._client.get(self._path)
        self._before = {job["metadata"]["name"] for job in listed["items"]}
        self._task = asyncio.create_task(self._watch(listed["metadata"]["resourceVersion"]))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def wait(self, count: int, seconds: float) -> float:
        """When the last of `count` new Jobs was seen to complete. Raises Unfinished, also when one has failed."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.ended) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Unfinished(f"{len(self.ended)} of {count} Jobs had ended after {seconds:.0f} s") from None
        bad = [name for name, (_, good) in self.ended.items() if not good]
        if bad:
            raise Unfinished(f"{len(bad)} of {count} Jobs failed, the first is {bad[0]}")
        return max(at for at, _ in self.ended.values())

    async def _watch(self, version: str) -> None:
        while True:
            with contextlib.suppress(ApiError, ApiUnreachable):
                async for event in self._client.watch(self._path, resourceVersion=version):
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._see(event)

    def _see(self, event: dict[str, Any]) -> None:
        job = event["object"]
        name = job["metadata"].get("name", "")
        if name in self._before or name in self.ended or event["type"] == "DELETED":
            return
        for condition in (job.get("status") or {}).get("conditions") or []:
            if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
                self.ended[name] = (time.time(), condition["type"] == "Complete")
                self._changed.set()


async def settled(client: KubeClient, namespace: str, seconds: float = 120.0) -> None:
    """Wait until no resource of the namespace carries our finalizer: every run has been told to its end."""
    path = f"/apis/drishtiksha.io/v1alpha1/namespaces/{namespace}/mediaanalyses"
    held: list[str] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        listed = await client.get(path)
        held = [i["metadata"]["name"] for i in listed["items"] if FINALIZER in (i["metadata"].get("finalizers") or [])]
        if not held:
            return
        await asyncio.sleep(1.0)
    raise Unfinished(f"{len(held)} resources were not settled after {seconds:.0f} s, the first is {held[0]}")
