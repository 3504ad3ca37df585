"""Live events over a real Socket.IO client: one's own, in order, none lost, none of anybody else."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import api_samples as samples
import httpx
import pytest
import socketio
import uvicorn
from socketio.exceptions import ConnectionError as Refused
from sqlalchemy import text

from drishtiksha.domain.errors import Unavailable

PICTURE = samples.picture("PNG")


@pytest.fixture
async def live(world: Any) -> AsyncIterator[str]:
    """The api on a port, with its relay at work; its address."""
    config = uvicorn.Config(world.api.asgi, port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    async with world.api.background():
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True
        await task


class Ear:
    """A client that remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.client = socketio.AsyncClient(reconnection=False)
        self.client.on("*", self._hear)
        self._news = asyncio.Event()

    async def _hear(self, name: str, payload: Any) -> None:
        self.heard.append((name, payload))
        self._news.set()

    async def listen(self, url: str, headers: dict[str, str], last_seq: int | None = None) -> Ear:
        auth: dict[str, Any] = {"token": headers["Authorization"].removeprefix("Bearer ")}
        if last_seq is not None:
            auth["lastSeq"] = last_seq
        await self.client.connect(url, auth=auth, transports=["websocket"])
        return self

    async def until(self, name: str, event: str | None = None) -> Any:
        """Wait for a message by name (and `event`); its payload."""
        async with asyncio.timeout(20):
            while True:
                for heard, payload in self.heard:
                    if heard == name and (event is None or payload["event"] == event):
                        return payload
                self._news.clear()
                await self._news.wait()

    def durable(self) -> list[tuple[int, str]]:
        return [(p["seq"], p["event"]) for n, p in self.heard if n == "progress_update" and "seq" in p]

    async def close(self) -> None:
        await self.client.disconnect()


async def finish(world: Any, media: dict[str, Any]) -> None:
    """Run an upload to its end: one model, which fails."""
    run_id = media["latestRunId"]
    await world.frozen(run_id, "M1")
    token = (await world.attempt_tokens(run_id))["M1"]
    await world.door.get("/attempt", headers=token)
    await world.door.put("/attempt/failure", headers=token, json={"class": "BAD_MEDIA", "message": "broken"})
    await world.conclude(run_id)


STORY = [
    "RUN_QUEUED",
    "ANALYSIS_QUEUED",
    "PROCESSING_STARTED",
    "ANALYSIS_STARTED",
    "ANALYSIS_FAILED",
    "RUN_COMPLETED",
]


async def test_the_owner_hears_every_step_in_order_and_nobody_else_does(world: Any, live: str) -> None:
    ada, eve = await world.person(), await world.person()
    hers, strangers = await Ear().listen(live, ada), await Ear().listen(live, eve)
    await asyncio.sleep(0.2)
    media = (await world.upload(ada, PICTURE)).json()["data"]
    await hers.until("progress_update", "RUN_QUEUED")
    await finish(world, media)
    await world.around.bus.wake_user(media["userId"], 6)
    copy = await hers.until("progress_update", "ANALYSIS_COMPLETE")
    assert hers.durable() == list(enumerate(STORY, start=1))
    assert "seq" not in copy
    names = [name for name, _ in hers.heard]
    assert names[-4:] == ["progress_update", "video_update", "processing_error", "progress_update"]
    update = await hers.until("video_update")
    listed = (await world.client.get("/api/v1/media", headers=ada)).json()["data"][0]
    assert update == listed
    assert (await hers.until("processing_error"))["mediaId"] == media["id"]
    assert strangers.heard == []
    await hers.close()
    await strangers.close()


async def test_who_comes_back_gets_what_was_missed_before_anything_live(world: Any, live: str) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    await finish(world, media)
    all_of_it = await Ear().listen(live, ada, last_seq=0)
    await all_of_it.until("progress_update", "ANALYSIS_COMPLETE")
    assert all_of_it.durable() == list(enumerate(STORY, start=1))
    tail = await Ear().listen(live, ada, last_seq=4)
    await tail.until("video_update")
    assert [seq for seq, _ in tail.durable()] == [5, 6]
    fresh = await Ear().listen(live, ada)
    await asyncio.sleep(0.3)
    assert fresh.heard == []
    for ear in (all_of_it, tail, fresh):
        await ear.close()


