"""The metrics port: Prometheus' text, what an autoscaler asks, and health again for whoever looks only here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from drishtiksha.database.counts import Counts, Gauges

from . import envelope
from .envelope import JSONAnswer
from .neighbours import Neighbours
from .routes import health

_CACHE_SECONDS = 5.0


class GaugeCache:
    """The platform's numbers, read from the database at most every five seconds."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._read_at = float("-inf")
        self._gauges: Gauges | None = None
        self._reading = asyncio.Lock()

    async def read(self) -> Gauges:
        """Raises Unavailable when the database is away."""
        async with self._reading:
            if self._gauges is None or time.monotonic() - self._read_at > _CACHE_SECONDS:
                self._gauges, self._read_at = await self._counts.gauges(), time.monotonic()
            return self._gauges


class _Families:
    """One reading as Prometheus' families. Each replica gives the same numbers: use max, never sum."""

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        analyses = GaugeMetricFamily("drishtiksha_analyses", "Analyses by state and model.", labels=["state", "model"])
        for (state, model), count in sorted(self._gauges.analyses.items()):
            analyses.add_metric([state, model], count)
        yield analyses
        runs = GaugeMetricFamily("drishtiksha_runs", "Runs by state.", labels=["state"])
        for state, count in sorted(self._gauges.runs.items()):
            runs.add_metric([state], count)
        yield runs
        oldest = self._gauges.oldest_pending_seconds
        yield GaugeMetricFamily("drishtiksha_oldest_pending_seconds", "Age of the oldest waiting work.", oldest)


def scaling(gauges: Gauges, model: str | None = None) -> dict[str, object]:
    """What an autoscaler wants to know: work that waits or runs, over all models or of one."""

    def count(state: str, of: str | None) -> int:
        return sum(n for (s, m), n in gauges.analyses.items() if s == state and of in (None, m))

    undiscovered = gauges.runs.get("waiting_for_discovery", 0)
    if model is not None:
        return {"value": count("PENDING", model) + count("PROCESSING", model)}
    names = sorted({m for (state, m) in gauges.analyses if state in ("PENDING", "PROCESSING")})
    by_model = [{"model": m, "pending": count("PENDING", m), "active": count("PROCESSING", m)} for m in names]
    pending, active = count("PENDING", None) + undiscovered, count("PROCESSING", None)
    return {
        "demand": pending + active,
        "pending": pending,
        "active": active,
        "oldestPendingSeconds": round(gauges.oldest_pending_seconds, 3),
        "byModel": by_model,
    }


def build(neighbours: Neighbours, cache: GaugeCache | None) -> FastAPI:
    """The application of the metrics port; without a cache only the process's own numbers (the door)."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.neighbours = neighbours
    router = APIRouter()

    @router.get("/metrics")
    async def metrics() -> Response:
        text = generate_latest(REGISTRY)
        if cache is not None:
            registry = CollectorRegistry(auto_describe=False)
            registry.register(_Families(await cache.read()))
            text += generate_latest(registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    app.include_router(router)
    if cache is not None:

        @app.get("/scaling")
        async def scale(request: Request) -> Response:
            return JSONAnswer(scaling(await cache.read(), request.query_params.get("model")))

    app.include_router(health.router)
    envelope.install(app)
    return app
