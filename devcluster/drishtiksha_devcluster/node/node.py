"""The node as a whole: registered, with its lease, it hears of its pods and lets each live (`pod`) until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from . import faults, logserver
from .client import ApiError, ApiUnreachable
from .pod import Ground, PodOnNode
from .records import log_folder
from .registration import NodeShape, Registration
from .status import Ending, Life

SHUTDOWN_SECONDS = 20.0
"""What pods have for their end when the node is stopped, at most; then they are killed."""
LAST_WORDS_SECONDS = 4.0
"""How long a stopped node tries to tell an API server that may be gone how its pods ended."""
LOG_LOOK_SECONDS = 30.0
_TERMINAL = ("Succeeded", "Failed")
_log = structlog.get_logger()


@dataclass(frozen=True)
class Credentials:
    """The files of the logs endpoint's TLS."""

    certificate: Path
    key: Path
    authority: Path


class ProcessNode:
    """One node and its pods."""

    def __init__(self, shape: NodeShape, ground: Ground, credentials: Credentials) -> None:
        self._shape = shape
        self._ground = ground
        self._credentials = credentials
        self._registration = Registration(ground.client, shape)
        self._pods: dict[str, PodOnNode] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ran_before: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Be a node until `stop` is set; then end all pods as a kubelet does when its machine goes down."""
        self._ran_before = set(self._ground.records.end_leftovers())
        self._ground.faults.look()
        await _first(stop.wait(), self._registration.register())
        if stop.is_set():
            return
        logs = await self._serve_logs()
        _log.info("the node is up", node=self._shape.name, gpus=self._shape.gpus, logs_port=self._shape.logs_port)
        try:
            await _first(
                stop.wait(), self._registration.keep(), self._follow_pods(), self._follow_faults(), self._bound_logs()
            )
        finally:
            await self._end_pods()
            await self._ground.memory.close()
            await logs.cleanup()

    async def _follow_pods(self) -> None:
        """List, then watch; after a broken watch list again. What is missing in a list is gone."""
        pause = 0.2
        while True:
            try:
                version = await self._list()
                pause = 0.2
                while True:
                    version = await self._watch(version)
            except ApiError as error:
                if error.status != 410:  # 410: the version is too old to go on from, a new list is all it takes
                    _log.warning("the pods of the node cannot be seen", node=self._shape.name, error=str(error))
                    await asyncio.sleep(pause)
            except ApiUnreachable as error:
                _log.warning("the watch of the node's pods ended", node=self._shape.name, error=str(error))
                await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    async def _list(self) -> str:
        listed = await self._ground.client.get("/api/v1/pods", fieldSelector=f"spec.nodeName={self._shape.name}")
        present = set()
        for pod in listed.get("items") or []:
            present.add(pod["metadata"]["uid"])
            self._see(pod)
        for uid in set(self._pods) - present:
            self._forget(uid)
        for uid in self._ran_before - present:
            self._ground.records.forget(uid)
        self._ran_before &= present
        return str(listed["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> str:
        """Take events until the server ends the watch; the version to go on from."""
        selector = f"spec.nodeName={self._shape.name}"
        async for event in self._ground.client.watch("/api/v1/pods", fieldSelector=selector, resourceVersion=version):
            pod = event["object"]
            version = pod["metadata"]["resourceVersion"]
            if event["type"] == "DELETED":
                self._forget(pod["metadata"]["uid"])
            elif event["type"] != "BOOKMARK":
                self._see(pod)
        return version

    def _see(self, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        if known := self._pods.get(uid):
            if what_is_left := known.observe(pod):
                self._start(what_is_left)
            return
        self._pods[uid] = new = PodOnNode(pod, self._ground)
        status = pod.get("status") or {}
        if status.get("phase") in _TERMINAL:
            self._start(new.is_over())
        elif status.get("phase") == "Running" or uid in self._ran_before:
            self._start(new.report_lost())
        else:
            self._start(new.run())
            if pod["metadata"].get("deletionTimestamp"):
                new.observe(pod)

    def _forget(self, uid: str) -> None:
        if pod := self._pods.pop(uid, None):
            pod.gone()

    def _start(self, life: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await life
            except Exception:
                _log.exception("a pod's story broke off", node=self._shape.name)

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow_faults(self) -> None:
        while True:
            if self._ground.faults.lost:
                self._ground.client.cut()
            else:
                self._ground.client.mend()
            await asyncio.sleep(faults.LOOK_SECONDS)
            if self._ground.faults.look():
                for pod in tuple(self._pods.values()):
                    pod.obey()

    async def _end_pods(self) -> None:
        going = Ending("Terminated", "Pod was terminated in response to imminent node shutdown.", disruption=True)
        for pod in self._pods.values():
            if not pod.life.ended:
                pod.stop(going)
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                while not all(pod.life.ended for pod in self._pods.values()):
                    await asyncio.sleep(0.05)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_WORDS_SECONDS)
        for task in tuple(self._tasks):
            task.cancel()

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_LOOK_SECONDS)
            for pod in self._pods.values():
                for one in [*pod.life.containers, *pod.life.sidecars]:
                    one.bound_log()

    async def _serve_logs(self) -> web.AppRunner:
        runner = web.AppRunner(logserver.application(self._find_log), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        files = self._credentials
        tls = logserver.tls(files.certificate, files.key, files.authority)
        await web.TCPSite(runner, self._shape.address, self._shape.logs_port, ssl_context=tls).start()
        return runner

    def _find_log(self, namespace: str, name: str, container: str) -> tuple[Path, Life] | None:
        for uid, pod in reversed(self._pods.items()):
            metadata = pod.pod["metadata"]
            containers = {one.name for one in [*pod.life.containers, *pod.life.sidecars]}
            if (metadata["namespace"], metadata["name"]) == (namespace, name) and container in containers:
                return log_folder(self._ground.home, namespace, name, uid) / f"{container}.log", pod.life
        return None


async def _first(*tasks: Coroutine[Any, Any, Any]) -> None:
    """Run these until one of them ends; raise what it raised, cancel the others."""
    running = [asyncio.create_task(task) for task in tasks]
    try:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