@pytest.mark.parametrize(
    ("auth", "sentence"),
    [
        (None, "Authentication error: No token provided."),
        ({}, "Authentication error: No token provided."),
        ({"token": 5}, "Authentication error: No token provided."),
        ({"token": "nonsense"}, "Authentication error: Invalid token."),
    ],
)
async def test_a_handshake_without_a_good_token_is_refused_in_known_words(live: str, auth: Any, sentence: str) -> None:
    client = socketio.AsyncClient(reconnection=False)
    said: list[Any] = []
    client.on("connect_error", said.append)
    with pytest.raises(Refused):
        await client.connect(live, auth=auth, transports=["websocket"])
    assert said[0]["message"] == sentence
    await client.disconnect()


async def test_a_token_that_was_logged_out_opens_no_socket(world: Any, live: str) -> None:
    ada = await world.person()
    assert (await world.client.post("/api/v1/auth/logout", headers=ada)).status_code == 200
    with pytest.raises(Refused):
        await Ear().listen(live, ada)


async def test_progress_reaches_the_owner_of_the_media_whoever_the_message_names(world: Any, live: str) -> None:
    ada, eve = await world.person(), await world.person()
    hers, strangers = await Ear().listen(live, ada), await Ear().listen(live, eve)
    media = (await world.upload(ada, PICTURE)).json()["data"]
    await hers.until("progress_update", "RUN_QUEUED")
    eve_id = (await world.client.get("/api/v1/auth/profile", headers=eve)).json()["data"]["id"]
    tick = {"media_id": media["id"], "user_id": eve_id, "data": {"progress": 5, "total": None, "modelName": "M1"}}
    publish = world.around.bus.publish
    await publish("media-progress-events", {**tick, "event": "ANALYSIS_COMPLETED"})
    await publish("media-progress-events", {**tick, "event": "RUN_COMPLETED"})
    await publish("media-progress-events", {"event": "FRAME_ANALYSIS_PROGRESS", "media_id": "nonsense"})
    await publish("media-progress-events", {**tick, "event": "FRAME_ANALYSIS_PROGRESS"})
    heard = await hers.until("progress_update", "FRAME_ANALYSIS_PROGRESS")
    assert heard["data"] == {"progress": 5, "total": None, "modelName": "M1", "model_name": "M1"}
    assert (heard["mediaId"], heard["userId"]) == (media["id"], media["userId"])
    assert "seq" not in heard
    assert [p["event"] for _, p in hers.heard] == ["RUN_QUEUED", "FRAME_ANALYSIS_PROGRESS"]
    assert strangers.heard == []
    await hers.close()
    await strangers.close()


async def test_a_runner_s_progress_is_told_live_and_a_durable_name_is_not(world: Any, live: str) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    await world.frozen(media["latestRunId"], "M1")
    token = (await world.attempt_tokens(media["latestRunId"]))["M1"]
    await world.door.get("/attempt", headers=token)
    hers = await Ear().listen(live, ada)
    await asyncio.sleep(0.2)
    for event in ("RUN_COMPLETED", "FRAME_ANALYSIS_PROGRESS"):
        said = await world.door.post(
            "/attempt/progress", headers=token, json={"event": event, "message": "half", "data": {"progress": 50}}
        )
        assert said.status_code == 200
    heard = await hers.until("progress_update", "FRAME_ANALYSIS_PROGRESS")
    assert heard["data"] == {"progress": 50.0, "modelName": "M1", "model_name": "M1"}
    assert all(p["event"] != "RUN_COMPLETED" for _, p in hers.heard)
    await hers.close()


