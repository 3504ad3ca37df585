"""The operator's story between a real PostgreSQL and a real API server; ML services and the live channel are doubled.

The API server may also be the double (`kubernetes_double`), where faults are to be made. There are no nodes: a test plays the door through the stores, and ends pods by writing their status, from which the
real Job controller draws its conclusions.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
from stores import Stores, result

from drishtiksha.database.media import NewMedia
from drishtiksha.kube import Kube, Object
from drishtiksha.kubeconfig import from_file
from drishtiksha.resources import AnalysisSpec, MediaAnalyses
from drishtiksha.settings import ML, Operator
from drishtiksha.signing import SigningKeys
from drishtiksha_operator.attempts import Attempts
from drishtiksha_operator.config import parse
from drishtiksha_operator.discovery import Discovery
from drishtiksha_operator.health import Figures
from drishtiksha_operator.jobs import Jobs
from drishtiksha_operator.manifests import Place
from drishtiksha_operator.reconcile import Reconciler
from drishtiksha_operator.reporting import Reporting
from drishtiksha_operator.starting import Starting

NAMESPACE = "drishtiksha"
KEYS = "k1:" + "s" * 32
"""What attempt tokens are signed with."""


class Cluster(Protocol):
    """An API server that has kubeconfigs for admin, drishtiksha-api and drishtiksha-operator."""

    def kubeconfig(self, name: str = "admin") -> Path: ...


class QuietBus:
    """The live channel: remembers who was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    async def wake_user(self, user: object, seq: int) -> None:
        self.told.append((str(user), seq))


class CountingKube(Kube):
    """The operator's client, with every request written down as (method, path)."""

    def __init__(self, kubeconfig: Path, timeout: float = 15.0) -> None:
        super().__init__(from_file(kubeconfig), timeout=timeout)
        self.requests: list[tuple[str, str]] = []

    async def _send(self, request: Any) -> bytes:
        self.requests.append((request.method, request.path))
        return await super()._send(request)

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.requests if method != "GET"]

    def forget(self) -> None:
        self.requests.clear()


