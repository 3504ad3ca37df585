"""The operator's process: reads its settings, waits for its neighbours, wires the parts, listens until it is told to stop.

Kopf runs as one task and the workers beside it; whichever of them ends, ends the process, and the supervisor or the
cluster starts it anew. Nothing is lost by that: the rows and the cluster tell the next one everything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from drishtiksha import __version__, logs
from drishtiksha import settings as s
from drishtiksha.bus import Bus
from drishtiksha.database.admission import Admission
from drishtiksha.database.outbox import Outbox
from drishtiksha.database.runs import Runs
from drishtiksha.database.session import Database
from drishtiksha.domain.errors import BadSettings, DrishtikshaError
from drishtiksha.kube import Kube, KubeNotFound
from drishtiksha.kubeconfig import connect
from drishtiksha.resources import MediaAnalyses
from drishtiksha.signing import SigningKeys

from . import config as structured
from . import handlers, rbac
from .attempts import Attempts
from .discovery import Discovery, http_client
from .health import LOOKED, Figures, Health
from .jobs import Jobs
from .lean_kopf import kopf
from .manifests import Place
from .queue import KeyQueue
from .reconcile import Reconciler
from .reporting import Reporting
from .starting import Starting
from .sweep import Sweep, listen

log = structlog.get_logger()

WORKERS = 16
"""Runs that are looked at at a time."""
BAD_SETTINGS = 78
"""Exit code (EX_CONFIG of sysexits.h)."""
LAST_LOOKS = 5.0
"""Seconds that looks under way may take after SIGTERM."""


class Settings:
    """All groups of this process, each read once. Raises BadSettings."""

    def __init__(self) -> None:
        for sentence in s.check_names():
            log.warning(sentence)
        self.database = s.load(s.Database)
        self.redis = s.load(s.Redis)
        self.signing = s.load(s.Signing)
        self.ml = s.load(s.ML)
        self.kubernetes = s.load(s.Kubernetes)
        self.metrics = s.load(s.Metrics)
        self.operator = s.load(s.Operator)
        self.config = structured.load(self.operator, self.ml)
        self.keys = SigningKeys(self.signing.keys.get_secret_value())
        if self.kubernetes.kubeconfig is not None:
            os.environ["KUBECONFIG"] = str(self.kubernetes.kubeconfig)
        self.connection = connect()


async def wait_for(who: str, look: Callable[[], Awaitable[str | None]], health: Health) -> None:
    """Ask again with backoff until `look` has nothing to complain about; say for whom and why we wait."""
    delay, told = 0.5, None
    while True:
        try:
            complaint = await look()
        except DrishtikshaError as error:
            complaint = str(error)
        except Exception as error:
            complaint = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        if complaint is None:
            return
        health.waiting_for = f"{who}: {complaint}"
        if complaint != told:
            log.warning("waiting", neighbour=who, why=complaint)
            told = complaint
        await asyncio.sleep(delay)
        delay = min(delay * 1.7, 10.0)


async def operate(settings: Settings) -> None:
    """Run until Kopf ends (by SIGTERM or SIGINT), or any part fails."""
    figures = Figures()
    health = Health(figures, patience=max(LOOKED, 3 * settings.operator.sweep))
    await health.serve(settings.metrics.host, settings.metrics.port)
    database = Database(
        settings.database.url.get_secret_value(),
        pool_size=settings.database.pool_size,
        statement_timeout=settings.database.statement_timeout,
        application="operator",
    )
    bus = Bus(settings.redis.url.get_secret_value())
    namespace = settings.kubernetes.namespace
    try:
        async with (
            Kube(settings.connection, agent=f"drishtiksha-operator/{__version__}") as kube,
            http_client() as http,
        ):
            queue = KeyQueue()
            runs, analyses = Runs(database), MediaAnalyses(kube, namespace)
            jobs = Jobs(kube, namespace, settings.operator.create_concurrency)
            discovery = Discovery(settings.config, http)
            place = Place(
                namespace, settings.operator.door_url, settings.operator.runner_image, settings.operator.job_ttl
            )
            starting = Starting(
                runs, Admission(database), jobs, discovery, settings.config, settings.operator, settings.keys, place,
                figures, queue.add,
            )  # fmt: skip
            attempts = Attempts(runs, jobs, settings.config, settings.operator, figures, starting.freed)
            reporting = Reporting(analyses, jobs, time.monotonic)
            story = Reconciler(
                runs, Outbox(database), bus, analyses, discovery, attempts, starting, reporting, settings.config,
                settings.operator, figures, time.monotonic,
            )  # fmt: skip
            sweep = Sweep(database, runs, analyses, settings.operator, figures, health, queue.add)

            await wait_for("PostgreSQL", _answers(runs.live), health)
            await wait_for("Kubernetes", lambda: _cluster(kube, analyses, namespace), health)
            streaming = await _can_stream(kube)
            health.waiting_for, health.started = None, True
            figures.last_look = time.monotonic()
            log.info("the operator works", namespace=namespace, version=__version__, streaming=streaming)

            parts = [asyncio.create_task(queue.work(story.look), name=f"worker {n}") for n in range(WORKERS)]
            parts += [
                asyncio.create_task(sweep.work(), name="sweep"),
                asyncio.create_task(listen(bus, sweep), name="redis"),
                asyncio.create_task(_beat(health, queue), name="heartbeat"),
                asyncio.create_task(health.beat(), name="loop lag"),
            ]
            ear = asyncio.create_task(
                kopf.operator(
                    registry=handlers.registry(queue.add, reporting.is_our_own_echo),
                    settings=handlers.settings(streaming=streaming),
                    standalone=True,
                    namespaces=[namespace],
                ),
                name="kopf",
            )
            try:
                await _until_one_ends([ear, *parts], queue)
            finally:
                await _stop([ear, *parts])
    finally:
        await bus.close()
        await database.close()
        await health.close()


async def _until_one_ends(tasks: Sequence[asyncio.Task[None]], queue: KeyQueue) -> None:
    """The ear ends when it is told to; then the looks under way may finish. Any other end is a failure."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise RuntimeError(f"{task.get_name()} failed") from error
        if task.get_name() != "kopf":
            raise RuntimeError(f"{task.get_name()} ended")
    log.info("the operator stops; looks under way are finished")
    queue.stop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_LOOKS):
            await queue.idle()


