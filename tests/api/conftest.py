"""The api and the door in this process, on a real PostgreSQL, a real Valkey and a real folder; Kubernetes is doubled."""

from __future__ import annotations

import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx
import pytest
from described_answers import hold
from sqlalchemy import text

from drishtiksha.bus import Bus
from drishtiksha.database.admission import Admission, Caps
from drishtiksha.database.media import Quota
from drishtiksha.database.runs import FrozenModel, Runs
from drishtiksha.database.session import Database
from drishtiksha.kube import KubeError
from drishtiksha.objects import Objects
from drishtiksha.objects.local import LocalObjects
from drishtiksha.settings import sqlalchemy_url
from drishtiksha.signing import SigningKeys
from drishtiksha_api import app as api_app
from drishtiksha_api.door import app as door_app
from drishtiksha_api.neighbours import Neighbours
from drishtiksha_api.passwords import Passwords
from drishtiksha_api.tokens import Tokens

sys.path.insert(0, str(Path(__file__).parent))

SECRET = "s" * 40
LIMIT = 300_000
BASE = "http://testserver"
ORIGIN = "https://app.example.org"


class FakeCluster:
    """The dispatcher's Kubernetes: remembers resources by run; `failing` is raised by every call."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.created = 0
        self.failing: KubeError | None = None

    async def create(self, spec: Any, run_number: int) -> dict[str, Any]:
        if self.failing:
            raise self.failing
        self.created += 1
        return self.resources.setdefault(spec.run_id, {"spec": spec.to_object(), "number": run_number})

    async def get(self, run_id: object) -> dict[str, Any] | None:
        if self.failing:
            raise self.failing
        return self.resources.get(str(run_id))

    async def delete(self, run_id: object) -> bool:
        if self.failing:
            raise self.failing
        return self.resources.pop(str(run_id), None) is not None


@dataclass
class World:
    """Everything a test wants to touch."""

    around: Neighbours
    api: api_app.Api
    cluster: FakeCluster
    client: httpx.AsyncClient
    door: httpx.AsyncClient
    objects_path: Path
    people: list[str] = field(default_factory=list)

    async def person(self) -> dict[str, str]:
        """A fresh user; the headers that carry her token."""
        email = f"{uuid.uuid4().hex}@example.org"
        body = {"email": email, "password": "correct horse", "firstName": "Ada", "lastName": "Lovelace"}
        answer = await self.client.post("/api/v1/auth/signup", json=body)
        assert answer.status_code == 201, answer.text
        self.people.append(email)
        return {"Authorization": f"Bearer {answer.json()['data']['token']}"}

    async def upload(self, headers: dict[str, str], data: bytes, name: str = "a.png", **fields: str) -> httpx.Response:
        return await self.client.post("/api/v1/media", headers=headers, files={"file": (name, data)}, data=fields)

    async def frozen(self, run_id: str, *models: str, version: str = "1") -> None:
        """What the operator does first: freeze the set."""
        await Runs(self.around.database).freeze(
            uuid.UUID(run_id), [FrozenModel(m, version, "service", "service", 3) for m in models]
        )

    async def attempt_tokens(self, run_id: str) -> dict[str, dict[str, str]]:
        """What the operator does next: one attempt per model; the headers of each runner."""
        runs = Runs(self.around.database)
        snapshot = await runs.snapshot(uuid.UUID(run_id))
        assert snapshot is not None
        deadlines = {analysis.model: 600.0 for analysis in snapshot.analyses}
        await Admission(self.around.database).start_attempts(uuid.UUID(run_id), Caps(99, 99, 99, {}), deadlines)
        snapshot = await runs.snapshot(uuid.UUID(run_id))
        assert snapshot is not None
        tokens = {}
        for analysis in snapshot.analyses:
            attempt = analysis.current
            assert attempt is not None
            tokens[analysis.model] = {"Authorization": f"Bearer {self.around.keys.attempt_token(attempt.id)}"}
        return tokens

    async def conclude(self, run_id: str) -> None:
        """What the operator does last."""
        concluded = await Runs(self.around.database).conclude(uuid.UUID(run_id))
        assert concluded is not None

    async def due_now(self) -> None:
        """Time passes: everything in the outbox is due."""
        async with self.around.database.engine.begin() as connection:
            await connection.execute(text("UPDATE outbox SET next_try_at = now()"))

    def stored_files(self) -> list[str]:
        root = self.objects_path
        return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    """Where the world keeps its bytes; a module with a fixture of this name keeps them elsewhere."""
    return LocalObjects(tmp_path / "objects")


@pytest.fixture
async def world(database_url: str, redis_url: str, tmp_path: Path, objects: Objects) -> AsyncIterator[World]:
    around = Neighbours(
        database=Database(sqlalchemy_url(database_url), pool_size=5),
        bus=Bus(redis_url),
        objects=objects,
        keys=SigningKeys("k1:" + "k" * 40),
        url_lifetime=3600.0,
    )
    cluster = FakeCluster()
    options = api_app.Options(BASE, [ORIGIN], LIMIT, Quota(), None, None, "media-progress-events")
    api = api_app.build(around, cluster, Tokens(SECRET, 3600), options)  # type: ignore[arg-type]
    api.rest.state.passwords = Passwords(memory_kib=64)
    transport = httpx.ASGITransport(api.asgi, raise_app_exceptions=False)
    door = httpx.ASGITransport(door_app.build(around), raise_app_exceptions=False)
    forgetful = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # a test says itself who is asking
    held = {"response": [hold]}  # whatever a test asks for, the answer is as the document says
    async with httpx.AsyncClient(transport=transport, base_url=BASE, cookies=forgetful, event_hooks=held) as client:
        async with httpx.AsyncClient(transport=door, base_url=BASE + "/internal/v1") as door_client:
            yield World(around, api, cluster, client, door_client, tmp_path / "objects")
    await around.close()
