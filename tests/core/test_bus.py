"""The live channel: what is published is heard, a silent channel costs nothing, and a Redis that is away is forgiven."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from drishtiksha.bus import RUNS, USERS, Bus
from drishtiksha_devcluster.ports import free_port


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[Bus]:
    found = Bus(redis_url)
    yield found
    await found.close()


async def test_a_wake_up_is_heard_by_who_listens(bus: Bus) -> None:
    heard: list[object] = []

    async def listen() -> None:
        async for message in bus.listen(RUNS, USERS):
            heard.append(message)
            if message is None:
                await bus.wake_run("r1")
                await bus.wake_user("u1", 7)
            if len(heard) == 3:
                return

    await asyncio.wait_for(listen(), 10)
    assert heard == [None, (RUNS, {"runId": "r1"}), (USERS, {"userId": "u1", "seq": 7})]


async def test_listening_to_a_silent_channel_asks_redis_next_to_nothing(bus: Bus, redis_url: str) -> None:
    async def listen() -> None:
        async for message in bus.listen(RUNS):
            assert message is None

    with redis.Redis.from_url(redis_url) as client:
        task = asyncio.create_task(listen())
        await asyncio.sleep(0.5)
        before = client.info("stats")["total_commands_processed"]
        await asyncio.sleep(1.0)
        asked = client.info("stats")["total_commands_processed"] - before
        task.cancel()
    assert asked <= 5


async def test_publishing_to_a_redis_that_is_away_is_forgiven() -> None:
    bus = Bus(f"redis://127.0.0.1:{free_port()}/0", timeout=0.5)
    assert await bus.publish(RUNS, {"runId": "x"}) is False
    assert await bus.ping() is False
    await bus.close()


async def test_the_password_and_the_number_of_the_url_are_used(redis_url: str) -> None:
    parts = urlsplit(redis_url)
    assert parts.password, "the tests' Valkey asks for one"
    assert parts.path not in ("", "/0")
    stranger = Bus(urlunsplit(parts._replace(netloc=f":wrong@{parts.hostname}:{parts.port}")), timeout=2)
    known = Bus(redis_url)
    assert [await known.ping(), await stranger.ping()] == [True, False]
    await known.redis.set("a key of this test", "here")
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 1
    for bus in (known, stranger):
        await bus.close()


async def test_many_messages_at_once_share_few_connections(bus: Bus, redis_url: str) -> None:
    told = await asyncio.gather(*(bus.publish(RUNS, {"runId": str(n)}) for n in range(300)))
    assert all(told)
    with redis.Redis.from_url(redis_url) as client:
        number = redis_url.rsplit("/", 1)[1]
        mine = [one for one in client.client_list() if one["db"] == number]
    assert len(mine) - 1 <= 16  # one of them asks


async def test_a_redis_that_hangs_up_again_and_again_is_called_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, pauses = 0, []
    enough = asyncio.Event()

    def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        writer.close()

    async def paused(seconds: float) -> None:
        pauses.append(seconds)
        if sum(pause >= 0.5 for pause in pauses) == 8:  # the library takes breaths of its own
            enough.set()
            await asyncio.Event().wait()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    bus = Bus(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    async with server:
        with monkeypatch.context() as patch:
            patch.setattr("drishtiksha.bus.asyncio.sleep", paused)
            listening = asyncio.create_task(anext(aiter(bus.listen(RUNS))))
            async with asyncio.timeout(30):
                await enough.wait()
        listening.cancel()
    assert [seconds for seconds in pauses if seconds >= 0.5] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    assert calls <= 3 * len(pauses)
    await bus.close()