async def test_events_arrive_without_redis_only_later(world: Any, live: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await world.person()
    hers = await Ear().listen(live, ada)
    await asyncio.sleep(0.2)

    async def lost(*_args: Any) -> bool:
        return False

    async def away() -> bool:
        return False

    monkeypatch.setattr(world.around.bus, "publish", lost)
    monkeypatch.setattr(world.around.bus, "ping", away)
    world.api.relay._redis_is_there = False
    await world.upload(ada, PICTURE)
    await hers.until("progress_update", "RUN_QUEUED")
    await hers.close()


async def test_a_deleted_media_is_only_a_number_to_those_who_come_back(world: Any, live: str) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE, "secret-name.png")).json()["data"]
    await world.client.delete(f"/api/v1/media/{media['id']}", headers=ada)
    hers = await Ear().listen(live, ada, last_seq=0)
    await hers.until("progress_update", "MEDIA_DELETED")
    await asyncio.sleep(0.2)
    assert hers.durable() == [(1, "MEDIA_DELETED"), (2, "MEDIA_DELETED")]
    assert "secret-name" not in str(hers.heard)
    await hers.close()


async def test_numbers_that_are_no_longer_kept_are_named_first(world: Any, live: str) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    await finish(world, media)
    async with world.around.database.engine.begin() as connection:
        await connection.execute(text("DELETE FROM events WHERE seq IN (2, 3, 4)"))
    hers = await Ear().listen(live, ada, last_seq=1)
    await hers.until("progress_update", "ANALYSIS_COMPLETE")
    assert hers.heard[0] == ("events_gap", {"firstSeq": 2, "lastSeq": 4})
    assert [seq for seq, _ in hers.durable()] == [5, 6]
    await hers.close()


async def test_a_page_of_another_origin_opens_no_socket(live: str) -> None:
    async with httpx.AsyncClient(base_url=live) as browser:
        for origin, status in (("https://evil.example", 400), ("https://app.example.org", 200), (None, 200)):
            headers = {"Origin": origin} if origin else {}
            answer = await browser.get("/socket.io/?EIO=4&transport=polling", headers=headers)
            assert answer.status_code == status, origin


async def _until_closed(ear: Ear) -> None:
    async with asyncio.timeout(6):
        while ear.client.connected:
            await asyncio.sleep(0.05)


async def test_a_socket_ends_soon_after_its_token(live: str, world: Any) -> None:
    ada, bob = await world.person(), await world.person()
    login = {"email": world.people[0], "password": "correct horse"}
    other = (await world.client.post("/api/v1/auth/login", json=login)).json()["data"]["token"]
    ears = [await Ear().listen(live, who) for who in (ada, {"Authorization": f"Bearer {other}"}, bob)]
    change = {"currentPassword": "correct horse", "newPassword": "battery staple"}
    await world.client.put("/api/v1/auth/profile/password", headers=ada, json=change)
    assert await ears[1].until("auth_expired") == {"code": "TOKEN_INVALID"}
    await _until_closed(ears[1])
    assert [ear.client.connected for ear in ears] == [True, False, True]  # the one that made the change lives
    await world.client.post("/api/v1/auth/logout", headers=ada)
    assert await ears[0].until("auth_expired") == {"code": "TOKEN_INVALID"}
    async with world.around.database.engine.begin() as connection:
        await connection.execute(text("UPDATE users SET is_active = false"))
    assert await ears[2].until("auth_expired") == {"code": "TOKEN_INVALID"}
    await _until_closed(ears[2])


async def test_a_token_whose_time_has_passed_ends_its_socket_with_postgres_away_too(live: str, world: Any) -> None:
    ada = await world.person()
    ear = await Ear().listen(live, ada)
    callers = world.api.sockets._callers
    for sid, caller in callers.items():
        callers[sid] = dataclasses.replace(caller, expires=time.time() + 1)
    alive = world.api.rest.state.doorkeeper.alive

    async def away(_sessions: object) -> set[uuid.UUID]:
        raise Unavailable("postgres", "It is away.")

    world.api.rest.state.doorkeeper.alive = away
    assert await ear.until("auth_expired") == {"code": "TOKEN_EXPIRED"}
    await _until_closed(ear)
    world.api.rest.state.doorkeeper.alive = alive
