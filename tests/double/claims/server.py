"""One API server under test: clients of three identities, a way to follow a collection, and a way to age it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from drishtiksha import resources as r
from drishtiksha.kube import Kube, KubeError, Object
from drishtiksha.kubeconfig import from_file
from drishtiksha_operator.jobs import Jobs

NAMESPACE = "drishtiksha"
ANALYSES = f"/apis/{r.GROUP}/{r.VERSION}/namespaces/{NAMESPACE}/{r.PLURAL}"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"


@dataclass
class Api:
    """`kube` is the administrator's. `compact` makes the server forget what is old."""

    kubeconfig: Callable[[str], Path]
    compact: Callable[[], Awaitable[None]]
    kube: Kube
    operator: Kube
    api: Kube
    analyses: r.MediaAnalyses = field(init=False)
    jobs: Jobs = field(init=False)

    def __post_init__(self) -> None:
        self.analyses = r.MediaAnalyses(self.kube, NAMESPACE)
        self.jobs = Jobs(self.operator, NAMESPACE, 20)

    async def made(self, **more: Any) -> Object:
        """A resource of a new run."""
        return await self.analyses.create(spec(**more), 1)

    async def now(self, body: Object, path: str = ANALYSES) -> Object:
        return await self.kube.get(f"{path}/{body['metadata']['name']}")

    async def until(self, look: Callable[[], Awaitable[Any]], seconds: float = 30.0) -> Any:
        """The first truthy answer of `look`."""
        end = time.monotonic() + seconds
        while not (found := await look()):
            assert time.monotonic() < end, f"waited {seconds:.0f} s; last seen: {found!r}"
            await asyncio.sleep(0.05)
        return found

    async def gone(self, path: str) -> None:
        async def look() -> bool:
            try:
                await self.kube.get(path)
            except KubeError as error:
                return error.status == 404
            return False

        await self.until(look, 120)  # the collector learns of a new kind of owner within half a minute

    @contextlib.asynccontextmanager
    async def follow(self, path: str, **query: str) -> AsyncIterator[Stream]:
        """A watch, as Kopf asks for one."""
        connection = from_file(self.kubeconfig("admin"))
        headers = {"Authorization": f"Bearer {connection.bearer()}"}
        connector = aiohttp.TCPConnector(ssl=connection.ssl_context() or True)
        asked = {"watch": "true", "allowWatchBookmarks": "true", **query}
        async with aiohttp.ClientSession(connector=connector, headers=headers, trust_env=False) as session:
            async with session.get(connection.server + path, params=asked) as response:
                yield Stream(response)


@dataclass
class Stream:
    """The lines of a watch."""

    response: aiohttp.ClientResponse

    async def next(self, seconds: float = 20.0) -> tuple[str, Object]:
        """The next event that is no bookmark of the server's own accord."""
        async with asyncio.timeout(seconds):
            while True:
                line = await self.response.content.readline()
                assert line, "the watch has ended"
                event = json.loads(line)
                if event["type"] != "BOOKMARK" or "annotations" in event["object"]["metadata"]:
                    return event["type"], event["object"]

    async def ended(self, seconds: float = 20.0) -> bool:
        async with asyncio.timeout(seconds):
            while line := await self.response.content.readline():
                assert json.loads(line)["type"] == "BOOKMARK", line
        return True


def spec(**more: Any) -> r.AnalysisSpec:
    facts = {"run_id": str(uuid.uuid4()), "media_id": str(uuid.uuid4()), "media_type": "VIDEO", "has_audio": True}
    return r.AnalysisSpec(**(facts | more))  # type: ignore[arg-type]


def body(**more: Any) -> Object:
    """A resource as the dispatcher posts it."""
    return r.media_analysis(spec(**more), 1, NAMESPACE)


def version(found: Object) -> int:
    return int(found["metadata"]["resourceVersion"])


class refused:
    """`with refused(409, "Conflict", "words"):`: the server says so, whatever our client calls it."""

    def __init__(self, status: int, reason: str, words: str = "") -> None:
        self.wanted, self.words = (status, reason), words

    def __enter__(self) -> None:
        self.raises = pytest.raises(KubeError)
        self.caught = self.raises.__enter__()

    def __exit__(self, *about: Any) -> bool:
        done = bool(self.raises.__exit__(*about))
        error = self.caught.value
        assert (error.status, error.reason) == self.wanted, str(error)
        assert self.words in str(error), str(error)
        return done
