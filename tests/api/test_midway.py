"""Deletions in the middle of something else: an upload that is arriving, one that was just committed, a download."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import api_samples as samples
import httpx
import pytest
from canaries import png
from sqlalchemy import text

from drishtiksha.objects.local import LocalObjects
from drishtiksha_api import dispatcher as dispatching

LARGE = png(samples.picture("PNG"), "x" * 290_000)
BOUNDARY = "between-parts"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
).encode()
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


async def called(
    world: Any, method: str, url: str, headers: dict[str, str], body: AsyncIterator[bytes], send: Any
) -> None:
    """One request as a server would pass it on: when the body's iterator ends early, the client has gone."""
    request = httpx.Request(method, f"http://testserver{url}", headers=headers)
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": request.url.path, "raw_path": request.url.raw_path, "query_string": request.url.query,
        "root_path": "", "headers": [(k.lower(), v) for k, v in request.headers.raw], "server": ("testserver", 80),
        "client": ("127.0.0.1", 1),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        async for chunk in body:
            return {"type": "http.request", "body": chunk, "more_body": True}
        return {"type": "http.disconnect"}

    await world.api.asgi(scope, receive, send)


async def media_rows(world: Any) -> list[tuple[Any, ...]]:
    async with world.around.database.engine.connect() as connection:
        found = await connection.execute(text("SELECT id, deleted_at IS NOT NULL FROM media"))
        return [tuple(row) for row in found]


async def test_i2_an_upload_whose_client_leaves_while_another_media_is_deleted_leaves_nothing(world: Any) -> None:
    ada = await world.person()
    old = (await world.upload(ada, samples.picture("PNG"))).json()["data"]
    statuses: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        yield HEAD + LARGE[:150_000]
        assert (await world.client.delete(f"/api/v1/media/{old['id']}", headers=ada)).status_code == 200
        await world.api.dispatcher.once()
        assert [name for name in world.stored_files() if "original" in name] == []
        yield LARGE[150_000:280_000]  # and the client is gone

    async def send(message: dict[str, Any]) -> None:
        statuses.append(message.get("status", 0))

    await called(world, "POST", "/api/v1/media", {**ada, **FORM}, body(), send)
    assert 202 not in statuses
    assert world.stored_files() == []
    assert await media_rows(world) == [(uuid.UUID(old["id"]), True)]


async def test_i10_a_media_that_is_deleted_before_its_upload_is_answered_is_deleted(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "TOMBSTONE_SECONDS", 0.0)
    ada = await world.person()
    store = world.api.rest.state.media
    accept = store.accept

    async def accept_and_delete(new: Any, quota: Any, **more: Any) -> Any:
        announced = await accept(new, quota, **more)
        assert (await world.client.delete(f"/api/v1/media/{new.id}", headers=ada)).status_code == 200
        return announced

    monkeypatch.setattr(store, "accept", accept_and_delete)
    assert (await world.upload(ada, samples.picture("PNG"))).status_code == 404
    await world.due_now()
    await world.api.dispatcher.once()
    assert (world.stored_files(), await media_rows(world), world.cluster.created) == ([], [], 0)


async def test_i10_a_download_that_has_begun_is_whole_or_ends_and_no_other_begins(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "TOMBSTONE_SECONDS", 0.0)
    monkeypatch.setattr("drishtiksha.objects.local._BLOCK", 64 * 1024)
    ada = await world.person()
    media = (await world.upload(ada, LARGE)).json()["data"]
    url = media["url"].removeprefix("http://testserver")
    got: list[bytes] = []

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def send(message: dict[str, Any]) -> None:
        if message["type"] != "http.response.body":
            return
        got.append(message.get("body", b""))
        if len(got) == 2:  # in the middle
            assert (await world.client.delete(f"/api/v1/media/{media['id']}", headers=ada)).status_code == 200
            await world.due_now()
            await world.api.dispatcher.once()
            assert (world.stored_files(), await media_rows(world)) == ([], [])
            assert (await world.client.get(url)).status_code == 404

    await called(world, "GET", url, {}, nothing(), send)
    assert len(got) > 4
    assert b"".join(got) == LARGE
    assert isinstance(world.around.objects, LocalObjects)
