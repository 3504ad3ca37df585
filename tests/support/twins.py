"""A platform in this process with everything twice: two operators, four dispatchers, two doors and two apis over one real
PostgreSQL, one folder of objects and one real API server, in a namespace of its own.

There are no nodes: a test plays the runners through the doors and ends their pods by writing their status. Each call
to a neighbour may come a little late, by a seeded chance, so that the twins meet in many ways.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from operator_stage import KEYS, Stage, stage_over
from sqlalchemy import text
from stores import PROBE, Stores, open_stores
from witness import ask

from drishtiksha.audit.audit import Report
from drishtiksha.bus import Bus
from drishtiksha.database.media import NewMedia, Quota
from drishtiksha.database.outbox import Outbox
from drishtiksha.database.session import Database, new_id
from drishtiksha.kube import Kube, Object
from drishtiksha.kubeconfig import from_file
from drishtiksha.objects import keys
from drishtiksha.objects.local import LocalObjects
from drishtiksha.resources import LABEL_RUN, MediaAnalyses, job_name
from drishtiksha.settings import sqlalchemy_url
from drishtiksha.signing import SigningKeys
from drishtiksha_api import app as api_app
from drishtiksha_api.dispatcher import Dispatcher
from drishtiksha_api.door import app as door_app
from drishtiksha_api.neighbours import Neighbours
from drishtiksha_api.passwords import Passwords
from drishtiksha_api.tokens import Tokens
from drishtiksha_devcluster import cluster as control_plane
from drishtiksha_devcluster.ephemeral import ThrowawayCluster

BASE = "http://twins.test"
BYTES = b"\x89PNG\r\n\x1a\n" + b"examined " * 40
"""What every media here consists of; nobody decodes it."""


@dataclass(frozen=True)
class Person:
    """A user with a token."""

    id: uuid.UUID
    headers: dict[str, str]


@dataclass
class Twins:
    """Both of each, and the ways to play users and runners."""

    operators: list[Stage]
    dispatchers: list[Dispatcher]
    apis: list[httpx.AsyncClient]
    doors: list[httpx.AsyncClient]
    asgi: list[Any]
    """The apis themselves."""
    cluster: ThrowawayCluster
    stores: Stores
    objects: LocalObjects
    folder: Path
    admin: Kube
    namespace: str
    keys: SigningKeys
    chance: random.Random
    said: Counter[str] = field(default_factory=Counter)
    """What the doors answered, by what was asked and the answer's code."""

    # -- people -------------------------------------------------------------------------------------------------------

    async def person(self) -> Person:
        body = {
            "email": f"{uuid.uuid4().hex}@example.org",
            "password": "correct horse",
            "firstName": "A",
            "lastName": "B",
        }
        made = await self.apis[0].post("/auth/signup", json=body)
        assert made.status_code == 201, made.text
        data = made.json()["data"]
        return Person(uuid.UUID(data["user"]["id"]), {"Authorization": f"Bearer {data['token']}"})

    async def upload(self, person: Person) -> NewMedia:
        """What an upload leaves behind, without the decoding."""
        media_id = new_id()
        stored = await self.objects.put(keys.original(str(media_id)), _once(BYTES))
        new = NewMedia(
            media_id, new_id(), person.id, "a.png", "words", keys.original(str(media_id)), stored.size, stored.sha256, PROBE
        )  # fmt: skip
        await self.stores.media.accept(new, Quota(media=1000))
        return new

    # -- the platform at work -----------------------------------------------------------------------------------------

    async def look(self, *run_ids: uuid.UUID, seconds: float = 10.0) -> None:
        """Both operators look at these runs, at once."""
        for operator in self.operators:
            operator.clock[0] += seconds
        await asyncio.gather(*(o.story.look(str(run)) for run in run_ids for o in self.operators))

    async def dispatch(self) -> None:
        """All dispatchers carry out what is wished for, as if its time had come."""
        await self.sql("UPDATE outbox SET next_try_at = now() WHERE rejected_at IS NULL")
        await asyncio.gather(*(d.once() for d in self.dispatchers))

    async def due_now(self) -> None:
        """The time of every next attempt has come."""
        await self.sql("UPDATE analyses SET retry_at = now() - interval '1 s' WHERE retry_at > now()")

    # -- runners ------------------------------------------------------------------------------------------------------

    async def jobs(self, run_id: uuid.UUID | None = None) -> list[Object]:
        path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs"
        return await self.admin.list(path, labels=LABEL_RUN if run_id is None else f"{LABEL_RUN}={run_id}")

    async def runners(self, run_id: uuid.UUID) -> list[Runner]:
        """One for each attempt of a run, with or without a Job."""
        seen = await self.stores.runs.snapshot(run_id)
        if seen is None:
            return []
        return [
            Runner(self, t.id, a.model, job_name(run_id, a.model, t.number)) for a in seen.analyses for t in a.attempts
        ]

    # -- what is asked afterwards -------------------------------------------------------------------------------------

    async def sql(self, statement: str, **values: Any) -> list[Any]:
        async with self.stores.database.engine.begin() as connection:
            done = await connection.execute(text(statement), values)
            return list(done.all()) if done.returns_rows else []

    async def deadlocks(self) -> int:
        """How many PostgreSQL has broken up in this database."""
        await self.sql("SELECT pg_stat_force_next_flush()")
        ((found,),) = await self.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(found)

    async def written(self) -> str:
        """A fingerprint of all that runners can write."""
        tables = ("attempts", "analyses", "analysis_errors", "artifacts", "events", "analysis_runs", "media")
        each = [f"(SELECT coalesce(md5(string_agg(t::text, ' ' ORDER BY t::text)), '') FROM {t} t)" for t in tables]
        return str((await self.sql("SELECT " + " || ".join(each)))[0][0])

    def bytes_of(self, media_id: uuid.UUID) -> set[str]:
        """The files that lie under a media's prefix, and unfinished ones of anybody."""
        root = self.folder
        found = [*(root / "media" / str(media_id)).rglob("*"), *(p for p in root.glob(".*/*"))]
        return {str(p.relative_to(root)) for p in found if p.is_file()}


