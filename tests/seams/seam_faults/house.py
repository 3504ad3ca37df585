"""A whole platform in one process: api, door, operator and runner on a real PostgreSQL, Valkey, folder and API server.

Each process has its own clients, all of them over the wire. Its loops are the platform's own and run one after the
other, so that a story makes the same calls each time: a test gives each its turn (`settle`) and lets time pass. There
are no nodes: the house carries out a Job's pod by calling the runner, and writes the ends of pod and Job.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
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
from drishtiksha.bus import Bus
from drishtiksha.database.admission import Admission
from drishtiksha.database.media import Quota
from drishtiksha.database.outbox import Outbox
from drishtiksha.database.runs import Runs
from drishtiksha.database.session import Database
from drishtiksha.kube import Kube, KubeError, KubeForbidden, KubeNotFound, Object
from drishtiksha.kubeconfig import from_file
from drishtiksha.resources import GROUP, PLURAL, VERSION, AnalysisSpec, MediaAnalyses, media_analysis
from drishtiksha.settings import ML, Operator, sqlalchemy_url
from drishtiksha.signing import SigningKeys
from drishtiksha_api import app as api_app
from drishtiksha_api import metrics
from drishtiksha_api.door import app as door_app
from drishtiksha_api.intake.probe import Prober
from drishtiksha_api.intake.upload import Intake
from drishtiksha_api.neighbours import Neighbours
from drishtiksha_api.passwords import Passwords
from drishtiksha_api.tokens import Tokens
from drishtiksha_devcluster.ephemeral import ThrowawayCluster
from drishtiksha_jobrunner import environment
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

from . import child, objects, redis
from .http import Models, SeamTransport, exchange
from .kubernetes import SeamKube
from .postgres import SeamDatabase
from .wire import Wire, wire

NAMESPACE = "drishtiksha"
BASE = "http://api"
PATIENCE = 60.0
"""Seconds after which something is called hung. A busy machine needs some of them."""
WALL = 3.0
"""Seconds that the child has to say what a file is; it is asked to be slow in a few points."""
ROUNDS = 30
HASTY = Timing(
    before_assignment=20.0, door_read=5.0, door_pause=0.005, door_pause_max=0.02, heartbeat=30.0, progress_gap=0.0,
    ml_patience=5.0, ml_pause=0.005, ml_pause_max=0.02, busy_pause=0.005, busy_pause_max=0.02, look_again=0.01,
    last_word=0.2,
)  # fmt: skip
_JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"
_QUOTAS = f"/api/v1/namespaces/{NAMESPACE}/resourcequotas"
_RESOURCES = f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/{PLURAL}"


PODS, RESOURCES = "pods", f"count/{PLURAL}.{GROUP}"
"""What a quota may forbid."""
_STRICT = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
_NOBODY = "00000000-0000-7000-8000-000000000000"
_SAMPLES: dict[str, tuple[str, Object]] = {
    PODS: (_PODS, {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sample"},
        "spec": {"containers": [{"name": "c", "image": "i", "securityContext": _STRICT}]},
    }),
    RESOURCES: (_RESOURCES, media_analysis(AnalysisSpec(_NOBODY, _NOBODY, "IMAGE", False), 1, NAMESPACE)),
}  # fmt: skip


class Unsettled(AssertionError):
    """The platform did not come to rest."""


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


@dataclass
class Ground:
    """What houses are built on, one after the other: real servers, emptied in between."""

    cluster: ThrowawayCluster
    database_url: str
    redis_url: str
    folder: Path
    admin: Kube
    _databases: dict[str, Database] = field(default_factory=dict)

    def database(self, process: str) -> Database:
        """The pool of a process. It outlives the house, for the compiled statements in it are dear."""
        if process not in self._databases:
            kind = Database if process == "witness" else SeamDatabase
            self._databases[process] = kind(sqlalchemy_url(self.database_url), pool_size=5, application=process)
        return self._databases[process]

    async def close(self) -> None:
        for database in self._databases.values():
            await database.close()

    async def clear(self) -> None:
        """Remove everything that a house left."""
        async with await psycopg.AsyncConnection.connect(self.database_url, autocommit=True) as connection:
            found = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            names = [row[0] for row in await found.fetchall() if row[0] != "alembic_version"]
            await connection.execute(f"TRUNCATE {', '.join(names)} CASCADE".encode())
        async with aioredis.from_url(self.redis_url) as client:
            await client.flushdb()
        for item in await self.admin.list(_RESOURCES):
            path = f"{_RESOURCES}/{item['metadata']['name']}"
            try:
                await self.admin.merge(path, {"metadata": {"finalizers": None}})
            except KubeNotFound:
                continue
            await self.admin.delete(path)
        for job in await self.admin.list(_JOBS):
            await self.admin.delete(f"{_JOBS}/{job['metadata']['name']}")
        for pod in await self.admin.list(_PODS, fields="spec.nodeName!="):  # no kubelet lets go of them
            at_once = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
            with contextlib.suppress(KubeNotFound):
                await self.admin._call("DELETE", f"{_PODS}/{pod['metadata']['name']}", None, at_once)
        for event in await self.admin.list(_EVENTS, fields="reason=FailedCreate"):
            await self.admin.delete(f"{_EVENTS}/{event['metadata']['name']}")
        await self.admin.delete(f"{_QUOTAS}/none")

    async def forbid(self, what: str) -> None:
        """A quota of none (the house has no quota controller: its status is written here). Returns when it is in force."""
        quota: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
        await self.admin.create(_QUOTAS, {**quota, "spec": {"hard": {what: "0"}}})
        await self.admin.merge(f"{_QUOTAS}/none/status", {"status": {"hard": {what: "0"}, "used": {what: "0"}}})
        await self._until_taken(what, False)

    async def allow(self, what: str) -> None:
        """No quota any more. Returns when that is in force."""
        await self.admin.delete(f"{_QUOTAS}/none")
        await self._until_taken(what, True)

    async def _until_taken(self, what: str, wanted: bool) -> None:
        path, sample = _SAMPLES[what]
        async with asyncio.timeout(PATIENCE):
            while await self._is_taken(path, sample) is not wanted:
                await asyncio.sleep(0.02)

    async def _is_taken(self, path: str, sample: Object) -> bool:
        try:
            await self.admin._call("POST", path, {"dryRun": "All"}, sample)
        except KubeForbidden as refused:
            if "exceeded quota" not in refused.message:
                raise
            return False
        return True


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
    codes: list[int] = field(default_factory=list)
    """Exit codes of the runners, in order."""

    async def __aenter__(self) -> House:
        self._token = wire.set(self.wire)
        self._stack = await AsyncExitStack().__aenter__()
        self._tasks: list[asyncio.Task[Any]] = []
        self._started: set[str] = set()
        self.sweep_gate, self.janitor_gate = Gate(), Gate()
        self._exchange_names()
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
        self.runs = runs
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

    def _exchange_names(self) -> None:
        """Put the wire where the platform's modules find their libraries, and shorten their pauses."""
        self.hosts: dict[str, tuple[str, Any]] = {"ml": ("ml", self.models)}
        self.transport = SeamTransport(self.hosts)
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        brief = Instead(asyncio, sleep=_briefly)
        patch.setattr(drishtiksha.database.session, "asyncio", brief)
        patch.setattr(drishtiksha.kube, "asyncio", brief)
        patch.setattr(drishtiksha.bus, "asyncio", brief)
        patch.setattr(drishtiksha.bus, "aioredis", Instead(aioredis, from_url=redis.from_url))
        patch.setattr(drishtiksha.objects.local, "asyncio", Instead(asyncio, to_thread=objects.to_thread))
        spawn = Instead(asyncio, create_subprocess_exec=child.create_subprocess_exec)
        patch.setattr(drishtiksha_api.intake.probe, "asyncio", spawn)
        asking = functools.partial(httpx.AsyncClient, transport=self.transport)
        patch.setattr(drishtiksha_api.mlstatus, "httpx", Instead(httpx, AsyncClient=asking))
        calling = Instead(httpx, AsyncHTTPTransport=lambda **_: self.transport)
        patch.setattr(drishtiksha_jobrunner.run, "httpx", calling)
        patch.setattr(drishtiksha_api.relay, "asyncio", Instead(asyncio, sleep=_shortly))
        patch.setattr(drishtiksha_api.dispatcher, "IDLE_SECONDS", 3600.0)
        patch.setattr(drishtiksha_api.dispatcher, "TOMBSTONE_SECONDS", 0.0)
        patch.setattr(drishtiksha_api.janitor, "asyncio", Instead(asyncio, sleep=self.janitor_gate.sleep))
        patch.setattr(drishtiksha_operator.sweep, "asyncio", Instead(asyncio, sleep=self.sweep_gate.sleep))

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
            await self.carry_out()

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

    async def carry_out(self) -> None:
        """What nodes do: run the pod of each Job that has not ended."""
        for job in await self.jobs():
            name = job["metadata"]["name"]
            if name not in self._started and "deletionTimestamp" not in job["metadata"] and not _ended(job):
                self._started.add(name)
                await self._run_pod(job)

    async def rests(self) -> bool:
        """Whether nothing is left to do."""
        if any(await self.open()):
            return False
        held = [item for item in await self.ground.admin.list(_RESOURCES) if item["metadata"].get("finalizers")]
        return not held and not any("deletionTimestamp" in j["metadata"] for j in await self.jobs())

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

    async def jobs(self) -> list[Object]:
        found = await self.ground.admin.list(_JOBS)
        return sorted(found, key=lambda job: str(job["metadata"]["name"]))

    async def resources(self) -> list[Object]:
        return await self.ground.admin.list(_RESOURCES)

    async def refused_pod(self) -> None:
        """Wait until the Job controller has said that it may not make a pod."""
        async with asyncio.timeout(PATIENCE):
            while not await self.ground.admin.list(_EVENTS, fields="reason=FailedCreate"):
                await asyncio.sleep(0.02)

    async def lose_resource(self) -> None:
        """Take the resources away as a wiped etcd does: finalizer and Jobs, too."""
        for item in await self.resources():
            path = f"{_RESOURCES}/{item['metadata']['name']}"
            await self.ground.admin.merge(path, {"metadata": {"finalizers": None}})
            await self.ground.admin.delete(path)
        for job in await self.jobs():
            await self.ground.admin.delete(f"{_JOBS}/{job['metadata']['name']}")

    async def start_pod(self, job: Object) -> asyncio.Task[None]:
        """A pod beside the story."""
        self._started.add(job["metadata"]["name"])
        task = asyncio.create_task(self._run_pod(job))
        self._tasks.append(task)
        return task

    async def _run_pod(self, job: Object) -> None:
        """From the pod's start to the end of its Job. A Job that was deleted meanwhile takes its pod with it."""
        pod = await self._pod_of(job)
        if pod is None:
            return
        try:
            environ = await self._environ(pod)
        except KubeNotFound:
            return
        async with asyncio.timeout(PATIENCE):
            code = await drishtiksha_jobrunner.run.run(environment.read(environ), self.timing)
        self.codes.append(code)
        await _forgiving(self._end, job, pod, code)

    async def _environ(self, pod: Object) -> dict[str, str]:
        if self.node is not None:
            target = {"apiVersion": "v1", "kind": "Node", "name": self.node}
            binding = {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": pod["metadata"]["name"]},
                "target": target,
            }
            await self.ground.admin.create(f"{_PODS}/{pod['metadata']['name']}/binding", binding)
        environ = {"TMPDIR": str(self.folder)}
        for entry in pod["spec"]["containers"][0]["env"]:
            environ.setdefault(entry["name"], await self._value(entry))
        return environ

    async def _value(self, entry: Object) -> str:
        told = (entry.get("valueFrom") or {}).get("secretKeyRef")
        if told is None:
            return str(entry.get("value", ""))
        secret = await self.ground.admin.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{told['name']}")
        return base64.b64decode(secret["data"][told["key"]]).decode()

    async def _pod_of(self, job: Object) -> Object | None:
        """The pod that the Job controller makes; None when the Job has gone before it was made."""
        name = job["metadata"]["name"]
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await self.ground.admin.list(_PODS, labels=f"batch.kubernetes.io/job-name={name}")
                if found:
                    return found[0]
                if not any(j["metadata"]["name"] == name for j in await self.jobs()):
                    return None
                await asyncio.sleep(0.02)

    async def _end(self, job: Object, pod: Object, code: int) -> None:
        """The end of the pod, as a kubelet writes it, and of its Job, as its controller does a second or two later."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ended = {"exitCode": code, "reason": "Completed", "startedAt": pod["metadata"]["creationTimestamp"]}
        container = {"name": "runner", "image": "i", "imageID": "i", "ready": False, "restartCount": 0}
        status: Object = {
            "phase": "Succeeded" if code == 0 else "Failed",
            "containerStatuses": [{**container, "state": {"terminated": ended}}],
        }
        await self.ground.admin.merge(f"{_PODS}/{pod['metadata']['name']}/status", {"status": status})
        words = ("SuccessCriteriaMet", "Complete") if code == 0 else ("FailureTarget", "Failed")
        whole: Object = {
            "active": 0, "ready": 0, "terminating": 0, "uncountedTerminatedPods": None,
            "succeeded" if code == 0 else "failed": 1,
            "conditions": [
                {"type": word, "status": "True", "reason": "Told", "message": "", "lastProbeTime": now, "lastTransitionTime": now}
                for word in words
            ],
        }  # fmt: skip
        path = f"{_JOBS}/{job['metadata']['name']}"
        if "startTime" not in (await self.ground.admin.get(path)).get("status", {}):
            whole["startTime"] = now
        if code == 0:
            whole["completionTime"] = now
        await self.ground.admin.merge(f"{path}/status", {"status": whole})


class _Direct(httpx.AsyncBaseTransport):
    """A person's connection: nothing goes wrong on it, for it is none of ours."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        async with asyncio.timeout(PATIENCE):
            answer = await exchange(self._app, request, body)
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)


def _ended(job: Object) -> bool:
    found = (job.get("status") or {}).get("conditions") or []
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in found)


async def _forgiving(call: Callable[..., Awaitable[None]], *args: Any) -> None:
    """A node whose pod or Job was deleted has nothing to tell."""
    try:
        await call(*args)
    except KubeNotFound:
        pass
    except KubeError:
        await asyncio.sleep(0.2)
        await call(*args)
