"""Tells the API server how a pod is: few writes, repeated until they are heard. `status` builds what is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from .client import ApiError, ApiUnreachable, KubeClient
from .status import Life, build, is_settling, phase

PENDING_SECONDS = 1.0
"""A pod that is still starting is reported at most this often, so that a quick start costs no write of its own."""
_log = structlog.get_logger()


class Reporter:
    """Writes the status of one pod whenever it is another than what was written last."""

    def __init__(self, client: KubeClient, life: Life, pod: Callable[[], dict[str, Any]]) -> None:
        self._client = client
        self._life = life
        self._pod = pod
        self._dirty = asyncio.Event()
        self._written: dict[str, Any] = {}

    def look(self) -> None:
        """Something may have changed."""
        self._dirty.set()

    async def run(self) -> None:
        """Report until the end of the pod is reported, or nobody wants to know any more."""
        self._dirty.set()
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if phase(self._life) == "Pending":
                await self._while_pending()
            if is_settling(self._life):
                continue
            final = self._life.ended
            status = build(
                self._life,
                self._pod()["metadata"].get("generation"),
                self._written.get("conditions") or [],
                datetime.now(UTC),
            )
            if status != self._written and not await self._write(status):
                return
            if final:
                return

    async def remove(self) -> None:
        """Confirm a deletion: the pod has no process left here."""
        uid = self._pod()["metadata"]["uid"]
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
        await self._until_heard(lambda: self._client.delete(self._path(), body))

    async def _while_pending(self) -> None:
        try:
            async with asyncio.timeout(PENDING_SECONDS):
                while phase(self._life) == "Pending":
                    await self._dirty.wait()
                    self._dirty.clear()
        except TimeoutError:
            return

    async def _write(self, status: dict[str, Any]) -> bool:
        body = {"metadata": {"uid": self._pod()["metadata"]["uid"]}, "status": status}
        heard = await self._until_heard(lambda: self._client.patch(self._path() + "/status", body))
        self._written = status
        return heard

    async def _until_heard(self, call: Callable[[], Any]) -> bool:
        """Repeat a call until the server took it. False: the pod is gone, or another has its name.

        What the server calls invalid stays invalid: it is logged and not repeated.
        """
        pause = 0.2
        while True:
            try:
                await call()
            except ApiUnreachable:
                pass
            except ApiError as error:
                if error.status == 404 or (error.status == 409 and "uid" in error.message.lower()):
                    return False
                _log.warning("the API server refused what was said of a pod", pod=self._path(), error=str(error))
                if error.status in (400, 422):
                    return True
            else:
                return True
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)

    def _path(self) -> str:
        metadata = self._pod()["metadata"]
        return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