@dataclass(frozen=True)
class Runner:
    """One attempt's token, and what can be done with it at either door."""

    twins: Twins
    attempt: uuid.UUID
    model: str
    job: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.twins.keys.attempt_token(self.attempt)}"}

    async def begin(self, door: int = 0) -> httpx.Response:
        return self._note("begin", await self.twins.doors[door].get("/attempt", headers=self.headers))

    async def progress(self, door: int = 0) -> httpx.Response:
        return self._note("progress", await self.twins.doors[door].post("/attempt/progress", headers=self.headers))

    async def artifact(self, data: bytes, door: int = 0, body: AsyncIterator[bytes] | None = None) -> httpx.Response:
        declared = {
            "Content-Type": "image/png",
            "X-Kind": "heatmap",
            "X-Content-SHA256": hashlib.sha256(data).hexdigest(),
        }
        put = self.twins.doors[door].put(
            "/attempt/artifacts/map.png", headers={**self.headers, **declared}, content=body or data
        )
        return self._note("artifact", await put)

    async def result(self, door: int = 0, **more: Any) -> httpx.Response:
        body = {"protocol": 1, "model": self.model, "prediction": "INCONCLUSIVE", "note": f"by door {door}", **more}
        return self._note(
            "result", await self.twins.doors[door].put("/attempt/result", headers=self.headers, json=body)
        )

    async def failure(self, door: int = 0, error: str = "ML_UNAVAILABLE") -> httpx.Response:
        body = {"class": error, "message": f"by door {door}"}
        return self._note(
            "failure", await self.twins.doors[door].put("/attempt/failure", headers=self.headers, json=body)
        )

    async def everything(self, door: int = 1) -> list[httpx.Response]:
        """Whatever a runner can ask for that writes; a stale one may have none of it."""
        return [
            await self.begin(door),
            await self.progress(door),
            await self.artifact(b"late", door),
            await self.result(door),
            await self.failure(door),
        ]

    def _note(self, what: str, answer: httpx.Response) -> httpx.Response:
        code = "OK" if answer.is_success else answer.json()["code"]
        self.twins.said[f"{what} {code}"] += 1
        return answer


