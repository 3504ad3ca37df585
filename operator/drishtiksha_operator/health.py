"""How the operator is: figures for Prometheus, liveness and readiness, on one small HTTP server.

Alive: the loop turns, the head of the queue does not age, the cluster was looked at lately. Ready: it has started.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from drishtiksha.domain.errors import ErrorClass
from drishtiksha.domain.status import RunStatus

log = structlog.get_logger()

LAG = 5.0
"""Seconds by which the loop may be late."""
HEAD = 120.0
"""Seconds that a ready run may wait for a worker."""
LOOKED = 300.0
"""Seconds within which a look must have succeeded; the sweep makes one more often than that."""


class Figures:
    """Counters and gauges of one operator."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.strangers: set[str] = set()
        """Resources without a run."""
        self.last_look = time.monotonic()
        self._looks = Counter("drishtiksha_operator_looks", "Runs looked at.", registry=self.registry)
        self._runs = Counter(
            "drishtiksha_operator_runs_concluded", "Runs concluded.", ["status", "reason"], registry=self.registry
        )
        self._attempts = Counter(
            "drishtiksha_operator_attempts_ended", "Attempts whose Job ended.", ["class"], registry=self.registry
        )
        self.jobs_created = Counter("drishtiksha_operator_jobs_created", "Jobs created.", registry=self.registry)
        self.queue_depth = Gauge("drishtiksha_operator_queue_depth", "Runs that wait.", registry=self.registry)
        self.queue_failing = Gauge(
            "drishtiksha_operator_queue_failing", "Runs whose last look failed.", registry=self.registry
        )
        self.queue_head = Gauge(
            "drishtiksha_operator_queue_head_seconds", "Age of the oldest waiting run.", registry=self.registry
        )
        self.loop_lag = Gauge("drishtiksha_operator_loop_lag_seconds", "Lateness of the loop.", registry=self.registry)
        self._strange = Gauge(
            "drishtiksha_operator_resources_without_run", "Resources that have no run.", registry=self.registry
        )
        self._strange.set_function(lambda: len(self.strangers))

    def looked(self) -> None:
        """Rows and cluster both answered."""
        self.last_look = time.monotonic()
        self._looks.inc()

    def concluded(self, status: RunStatus, reason: ErrorClass | None) -> None:
        """A run is final."""
        self._runs.labels(status, reason or "").inc()

    def ended(self, error: ErrorClass | None) -> None:
        """A Job has ended."""
        self._attempts.labels(error or "").inc()


@dataclass
class Health:
    """What `/healthz` and `/readyz` say. `head_age` and the rest are refreshed by `beat`."""

    figures: Figures
    patience: float = LOOKED
    """Seconds without a good look after which this process is not alive."""
    waiting_for: str | None = "its start"
    lag: float = 0.0
    head_age: float = 0.0
    started: bool = False
    _server: web.AppRunner | None = field(default=None, repr=False)

    def ailments(self) -> list[str]:
        """Why this process should be started anew; empty when it is well. Before it has started it is only waiting."""
        found = []
        if self.lag > LAG:
            found.append(f"the loop is {self.lag:.1f} s late")
        if self.started and self.head_age > HEAD:
            found.append(f"a run has waited {self.head_age:.0f} s for a worker")
        silent = time.monotonic() - self.figures.last_look
        if self.started and silent > self.patience:
            found.append(f"the last good look was {silent:.0f} s ago")
        return found

    async def serve(self, host: str, port: int) -> None:
        """Start the server; it lives until `close`."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._server = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._server.setup()
        await web.TCPSite(self._server, host, port).start()

    async def close(self) -> None:
        """Stop the server."""
        if self._server is not None:
            await self._server.cleanup()

    async def beat(self, every: float = 1.0) -> None:
        """Measure the loop's lateness, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + every
            await asyncio.sleep(every)
            self.lag = max(0.0, loop.time() - due)
            self.figures.loop_lag.set(self.lag)

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _answer({"ailments": self.ailments()}, well=not self.ailments())

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _answer({"waitingFor": self.waiting_for}, well=self.waiting_for is None)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.figures.registry), content_type="text/plain")


def _answer(body: dict[str, object], *, well: bool) -> web.Response:
    text = json.dumps({"status": "ok" if well else "unavailable", **body})
    return web.Response(text=text, status=200 if well else 503, content_type="application/json")
