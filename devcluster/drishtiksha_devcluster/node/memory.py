"""Keeps memory limits: looks at the limited containers twice a second, kills those above their limit.

An rlimit would count address space, a cgroup needs rights that a plain user lacks; so this polls, and only while a
container with a limit runs. `container` registers its processes here.
"""

from __future__ import annotations

import asyncio

import structlog

from . import census
from .process import Process

LOOK_SECONDS = 0.5
_log = structlog.get_logger()


class MemoryWatch:
    """The limits of all running containers of a node, in bytes."""

    def __init__(self) -> None:
        self._limits: dict[Process, int] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, process: Process, limit: int) -> None:
        """Kill this process with all its children when together they hold more than `limit` bytes."""
        self._limits[process] = limit
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _watch(self) -> None:
        while self._limits:
            self._look()
            await asyncio.sleep(LOOK_SECONDS)
            self._limits = {process: limit for process, limit in self._limits.items() if process.running}

    def _look(self) -> None:
        processes = census.everything()
        for process, limit in self._limits.items():
            used = sum(census.private_bytes(member.pid) for member in census.members(process.pid, processes))
            if used > limit:
                _log.warning("a container is above its memory limit", pid=process.pid, used=used, limit=limit)
                process.killed_for_memory = True
                process.kill()
