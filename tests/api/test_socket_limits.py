"""What a client cannot do to Socket.IO: open more than twenty sockets, say something large, or say anything that counts."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import api_samples as samples
import socketio
from socketio.exceptions import ConnectionError as Refused
from test_sockets import Ear, live  # noqa: F401  the api on a port

from drishtiksha_api.sockets import MAX_MESSAGE, MAX_SOCKETS


async def test_of_many_sockets_at_once_a_user_gets_twenty_and_a_place_that_is_left_is_free(
    world: Any,
    live: str,  # noqa: F811
) -> None:
    ada, bob = await world.person(), await world.person()
    ears = [Ear() for _ in range(MAX_SOCKETS + 10)]
    said: list[Any] = []
    for ear in ears:
        ear.client.on("connect_error", said.append)
    tried = await asyncio.gather(*(ear.listen(live, ada) for ear in ears), return_exceptions=True)
    connected = [ear for ear in ears if ear.client.connected]
    assert len(connected) == MAX_SOCKETS == 20
    assert sum(isinstance(one, Refused) for one in tried) == 10
    assert [one["message"] for one in said] == ["Too many connections."] * 10
    other = await Ear().listen(live, bob)
    await connected.pop().close()
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(Refused):
                connected.append(await Ear().listen(live, ada))
                break
            await asyncio.sleep(0.05)
    for ear in (*connected, other):
        await ear.close()


async def test_what_a_client_says_is_ignored_and_what_is_too_large_ends_its_socket(
    world: Any,
    live: str,  # noqa: F811
) -> None:
    ada, eve = await world.person(), await world.person()
    hers, evil = await Ear().listen(live, ada), await Ear().listen(live, eve)
    media = (await world.upload(ada, samples.picture("PNG"))).json()["data"]
    await hers.until("progress_update", "RUN_QUEUED")
    for name in ("progress_update", "video_update", "join", "subscribe", "message"):
        await evil.client.emit(name, {"userId": media["userId"], "room": media["userId"], "id": media["id"]})
    with contextlib.suppress(TimeoutError, socketio.exceptions.SocketIOError):
        await evil.client.call("join", media["userId"], timeout=0.5)
    await world.around.bus.publish(
        "media-progress-events", {"event": "FRAME_ANALYSIS_PROGRESS", "media_id": media["id"], "data": {"progress": 1}}
    )
    await hers.until("progress_update", "FRAME_ANALYSIS_PROGRESS")
    assert evil.heard == []
    assert [p["event"] for _, p in hers.heard] == ["RUN_QUEUED", "FRAME_ANALYSIS_PROGRESS"]
    await evil.client.emit("message", "x" * (MAX_MESSAGE + 1))
    async with asyncio.timeout(20):
        while evil.client.connected:
            await asyncio.sleep(0.05)
    await hers.close()
