"""Sixty-four uploads of one person at once, at two apis: exactly her quota is accepted, of the rest no byte stays."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_process import ApiProcess
from api_samples import picture
from figures import Claim
from stores import PROBE

from drishtiksha.database.media import Quota
from drishtiksha.database.session import Database
from drishtiksha.settings import sqlalchemy_url
from drishtiksha_api import app as api_app
from drishtiksha_api.intake.upload import Intake
from drishtiksha_api.tokens import Tokens

PICTURE = picture("PNG")
RACERS, FITS = 64, 10
QUOTAS = {"media": Quota(media=FITS), "bytes": Quota(total_bytes=(FITS + 1) * len(PICTURE) - 1)}


class Glance:
    """A probe that believes everything: here only rows and bytes are counted."""

    async def probe(self, _path: Path) -> Any:
        return PROBE


async def race(clients: list[httpx.AsyncClient], headers: dict[str, str]) -> Counter[tuple[int, str]]:
    """All uploads at once, in turn to each api; how often each status and code was answered."""

    async def one(client: httpx.AsyncClient) -> tuple[int, str]:
        answer = await client.post("/api/v1/media", headers=headers, files={"file": ("a.png", PICTURE)}, timeout=240)
        return answer.status_code, answer.json().get("code", "")

    return Counter(await asyncio.gather(*(one(clients[n % len(clients)]) for n in range(RACERS))))


WANTED = Counter({(202, ""): FITS, (429, "QUOTA"): RACERS - FITS})


@pytest.fixture
async def two_apis(world: Any, database_url: str) -> AsyncIterator[Callable[[Quota], list[httpx.AsyncClient]]]:
    """Two apis of a quota over one database and one folder, each with connections of its own."""
    databases, clients = [], []

    def build(quota: Quota) -> list[httpx.AsyncClient]:
        for _ in range(2):
            around = replace(world.around, database=Database(sqlalchemy_url(database_url), pool_size=5))
            options = api_app.Options("http://x", [], 300_000, quota, None, None, "c")
            api = api_app.build(around, world.cluster, Tokens("s" * 40, 3600), options)
            api.rest.state.intake = Intake(around.objects, Glance(), 300_000)  # type: ignore[arg-type]
            databases.append(around.database)
            clients.append(httpx.AsyncClient(transport=httpx.ASGITransport(api.asgi), base_url="http://x"))
        return clients

    yield build
    for client in clients:
        await client.aclose()
    for database in databases:
        await database.close()


@pytest.mark.parametrize("of", list(QUOTAS))
async def test_exactly_the_quota_is_accepted_and_nothing_of_the_rest_stays(
    world: Any, two_apis: Callable[[Quota], list[httpx.AsyncClient]], of: str
) -> None:
    ada = await world.person()
    assert await race(two_apis(QUOTAS[of]), ada) == WANTED
    media = (await world.client.get("/api/v1/media", headers=ada)).json()["data"]
    assert world.stored_files() == sorted(f"media/{one['id']}/original" for one in media)
    assert len(media) == FITS
    await world.client.delete(f"/api/v1/media/{media[0]['id']}", headers=ada)
    assert (await world.upload(ada, PICTURE)).status_code == 202


@pytest.mark.soak
async def test_two_processes_accept_exactly_the_quota(
    start_api: Callable[..., ApiProcess], person: Callable[[ApiProcess], dict[str, str]], figures: dict[str, Any]
) -> None:
    settings = {"DRISHTIKSHA_QUOTA_BYTES": str(QUOTAS["bytes"].total_bytes)}
    apis = [start_api(settings=settings) for _ in range(2)]
    ada = person(apis[0])
    limits = httpx.Limits(max_connections=RACERS)
    clients = [httpx.AsyncClient(base_url=api.url, limits=limits) for api in apis]
    assert await race(clients, ada) == WANTED
    media = (await clients[1].get("/api/v1/media", headers=ada)).json()["data"]
    for client in clients:
        await client.aclose()
    assert apis[0].stored() == sorted(f"media/{one['id']}/original" for one in media)
    assert len(media) == FITS
    figures["quota"] = Claim(
        f"{RACERS} uploads of one person at once at two api processes, room for {FITS}",
        "exactly the quota; the rest 429; no byte of them",
        f"{FITS} × 202, {RACERS - FITS} × 429, {len(media)} files",
        True,
        "counted without the lock on the person's row: red (more than the quota)",
    )
