"""What the stories stand on: made once before any fork, entered anew by every child with connections of its own.

PostgreSQL, the API server, the folder of bytes, the api and the door are real. Doubled are the live channel (it writes
down what was announced), the ML service's `/stats`, and the nodes (`pods`).
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import redis.asyncio as aioredis
from operator_stage import model
from sqlalchemy import event, text

from drishtiksha.audit import audit
from drishtiksha.database.admission import Admission
from drishtiksha.database.media import MediaStore, Quota
from drishtiksha.database.outbox import Outbox
from drishtiksha.database.results import Results
from drishtiksha.database.runs import Runs
from drishtiksha.database.session import Database
from drishtiksha.database.users import Users
from drishtiksha.kube import Kube, KubeInvalid, KubeUnavailable
from drishtiksha.kubeconfig import from_file
from drishtiksha.objects.local import LocalObjects
from drishtiksha.resources import MediaAnalyses
from drishtiksha.settings import ML, Operator, sqlalchemy_url
from drishtiksha.signing import SigningKeys
from drishtiksha_api import app as api_app
from drishtiksha_api import dispatcher as dispatching
from drishtiksha_api.dispatcher import Dispatcher
from drishtiksha_api.door import app as door_app
from drishtiksha_api.janitor import Janitor
from drishtiksha_api.neighbours import Neighbours
from drishtiksha_api.tokens import Tokens
from drishtiksha_operator.attempts import Attempts
from drishtiksha_operator.config import parse
from drishtiksha_operator.discovery import Discovery
from drishtiksha_operator.health import Figures, Health
from drishtiksha_operator.jobs import Jobs
from drishtiksha_operator.manifests import Place as JobPlace
from drishtiksha_operator.reconcile import Reconciler
from drishtiksha_operator.reporting import Reporting
from drishtiksha_operator.starting import Starting
from drishtiksha_operator.sweep import Sweep

OBJECTS = Path("objects")
"""Relative: each worker stands in a folder of its own."""
TOLD = Path("told")
"""What was announced: a user and a number per line."""
BASE = "http://testserver"
POOL = 5
"""Connections of one child."""


@dataclass(frozen=True)
class Infra:
    """The servers that all share. `server`: the owner's URL of PostgreSQL; `kubeconfigs`: the folder of identities."""

    server: str
    template: str
    kubeconfigs: str
    home: str
    ml: str


@dataclass
class Place:
    """Where a worker's children meet: a database, a namespace, a folder (the working directory), maybe a door's port."""

    database: str
    namespace: str
    door: str = ""


_AMPLE = Quota(10**9, 50)


@dataclass(frozen=True)
class Conditions:
    """How the world is. `refuses`: the cluster takes no resource of ours; `cut`: it does not answer the dispatcher."""

    models: tuple[str, ...] = ("A",)
    away: bool = False
    refuses: bool = False
    cut: bool = False
    config: str = ""
    settings: tuple[tuple[str, Any], ...] = ()
    quota: Quota = _AMPLE


