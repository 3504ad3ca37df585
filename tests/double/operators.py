"""Plays before the real operator process: Kopf hears the double's events, PostgreSQL and Valkey are real, faults by seed.

The api's dispatcher works in the test. When the process ends by itself it is started again, as its supervisor would.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from kubernetes_double import KubernetesDouble, Schedule
from operator_stage import NAMESPACE, model
from plays import Play, due_now
from stores import Stores
from storms import Ended, content_with_old, witness

from drishtiksha.domain.errors import DrishtikshaError
from drishtiksha.kube import Kube
from drishtiksha.kubeconfig import from_file
from drishtiksha.objects.local import LocalObjects
from drishtiksha.resources import MediaAnalyses
from drishtiksha_api import dispatcher as dispatching
from drishtiksha_api.dispatcher import Dispatcher
from drishtiksha_devcluster.ports import free_port

OPERATOR = "drishtiksha-operator"
STORMY = 8.0
"""Seconds of a storm at most; what is not over by then ends in good weather."""
PATIENCE = 120.0
"""Seconds within which everything must have ended after it."""


@dataclass
class Company:
    """The operator's process with everything around it, for many plays one after the other."""

    stores: Stores
    double: KubernetesDouble
    admin: Kube
    dispatcher: Dispatcher
    environment: dict[str, str]
    folder: Path
    restarts: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    async def play(self, weather: Schedule, seed: int = 0, *, storm: float = STORMY) -> Ended:
        """One play, with a storm of at most so many seconds. What is wrong is told."""
        ended, before = Ended(), len(self.double.heard)
        play = Play(self.stores, self.double)
        self.double.weather, self.double.largest_page = weather, (None, 1, 3)[seed % 3]
        dispatching.TOMBSTONE_SECONDS = 3600.0
        await play.begin()
        ended.in_storm = await self._until(play, storm, erased=False)
        weather.heal()
        await self.double.quiet()
        dispatching.TOMBSTONE_SECONDS = 0.0
        if not await self._until(play, PATIENCE, erased=True):
            ended.wrong.append(f"it did not settle: {await play.runs()}\n{self.last_words()}")
        ended.wrong += await self._unrest()
        ended.wrong += await witness(self.stores, self.admin)
        ended.ends, ended.injected = await play.ends(), weather.injected
        heard = [call for call in self.double.heard[before:] if call.user != "admin"]
        ended.calls = len(heard)
        ended.wrong += content_with_old(heard)
        return ended

    async def _until(self, play: Play, seconds: float, *, erased: bool) -> bool:
        end = time.monotonic() + seconds
        while not await play.settled(erased=erased):
            if time.monotonic() > end:
                return False
            self.keep_up()
            await due_now(self.stores)
            with contextlib.suppress(DrishtikshaError):
                await self.dispatcher.once()
            await play.step()
            await asyncio.sleep(0.1)
        return True

    async def _unrest(self) -> list[str]:
        """I12: once the sweep has come by three times, it comes by twice more without a write."""
        await self._sweeps(3)
        since = len(self.double.heard)
        await self._sweeps(2)
        written = [call for call in self.double.heard[since:] if call.user == OPERATOR and call.writes]
        return [f"a settled platform was written to: {c.verb} {c.resource} {c.name}" for c in written]

    async def _sweeps(self, count: int) -> None:
        """Wait for signs of life of the sweep: its list of one."""
        since = len(self.double.heard)
        async with asyncio.timeout(PATIENCE):
            while sum(c.user == OPERATOR and c.query.get("limit") == "1" for c in self.double.heard[since:]) < count:
                self.keep_up()
                await asyncio.sleep(0.05)

    def keep_up(self) -> None:
        """Start the operator; again, when it has ended."""
        if self._process is not None and self._process.poll() is None:
            return
        self.restarts += self._process is not None
        with (self.folder / "operator.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "drishtiksha_operator.main"], env=self.environment, cwd=self.folder, stderr=log
            )

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def last_words(self, lines: int = 15) -> str:
        return "\n".join((self.folder / "operator.log").read_text().splitlines()[-lines:])


@contextlib.asynccontextmanager
async def company(stores: Stores, database_url: str, redis_url: str, folder: Path) -> AsyncIterator[Company]:
    """A double with the real operator before it."""
    async with KubernetesDouble(folder / "double") as double, _stats() as ml:
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SERVER_URL": ml,
            "KUBECONFIG": str(double.kubeconfig(OPERATOR)),
            "DRISHTIKSHA_SIGNING_KEYS": "k1:" + "s" * 40,
            "DRISHTIKSHA_NAMESPACE": NAMESPACE,
            "DRISHTIKSHA_METRICS_PORT": str(free_port()),
            "DRISHTIKSHA_ATTEMPTS": "2",
            "DRISHTIKSHA_SWEEP": "1s",
            "DRISHTIKSHA_RECONCILE_ALL": "2s",
        }
        async with (
            Kube(from_file(double.kubeconfig("drishtiksha-api")), timeout=1.0) as api,
            Kube(from_file(double.kubeconfig("admin"))) as admin,
        ):
            objects = LocalObjects(folder / "objects")
            dispatcher = Dispatcher(stores.outbox, stores.media, MediaAnalyses(api, NAMESPACE), objects)
            made = Company(stores, double, admin, dispatcher, environment, folder)
            try:
                yield made
            finally:
                made.stop()


@contextlib.asynccontextmanager
async def _stats() -> AsyncIterator[str]:
    """An ML service with two models; its URL."""

    async def stats(_request: web.Request) -> web.Response:
        return web.json_response({"version": "3.0.0", "uptime_seconds": 999, "models_info": [model("A"), model("B")]})

    app = web.Application()
    app.router.add_get("/stats", stats)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