async def _stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _beat(health: Health, queue: KeyQueue) -> None:
    """Carry the queue's figures to the metrics."""
    while True:
        health.head_age = queue.head_age()
        health.figures.queue_head.set(health.head_age)
        health.figures.queue_depth.set(queue.depth)
        health.figures.queue_failing.set(queue.failing)
        await asyncio.sleep(1.0)


def _answers(call: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[str | None]]:
    async def look() -> None:
        await call()

    return look


async def _cluster(kube: Kube, analyses: MediaAnalyses, namespace: str) -> str | None:
    """What keeps us from working with the cluster, as a sentence."""
    if (wanting := await rbac.missing(kube, namespace)) is not None:
        return wanting
    try:
        await analyses.ping()
    except KubeNotFound:
        return "the MediaAnalysis resource is not installed; apply crds/mediaanalyses.yaml."
    return None


async def _can_stream(kube: Kube) -> bool:
    """Whether the server can stream initial lists: Kubernetes 1.34 and later."""
    version = await kube.get("/version")
    digits = [int("".join(c for c in str(version.get(part, "0")) if c.isdigit()) or 0) for part in ("major", "minor")]
    return digits >= [1, 34]


def main(arguments: Sequence[str] | None = None) -> None:
    """`drishtiksha-operator`: no arguments; everything is in the environment."""
    parser = argparse.ArgumentParser(
        prog="drishtiksha-operator",
        description="Turns MediaAnalysis resources into Kubernetes Jobs, one per model, and tells how they end.",
        epilog="Settings come from the environment (DRISHTIKSHA_CONFIG names the structured ones); see .env.example.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args(arguments)
    logs.configure("operator")
    try:
        asyncio.run(operate(Settings()))
    except BadSettings as error:
        log.error("bad settings", told=str(error))
        sys.exit(BAD_SETTINGS)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