def refused(answer: httpx.Response) -> bool:
    """Whether a stale runner was told so: fenced, or that what it says was said before (and is not stored again)."""
    if answer.status_code == 409:
        return bool(answer.json()["code"] == "FENCED")
    repeated = {"/result": {"accepted": False}, "/failure": {"accepted": True}}
    return answer.status_code == 200 and answer.json() == repeated.get(
        answer.request.url.path.rpartition("/attempt")[2]
    )


@contextlib.asynccontextmanager
async def twins_over(
    database_url: str,
    redis_url: str,
    cluster: ThrowawayCluster,
    folder: Path,
    *,
    seed: int = 0,
    late: float = 0.0,
    quota: Quota = Quota(),
    config: str = "",
    **settings: Any,
) -> AsyncIterator[Twins]:
    """`late`: seconds that a call to PostgreSQL or Kubernetes may be late at most. `settings`: the operators'."""
    chance = random.Random(seed)
    namespace = f"twins-{uuid.uuid4().hex[:10]}"
    await asyncio.to_thread(control_plane.install, cluster.home, namespace=namespace)
    async with contextlib.AsyncExitStack() as stack:
        admin = await stack.enter_async_context(Kube(from_file(cluster.kubeconfig("admin"))))
        stores = open_stores(database_url)
        stack.push_async_callback(stores.database.close)
        operators = []
        for _ in range(2):
            own = open_stores(database_url)
            stack.push_async_callback(own.database.close)
            operator = await stack.enter_async_context(
                stage_over(own, cluster, config, namespace=namespace, **settings)
            )
            _may_be_late(own.database, operator.kube, chance, late)
            operators.append(operator)
        objects = LocalObjects(folder)
        apis, doors, dispatchers, asgi = [], [], [], []
        for _ in range(2):
            around = Neighbours(
                Database(sqlalchemy_url(database_url), pool_size=10), Bus(redis_url), objects, SigningKeys(KEYS), 3600.0
            )
            stack.push_async_callback(around.close)
            kube = await stack.enter_async_context(Kube(from_file(cluster.kubeconfig("drishtiksha-api"))))
            _may_be_late(around.database, kube, chance, late)
            resources = MediaAnalyses(kube, namespace)
            options = api_app.Options(BASE, [], 10_000_000, quota, None, None, "ticks")
            api = api_app.build(around, resources, Tokens("t" * 40, 3600), options)
            api.rest.state.passwords = Passwords(memory_kib=64)
            dispatchers += [
                api.dispatcher,
                Dispatcher(Outbox(around.database), api.rest.state.media, resources, objects),
            ]
            asgi.append(api)
            apis.append(await stack.enter_async_context(_client(api.asgi, "/api/v1")))
            doors.append(await stack.enter_async_context(_client(door_app.build(around), "/internal/v1")))
        yield Twins(
            operators, dispatchers, apis, doors, asgi, cluster, stores, objects, folder, admin, namespace, SigningKeys(KEYS), chance
        )  # fmt: skip
    await asyncio.to_thread(cluster.kubectl, "delete", "namespace", namespace, "--wait=false")


def audited(twins: Twins, database_url: str) -> Report:
    """What the witness says of rows, cluster and bytes."""
    return ask(
        database_url,
        kubeconfig=twins.cluster.kubeconfig(),
        namespace=twins.namespace,
        objects=twins.folder,
    )


def _client(asgi: Any, path: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(asgi, raise_app_exceptions=False), base_url=BASE + path)


def _may_be_late(database: Database, kube: Kube, chance: random.Random, most: float) -> None:
    """Before a transaction or a call, and after it, some time may pass."""
    if not most:
        return

    def wrapped(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def later(*args: Any) -> Any:
            await asyncio.sleep(chance.random() * most * (chance.random() < 0.5))
            done = await call(*args)
            await asyncio.sleep(chance.random() * most * (chance.random() < 0.5))
            return done

        return later

    database.transaction = wrapped(database.transaction)  # type: ignore[method-assign]
    kube._send = wrapped(kube._send)  # type: ignore[method-assign]


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
