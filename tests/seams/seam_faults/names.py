"""Where the platform's modules find their libraries, the wire is put; their pauses become short, or last for a turn."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import httpx
import pytest
import redis.asyncio as aioredis

import drishtiksha.bus
import drishtiksha.database.session
import drishtiksha.kube
import drishtiksha.objects.local
import drishtiksha_api.dispatcher
import drishtiksha_api.intake.probe
import drishtiksha_api.janitor
import drishtiksha_api.mlstatus
import drishtiksha_api.relay
import drishtiksha_jobrunner.run
import drishtiksha_operator.sweep

from . import child, objects, redis
from .ground import PATIENCE
from .http import SeamTransport


class Instead:
    """A module with some of its names exchanged."""

    def __init__(self, module: Any, **names: Any) -> None:
        self.__dict__.update(names)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


async def _briefly(seconds: float) -> None:
    await asyncio.sleep(min(seconds, 0.002))


async def _shortly(seconds: float) -> None:
    await asyncio.sleep(min(seconds, 0.03))


class Gate:
    """The pause of a loop: it lasts until the test gives the loop its next turn."""

    def __init__(self) -> None:
        self._go, self._waits = asyncio.Event(), asyncio.Event()

    async def sleep(self, _seconds: float) -> None:
        self._waits.set()
        await self._go.wait()
        self._go.clear()

    async def turn(self) -> None:
        """One turn of the loop, to its next pause."""
        async with asyncio.timeout(PATIENCE):
            await self._waits.wait()
            self._waits.clear()
            self._go.set()
            await self._waits.wait()


def exchange(patch: pytest.MonkeyPatch, transport: SeamTransport, janitor: Gate, sweep: Gate) -> None:
    """Exchange the names for as long as `patch` lasts."""
    brief = Instead(asyncio, sleep=_briefly)
    patch.setattr(drishtiksha.database.session, "asyncio", brief)
    patch.setattr(drishtiksha.kube, "asyncio", brief)
    patch.setattr(drishtiksha.bus, "asyncio", brief)
    patch.setattr(drishtiksha.bus, "aioredis", Instead(aioredis, from_url=redis.from_url))
    patch.setattr(drishtiksha.objects.local, "asyncio", Instead(asyncio, to_thread=objects.to_thread))
    spawn = Instead(asyncio, create_subprocess_exec=child.create_subprocess_exec)
    patch.setattr(drishtiksha_api.intake.probe, "asyncio", spawn)
    asking = functools.partial(httpx.AsyncClient, transport=transport)
    patch.setattr(drishtiksha_api.mlstatus, "httpx", Instead(httpx, AsyncClient=asking))
    calling = Instead(httpx, AsyncHTTPTransport=lambda **_: transport)
    patch.setattr(drishtiksha_jobrunner.run, "httpx", calling)
    patch.setattr(drishtiksha_api.relay, "asyncio", Instead(asyncio, sleep=_shortly))
    patch.setattr(drishtiksha_api.dispatcher, "IDLE_SECONDS", 3600.0)
    patch.setattr(drishtiksha_api.dispatcher, "TOMBSTONE_SECONDS", 0.0)
    patch.setattr(drishtiksha_api.janitor, "asyncio", Instead(asyncio, sleep=janitor.sleep))
    patch.setattr(drishtiksha_operator.sweep, "asyncio", Instead(asyncio, sleep=sweep.sleep))
