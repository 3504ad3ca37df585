"""What houses are built on, one after the other: a real PostgreSQL, Valkey and API server, emptied in between.

It also plays what befalls a cluster: a quota, a wiped etcd. Nothing here goes over the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import redis.asyncio as aioredis

from drishtiksha.database.session import Database
from drishtiksha.kube import Kube, KubeForbidden, KubeNotFound, Object
from drishtiksha.resources import GROUP, PLURAL, VERSION, AnalysisSpec, media_analysis
from drishtiksha.settings import sqlalchemy_url
from drishtiksha_devcluster.ephemeral import ThrowawayCluster

from .postgres import SeamDatabase

NAMESPACE = "drishtiksha"
PATIENCE = 60.0
"""Seconds after which something is called hung. A busy machine needs some of them."""
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS_PATH = f"/api/v1/namespaces/{NAMESPACE}/pods"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"
QUOTAS = f"/api/v1/namespaces/{NAMESPACE}/resourcequotas"
RESOURCES_PATH = f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/{PLURAL}"


PODS, RESOURCES = "pods", f"count/{PLURAL}.{GROUP}"
"""What a quota may forbid."""
_STRICT = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
_NOBODY = "00000000-0000-7000-8000-000000000000"
_SAMPLES: dict[str, tuple[str, Object]] = {
    PODS: (PODS_PATH, {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sample"},
        "spec": {"containers": [{"name": "c", "image": "i", "securityContext": _STRICT}]},
    }),
    RESOURCES: (RESOURCES_PATH, media_analysis(AnalysisSpec(_NOBODY, _NOBODY, "IMAGE", False), 1, NAMESPACE)),
}  # fmt: skip


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
        for item in await self.admin.list(RESOURCES_PATH):
            path = f"{RESOURCES_PATH}/{item['metadata']['name']}"
            try:
                await self.admin.merge(path, {"metadata": {"finalizers": None}})
            except KubeNotFound:
                continue
            await self.admin.delete(path)
        for job in await self.admin.list(JOBS):
            await self.admin.delete(f"{JOBS}/{job['metadata']['name']}")
        for pod in await self.admin.list(PODS_PATH, fields="spec.nodeName!="):  # no kubelet lets go of them
            at_once = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
            with contextlib.suppress(KubeNotFound):
                await self.admin._call("DELETE", f"{PODS_PATH}/{pod['metadata']['name']}", None, at_once)
        for event in await self.admin.list(EVENTS, fields="reason=FailedCreate"):
            await self.admin.delete(f"{EVENTS}/{event['metadata']['name']}")
        await self.admin.delete(f"{QUOTAS}/none")

    async def forbid(self, what: str) -> None:
        """A quota of none (the house has no quota controller: its status is written here). Returns when it is in force."""
        quota: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
        await self.admin.create(QUOTAS, {**quota, "spec": {"hard": {what: "0"}}})
        await self.admin.merge(f"{QUOTAS}/none/status", {"status": {"hard": {what: "0"}, "used": {what: "0"}}})
        await self._until_taken(what, False)

    async def allow(self, what: str) -> None:
        """No quota any more. Returns when that is in force."""
        await self.admin.delete(f"{QUOTAS}/none")
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

    async def jobs(self) -> list[Object]:
        found = await self.admin.list(JOBS)
        return sorted(found, key=lambda job: str(job["metadata"]["name"]))

    async def resources(self) -> list[Object]:
        return await self.admin.list(RESOURCES_PATH)

    async def refused_pod(self) -> None:
        """Wait until the Job controller has said that it may not make a pod."""
        async with asyncio.timeout(PATIENCE):
            while not await self.admin.list(EVENTS, fields="reason=FailedCreate"):
                await asyncio.sleep(0.02)

    async def lose_everything(self) -> None:
        """Take the resources away as a wiped etcd does: finalizer and Jobs, too."""
        for item in await self.resources():
            path = f"{RESOURCES_PATH}/{item['metadata']['name']}"
            await self.admin.merge(path, {"metadata": {"finalizers": None}})
            await self.admin.delete(path)
        for job in await self.jobs():
            await self.admin.delete(f"{JOBS}/{job['metadata']['name']}")
