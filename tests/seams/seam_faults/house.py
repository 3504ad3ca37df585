"""A whole platform in one process: api, door, operator and runner on a real PostgreSQL, Valkey, folder and API server.

Each process has its own clients, all of them over the wire. Its loops are the platform's own and run one after the
other, so that a story makes the same calls each time: a test gives each its turn (`settle`) and lets time pass. There
are no nodes: the house carries out a Job's pod by calling the runner, and writes the ends of pod and Job.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from drishtiksha.bus import Bus
from drishtiksha.database.admission import Admission
from drishtiksha.database.media import Quota
from drishtiksha.database.outbox import Outbox
from drishtiksha.database.runs import Runs
from drishtiksha.kubeconfig import from_file
from drishtiksha.resources import MediaAnalyses
from drishtiksha.settings import ML, Operator
from drishtiksha.signing import SigningKeys
from drishtiksha_api import app as api_app
from drishtiksha_api import metrics
from drishtiksha_api.door import app as door_app
from drishtiksha_api.intake.probe import Prober
from drishtiksha_api.intake.upload import Intake
from drishtiksha_api.neighbours import Neighbours
from drishtiksha_api.passwords import Passwords
from drishtiksha_api.tokens import Tokens
from drishtiksha_jobrunner.timing import Timing
from drishtiksha_operator.attempts import Attempts
from drishtiksha_operator.config import parse
from drishtiksha_operator.discovery import Discovery
from drishtiksha_operator.health import Figures, Health
from drishtiksha_operator.jobs import Jobs
from drishtiksha_operator.manifests import Place
from drishtiksha_operator.queue import KeyQueue
from drishtiksha_operator.reconcile import Reconciler
from drishtiksha_operator.reporting import Reporting
from drishtiksha_operator.starting import Starting
from drishtiksha_operator.sweep import Sweep

from . import names, objects
from .ground import NAMESPACE, PATIENCE, Ground
from .http import Models, SeamTransport, exchange
from .kubernetes import SeamKube
from .names import Gate
from .nodes import Nodes
from .wire import Wire, wire

BASE = "http://api"
WALL = 3.0
"""Seconds that the child has to say what a file is; it is asked to be slow in a few points."""
ROUNDS = 30
HASTY = Timing(
    before_assignment=20.0, door_read=5.0, door_pause=0.005, door_pause_max=0.02, heartbeat=30.0, progress_gap=0.0,
    ml_patience=5.0, ml_pause=0.005, ml_pause_max=0.02, busy_pause=0.005, busy_pause_max=0.02, look_again=0.01,
    last_word=0.2,
)  # fmt: skip


class Unsettled(AssertionError):
    """The platform did not come to rest."""


@dataclass
class House:
    """`async with House(ground, Wire(point)) as house`."""

    ground: Ground
    wire: Wire
    folder: Path
    timing: Timing = HASTY
    resource_ttl: float = 86400.0
    models: Models = field(default_factory=lambda: Models("A", "B"))
    clock: list[float] = field(default_factory=lambda: [1000.0])
    node: str | None = None
    """The node that pods are bound to."""

    async def __aenter__(self) -> House:
        self._token = wire.set(self.wire)
        self._stack = await AsyncExitStack().__aenter__()
        self._tasks: list[asyncio.Task[Any]] = []
        self.sweep_gate, self.janitor_gate = Gate(), Gate()
        self.hosts: dict[str, tuple[str, Any]] = {"ml": ("ml", self.models)}
        self.transport = SeamTransport(self.hosts)
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        names.exchange(patch, self.transport, self.janitor_gate, self.sweep_gate)
        self.nodes = Nodes(self.ground, self.folder, self.timing, self.node)
        self._stack.push_async_callback(self.nodes.close)
        enter, push = self._stack.enter_async_context, self._stack.push_async_callback
        self.sql_connection = await psycopg.AsyncConnection.connect(self.ground.database_url, autocommit=True)
        push(self.sql_connection.close)
        kubeconfig = self.ground.cluster.kubeconfig
        keys, ml = SigningKeys("k1:" + "k" * 40), {"SERVER_URL": "http://ml", "SERVER_API_KEY": "service-key"}

        # The api.
        self.store = objects.SeamObjects(self.folder / "objects")
        around = self._neighbours(keys, "api")
        push(around.bus.close)
        kube = await enter(SeamKube(from_file(kubeconfig("drishtiksha-api"))))
        options = api_app.Options(BASE, [], 300_000, Quota(), "http://ml", "service-key", "media-progress-events")
        self.api = api_app.build(around, MediaAnalyses(kube, NAMESPACE), Tokens("s" * 40, 3600), options)
        self.api.rest.state.passwords = Passwords(memory_kib=64)
        self.api.rest.state.intake = Intake(self.store, Prober(wall_seconds=WALL), 300_000)
        self.dispatched = asyncio.Event()
        once = self.api.dispatcher.once

        async def watched() -> bool:
            busy = False
            try:
                busy = await once()
            finally:
                if not busy:
                    self.dispatched.set()
            return busy

        self.api.dispatcher.once = watched  # type: ignore[method-assign]
        self.person = await enter(httpx.AsyncClient(transport=_Direct(self.api.asgi), base_url=BASE))
        side = metrics.build(around, self.api.gauges)
        self.watcher = await enter(httpx.AsyncClient(transport=_Direct(side), base_url=BASE))

        # The door.
        around = self._neighbours(keys, "door")
        push(around.bus.close)
        self.hosts["door"] = ("door", door_app.build(around))

        # The operator.
        database, bus = self.ground.database("operator"), Bus(self.ground.redis_url)
        push(bus.close)
        kube = await enter(SeamKube(from_file(kubeconfig("drishtiksha-operator"))))
        client = await enter(httpx.AsyncClient(transport=self.transport))
        settings = Operator.model_validate(
            {"DRISHTIKSHA_RECONCILE_ALL": 0.000001, "DRISHTIKSHA_RESOURCE_TTL": self.resource_ttl}
        )
        config = parse("", ML.model_validate(ml), {})
        self.queue, figures = KeyQueue(backoff=0.005, ceiling=0.02, rest=0.0), Figures()
        runs, analyses = Runs(database), MediaAnalyses(kube, NAMESPACE)
        discovery = Discovery(config, client, clock=lambda: self.clock[0])
        jobs = Jobs(kube, NAMESPACE, 20)
        place = Place(NAMESPACE, "http://door", "drishtiksha/jobrunner", 600)
        starting = Starting(
            runs, Admission(database), jobs, discovery, config, settings, keys, place, figures, self.queue.add
        )
        attempts = Attempts(runs, jobs, config, settings, figures, starting.freed)
        reporting = Reporting(analyses, jobs, lambda: self.clock[0])
        self.story = Reconciler(
            runs, Outbox(database), bus, analyses, discovery, attempts, starting, reporting, config, settings, figures,
            lambda: self.clock[0],
        )  # fmt: skip
        self.sweep = Sweep(database, runs, analyses, settings, figures, Health(figures, patience=60.0), self.queue.add)

        for loop in (
            self.api.dispatcher.run(),
            self.api.janitor.run(),
            self.sweep.work(),
            self.queue.work(self.story.look),
        ):
            self._tasks.append(asyncio.create_task(loop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.queue.stop()
        self.api.relay.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.wire.arrivals()
        self.wire.deaf = True
        await self._stack.aclose()
        wire.reset(self._token)

    def _neighbours(self, keys: SigningKeys, process: str) -> Neighbours:
        return Neighbours(self.ground.database(process), Bus(self.ground.redis_url), self.store, keys, 3600.0)

    # -- turns --------------------------------------------------------------------------------------------------------

    async def settle(self, *, pods: bool = True) -> None:
        """Give everybody turns until nothing is left to do. Raises Unsettled."""
        for _ in range(ROUNDS):
            await self.round(pods=pods)
            if not pods:
                return
            if await self.rests():
                return
        raise Unsettled(f"still open after {ROUNDS} rounds: {await self.open()}")

    async def round(self, *, pods: bool = True) -> None:
        """Time passes, then each loop has one turn, then the pods theirs."""
        await self.time_passes()
        await self.dispatch()
        await self.operate()
        if pods:
            await self.nodes.carry_out()

    async def time_passes(self) -> None:
        """Whatever waits for a time is due."""
        self.clock[0] += 40.0
        await self.sql("UPDATE outbox SET next_try_at = now()")
        await self.sql("UPDATE analyses SET retry_at = now() - interval '1 s' WHERE retry_at IS NOT NULL")

    async def dispatch(self) -> None:
        """One turn of the dispatcher, until it finds nothing."""
        self.dispatched.clear()
        self.api.dispatcher.poke()
        async with asyncio.timeout(PATIENCE):
            await self.dispatched.wait()

    async def operate(self) -> None:
        """One turn of the sweep, and the looks that it asks for, with their own repetitions."""
        await self.sweep_gate.turn()
        async with asyncio.timeout(PATIENCE):
            while True:
                await self.queue.idle()
                if not self.queue.failing:
                    return
                await asyncio.sleep(0.005)

    async def rests(self) -> bool:
        """Whether nothing is left to do."""
        if any(await self.open()):
            return False
        held = [item for item in await self.ground.resources() if item["metadata"].get("finalizers")]
        return not held and not any("deletionTimestamp" in j["metadata"] for j in await self.ground.jobs())

    async def open(self) -> tuple[int, ...]:
        """Live runs, wishes, attempts in flight, tombstones."""
        ((runs, wishes, attempts, tombstones),) = await self.sql(
            "SELECT (SELECT count(*) FROM analysis_runs r JOIN media m ON m.id = r.media_id"
            " WHERE r.status IN ('QUEUED', 'PROCESSING') AND m.deleted_at IS NULL),"
            " (SELECT count(*) FROM outbox WHERE rejected_at IS NULL), (SELECT count(*) FROM attempts WHERE job_ended_at IS NULL),"
            " (SELECT count(*) FROM media WHERE deleted_at IS NOT NULL)"
        )
        return runs, wishes, attempts, tombstones

    # -- the places ---------------------------------------------------------------------------------------------------

    async def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = await self.sql_connection.execute(query.encode(), values or None)
        return await cursor.fetchall() if cursor.description else []

    async def grow_old(self, time: str) -> None:
        """So much time passes for all rows alike, but for those of people and their sessions."""
        columns = await self.sql(
            "SELECT table_name, string_agg(format('%1$I = %1$I - %%L::interval', column_name), ', ')"
            " FROM information_schema.columns WHERE table_schema = 'public' AND data_type = 'timestamp with time zone'"
            " AND table_name NOT IN ('users', 'sessions') GROUP BY table_name"
        )
        async with self.sql_connection.transaction():
            await self.sql("SET LOCAL session_replication_role = replica")  # the guards do not know of time machines
            for table, changes in columns:
                await self.sql(f"UPDATE {table} SET {changes.replace('%L', repr(time))}")


class _Direct(httpx.AsyncBaseTransport):
    """A person's connection: nothing goes wrong on it, for it is none of ours."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        async with asyncio.timeout(PATIENCE):
            answer = await exchange(self._app, request, body)
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)