@dataclass
class Stage:
    """One operator's story on stage, with the ways to play its neighbours."""

    story: Reconciler
    stores: Stores
    kube: CountingKube
    admin: Kube
    analyses: MediaAnalyses
    bus: QuietBus
    woken: list[str]
    models: list[dict[str, Any]] = field(default_factory=list)
    away: bool = False
    """Whether the ML service refuses connections."""
    clock: list[float] = field(default_factory=lambda: [1000.0])
    namespace: str = NAMESPACE

    async def upload(self, *, resource: bool = True) -> NewMedia:
        """A media whose resource the dispatcher has made."""
        new = await self.stores.upload(await self.stores.user())
        if resource:
            await self.dispatch(new)
        return new

    async def dispatch(self, new: NewMedia) -> Object:
        made = await MediaAnalyses(self.admin, self.namespace).create(
            AnalysisSpec(str(new.run_id), str(new.id), "IMAGE", False), 1
        )
        for wish in await self.stores.outbox.claim(100):
            await self.stores.outbox.done(wish)
        return made

    async def look(self, new: NewMedia, *, seconds: float = 10.0) -> float | None:
        """One look, as some later moment would make it."""
        self.clock[0] += seconds
        return await self.story.look(str(new.run_id))

    async def resource(self, new: NewMedia) -> Object:
        found = await self.analyses.get(new.run_id)
        assert found is not None
        return found

    async def objects(self, kind: str, new: NewMedia) -> list[Object]:
        group = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
        path = f"{group}/namespaces/{self.namespace}/{kind}"
        return await self.admin.list(path, labels=f"drishtiksha.io/run={new.run_id}")

    async def attempts(self, new: NewMedia) -> dict[str, Any]:
        """The current attempt of each model."""
        seen = await self.stores.runs.snapshot(new.run_id)
        assert seen is not None
        return {a.model: a.current for a in seen.analyses}

    async def hand_in(self, new: NewMedia, model: str) -> None:
        attempt = (await self.attempts(new))[model]
        await self.stores.results.begin(attempt.id)
        await self.stores.results.store(attempt.id, result(model))

    async def end_pod(self, job: str, code: int, *, reason: str = "Completed") -> None:
        """Write the end of a Job's pod, and wait for the Job controller to see it."""
        await end_pod(self.admin, job, code, reason=reason, namespace=self.namespace)
        await self.until_job(job, lambda found: any(
            c["type"] in ("Complete", "Failed") and c["status"] == "True"
            for c in found.get("status", {}).get("conditions", [])
        ))  # fmt: skip

    async def until_job(self, job: str, fact: Any) -> Object:
        async with asyncio.timeout(20):
            while True:
                found = await self.admin.get(f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{job}")
                if fact(found):
                    return found
                await asyncio.sleep(0.1)


async def end_pod(admin: Kube, job: str, code: int, *, reason: str = "Completed", namespace: str = NAMESPACE) -> None:
    """Write the end of a Job's pod, as a kubelet would."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    async with asyncio.timeout(20):
        while not (found := await admin.list(path, labels=f"batch.kubernetes.io/job-name={job}")):
            await asyncio.sleep(0.1)
    pod = found[0]["metadata"]
    ended = {"exitCode": code, "reason": reason, "startedAt": pod["creationTimestamp"]}
    container = {"name": "runner", "image": "i", "imageID": "i", "ready": False, "restartCount": 0}
    status = {
        "phase": "Succeeded" if code == 0 else "Failed",
        "containerStatuses": [{**container, "state": {"terminated": ended}}],
    }
    await admin.merge(f"{path}/{pod['name']}/status", {"status": status})


def model(name: str, **more: Any) -> dict[str, Any]:
    """A loaded model that takes pictures, as `/stats` lists it."""
    return {"name": name, "version": "1", "loaded": True, "isImage": True, **more}


class stage_over:
    """`async with stage_over(stores, cluster, DRISHTIKSHA_ATTEMPTS=…) as stage`. `timeout`: of the operator's calls."""

    def __init__(
        self,
        stores: Stores,
        cluster: Cluster,
        config: str = "",
        *,
        namespace: str = NAMESPACE,
        timeout: float = 15.0,
        **settings: Any,
    ) -> None:
        self.stores, self.cluster, self.config, self.settings = stores, cluster, config, settings
        self.namespace, self.timeout = namespace, timeout

    async def __aenter__(self) -> Stage:
        self.kube = CountingKube(self.cluster.kubeconfig("drishtiksha-operator"), self.timeout)
        self.admin = Kube(from_file(self.cluster.kubeconfig("admin")))
        await self.kube.__aenter__()
        await self.admin.__aenter__()
        settings = Operator.model_validate(self.settings)
        ml = ML.model_validate({"SERVER_URL": "http://ml", "SERVER_API_KEY": "service-key"})
        config = parse(self.config, ml, {})
        bus, figures, woken = QuietBus(), Figures(), []
        clock = [time.monotonic()]
        models = [model("A"), model("B"), model("C")]

        def stats(_request: httpx.Request) -> httpx.Response:
            if stage.away:
                raise httpx.ConnectError("refused")
            return httpx.Response(200, json={"version": "3.0.0", "uptime_seconds": 999, "models_info": models})

        self.http = httpx.AsyncClient(transport=httpx.MockTransport(stats))
        discovery = Discovery(config, self.http, clock=lambda: clock[0])
        jobs = Jobs(self.kube, self.namespace, 20)
        place = Place(self.namespace, "http://door", "drishtiksha/jobrunner", 600)
        runs, analyses = self.stores.runs, MediaAnalyses(self.kube, self.namespace)
        keys = SigningKeys(KEYS)
        starting = Starting(
            runs, self.stores.admission, jobs, discovery, config, settings, keys, place, figures, woken.append
        )
        attempts = Attempts(runs, jobs, config, settings, figures, starting.freed)
        reporting = Reporting(analyses, jobs, lambda: clock[0])
        story = Reconciler(
            runs, self.stores.outbox, bus, analyses, discovery, attempts, starting, reporting, config, settings, figures,  # type: ignore[arg-type]
            lambda: clock[0],
        )  # fmt: skip
        stage = Stage(
            story,
            self.stores,
            self.kube,
            self.admin,
            analyses,
            bus,
            woken,
            models,
            clock=clock,
            namespace=self.namespace,
        )
        return stage

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        await self.kube.__aexit__(None, None, None)
        await self.admin.__aexit__(None, None, None)