class Announced:
    """The live channel: writes down who was told up to which number, at once. Nobody is there to count or to remember."""

    redis = aioredis.Redis(port=1)

    async def wake_user(self, user: object, seq: int) -> None:
        descriptor = os.open(TOLD, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{user} {seq}\n".encode())
        os.close(descriptor)

    async def wake_run(self, run: object) -> None: ...

    async def publish(self, channel: str, message: object) -> bool:
        return True


class House:
    """Everything that can be made before a fork: engine, applications, connections as values."""

    def __init__(self, infra: Infra) -> None:
        dispatching.TOMBSTONE_SECONDS = 0.0  # in this process and its children only: the tests' own is left alone
        audit.PAUSE = 0.5
        self.infra = infra
        self.place = Place("postgres", "drishtiksha")
        self.entering: Callable[[], None] = lambda: None
        """Called in the greenlet of each new connection, for `watched`."""
        self.database = Database(sqlalchemy_url(infra.server), pool_size=POOL, application="kill")
        event.listen(self.database.engine.sync_engine, "do_connect", self._connecting)
        folder = Path(infra.kubeconfigs)
        who = {"api": "drishtiksha-api", "operator": "drishtiksha-operator", "admin": "admin"}
        self.connections = {name: from_file(folder / f"{identity}.yaml") for name, identity in who.items()}
        self.keys, self.tokens = SigningKeys("k1:" + "k" * 40), Tokens("s" * 40, 3600)
        self.objects, self.bus = LocalObjects(OBJECTS), Announced()
        self.around = Neighbours(self.database, self.bus, self.objects, self.keys, 3600.0)  # type: ignore[arg-type]
        options = api_app.Options(BASE, [], 300_000, Quota(), None, None, "progress")
        self.api = api_app.build(self.around, None, self.tokens, options)  # type: ignore[arg-type]
        self.door = door_app.build(self.around)

    def _connecting(self, _dialect: Any, _record: Any, _words: Any, named: dict[str, Any]) -> None:
        named["dbname"] = self.place.database
        self.entering()

    def enter(self, conditions: Conditions) -> On:
        """For `async with`: new connections, new processes."""
        return On(self, conditions)


@dataclass
class On:
    """One child's life in the house: the processes as it has started them."""

    house: House
    conditions: Conditions
    clock: list[float] = field(default_factory=lambda: [time.monotonic()])
    woken: list[str] = field(default_factory=list)

    async def __aenter__(self) -> On:
        house, database, self._stack = self.house, self.house.database, AsyncExitStack()
        self.place = house.place
        kubes = {
            name: await self._stack.enter_async_context(Kube(connection))
            for name, connection in house.connections.items()
        }
        self.kube = kubes["admin"]
        self.media, self.runs, self.results = MediaStore(database), Runs(database), Results(database)
        self.users, self.outbox = Users(database), Outbox(database)
        self.resources = MediaAnalyses(kubes["api"], self.place.namespace)
        wanted = _Unwilling(kubes["api"], self.place.namespace, self.conditions)
        self.dispatcher = Dispatcher(self.outbox, self.media, wanted, house.objects)
        self.janitor = Janitor(database, self.media, house.objects)
        house.api.rest.state.quota = self.conditions.quota
        self.operator(self.conditions, kubes["operator"])
        transport = httpx.ASGITransport(house.api.asgi, raise_app_exceptions=False)
        self.api = await self._stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=BASE))
        transport = httpx.ASGITransport(house.door, raise_app_exceptions=False)
        path = f"{BASE}/internal/v1"
        self.door = await self._stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=path))
        return self

    async def __aexit__(self, *told: Any) -> None:
        await self._stack.__aexit__(*told)
        await self.house.database.engine.dispose()

    def operator(self, conditions: Conditions, kube: Kube) -> None:
        """One operator, as its `main` wires it, without its queue: a test says who is looked at."""
        settings = Operator.model_validate({"DRISHTIKSHA_MAX_ACTIVE_PER_USER": 100, **dict(conditions.settings)})
        ml = ML.model_validate({"SERVER_URL": "http://ml", "SERVER_API_KEY": "service-key"})
        config, figures = parse(conditions.config, ml, {}), Figures()

        def stats(_request: httpx.Request) -> httpx.Response:
            if conditions.away:
                raise httpx.ConnectError("refused")
            return httpx.Response(
                200, json={"version": "3.0.0", "uptime_seconds": 999, "models_info": [*map(model, conditions.models)]}
            )

        def now() -> float:
            return self.clock[0]

        client = httpx.AsyncClient(transport=httpx.MockTransport(stats))
        discovery, jobs = Discovery(config, client, clock=now), Jobs(kube, self.place.namespace, 20)
        analyses = MediaAnalyses(kube, self.place.namespace)
        starting = Starting(
            self.runs, Admission(self.house.database), jobs, discovery, config, settings, self.house.keys,
            JobPlace(self.place.namespace, "http://door", "drishtiksha/jobrunner", 300), figures, self.woken.append,
        )  # fmt: skip
        attempts = Attempts(self.runs, jobs, config, settings, figures, starting.freed)
        self.story = Reconciler(
            self.runs, self.outbox, self.house.bus, analyses, discovery, attempts, starting,  # type: ignore[arg-type]
            Reporting(analyses, jobs, now), config, settings, figures, now,
        )  # fmt: skip
        self.sweep = Sweep(
            self.house.database, self.runs, analyses, settings, figures, Health(figures), self.woken.append
        )

    async def look(self, run: object, *, seconds: float = 31.0) -> float | None:
        """One look at a run, some time later."""
        self.clock[0] += seconds
        return await self.story.look(str(run))

    async def person(self) -> tuple[str, str]:
        """A new user, and her token."""
        made = await self.users.create(
            email=f"{uuid.uuid4().hex}@example.org", password_hash="x", first_name="Ada", last_name="L"
        )
        session, now = uuid.uuid4(), datetime.now(UTC)
        await self.users.open_session(made.id, session, made.token_generation, now + timedelta(hours=1))
        token = self.house.tokens.mint(
            user_id=made.id, email=made.email, role=made.role, generation=made.token_generation, session_id=session, now=now
        )  # fmt: skip
        return str(made.id), token

    async def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """One statement, committed; its rows."""
        async with self.house.database.engine.begin() as connection:
            found = await connection.execute(text(statement), values)
            return [tuple(row) for row in found] if found.returns_rows else []

    async def time_passes(self) -> None:
        """Claims have run out and the time of every next attempt has come."""
        await self.sql("UPDATE outbox SET next_try_at = now() WHERE rejected_at IS NULL AND next_try_at > now()")
        await self.sql("UPDATE analyses SET retry_at = now() WHERE retry_at > now()")

    async def happened(self, run: str, earlier: str) -> None:
        """Everything of this run happened earlier by an interval. The guards look away: history is not theirs."""
        early = {
            "analysis_runs": ("id = :run", ("created_at", "frozen_at", "started_at")),
            "analyses": ("run_id = :run", ("created_at", "started_at")),
            "attempts": (
                "analysis_id IN (SELECT id FROM analyses WHERE run_id = :run)",
                ("created_at", "started_at", "seen_at"),
            ),
        }
        async with self.house.database.engine.begin() as connection:
            await connection.execute(text("SET LOCAL session_replication_role = replica"))
            for table, (where, columns) in early.items():
                shifted = ", ".join(f"{column} = {column} - interval '{earlier}'" for column in columns)
                await connection.execute(text(f"UPDATE {table} SET {shifted} WHERE {where}"), {"run": run})

    async def as_if_just_started(self) -> None:
        """No connection and no thread of the time before, so that the act opens its own, and they are watched."""
        await self.house.database.engine.dispose()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4))


class _Unwilling(MediaAnalyses):
    """The dispatcher's cluster, which may refuse resources or not answer."""

    def __init__(self, kube: Kube, namespace: str, conditions: Conditions) -> None:
        super().__init__(kube, namespace)
        self._conditions = conditions

    async def create(self, spec: Any, run_number: int) -> Any:
        if self._conditions.refuses:
            raise KubeInvalid(422, "Invalid", "spec.mediaId")
        if self._conditions.cut:
            raise KubeUnavailable(0, "Unreachable", "no answer")
        return await super().create(spec, run_number)
