"""Who stalls is hung up on, wherever in the exchange; who is merely slow, or waits for us, is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from served import PATIENCE, Served, served
from structlog.testing import capture_logs

from drishtiksha_api import connection

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
SHORT = 0.5
BIG = 8 * 1024 * 1024


class Application:
    """Answers at once, or when it is released; unread bodies stay unread. `/big` is more than any buffer holds."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.ended = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (said := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": said["text"]})
            return
        body = b"x" * BIG if scope["path"] == "/big" else b"hello"
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        if scope["path"] == "/later":
            await self.released.wait()
        if scope["path"] == "/broken":
            raise RuntimeError("in the middle of an answer")
        await send({"type": "http.response.body", "body": body[1:], "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        self.ended += 1


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Application:
    for name in ("HEAD_SECONDS", "REST_SECONDS", "UNREAD_SECONDS"):
        monkeypatch.setattr(connection, name, SHORT)
    return Application()


@pytest.fixture
async def server(app: Application) -> AsyncIterator[Served]:
    async with served(app) as found:
        yield found


async def several_clocks_run_out(server: Served) -> None:
    """Long enough for every clock: connections that say nothing, made one after the other, have been closed."""
    for _ in range(2):
        assert await (await server.connect()).all() == b""


async def test_a_connection_that_says_nothing_is_closed_without_a_word(server: Served) -> None:
    with capture_logs() as logs:
        assert await (await server.connect()).all() == b""
        await server.deserted()
    assert [line["event"] for line in logs] == ["hung up: nothing was asked in time"]


async def test_a_head_that_drips_is_answered_408_and_closed(server: Served) -> None:
    slow = await server.connect()
    with capture_logs() as logs:
        dripping = asyncio.create_task(slow.drip(b"GET / HTTP/1.1\r\n" + b"x-a: b\r\n" * 10_000, 0.02))
        said = await slow.all()
        await server.deserted()
    await dripping
    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"connection: close" in said
    assert [line["event"] for line in logs] == ["hung up: the head came too slowly"]
    assert logs[0]["client"].startswith("127.0.0.1:")


async def test_a_head_that_stops_is_answered_408_and_closed(server: Served) -> None:
    slow = await server.connect()
    await slow.say(HEAD[:-2])
    assert (await slow.all()).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("endless", [b"x-a: b\r\n", b"b"], ids=["many fields", "one field"])
async def test_a_head_without_an_end_is_refused_before_it_fills_the_memory(
    server: Served, monkeypatch: pytest.MonkeyPatch, endless: bytes
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", PATIENCE * 2)
    endless_one, sent = await server.connect(), 0
    await endless_one.say(b"GET / HTTP/1.1\r\nx-long: ")
    while await endless_one.say(endless * (8192 // len(endless))):
        sent += 8192
        await asyncio.sleep(0)
        assert sent < 64 * 1024 * 1024, "nobody stopped it"
    await server.deserted()
    assert b"431 Request Header Fields Too Large" in await endless_one.all() or sent > 0


async def test_a_head_of_the_largest_size_is_taken(server: Served) -> None:
    honest = await server.connect()
    room = connection.MAX_HEAD - len(HEAD) - len(b"x: \r\n")
    await honest.say(HEAD[:-2] + b"x: " + b"a" * room + b"\r\n\r\n")
    assert await honest.answer() == (200, b"hello")


async def test_a_client_between_two_requests_is_left_in_peace_and_then_has_the_same_clock(server: Served) -> None:
    honest = await server.connect()
    for _ in range(2):
        await honest.say(HEAD)
        assert await honest.answer() == (200, b"hello")
        await several_clocks_run_out(server)
    await honest.say(HEAD[:9])
    assert (await honest.all()).startswith(b"HTTP/1.1 408 ")


async def test_empty_lines_before_a_head_do_not_wind_the_clock(server: Served) -> None:
    slow = await server.connect()
    await slow.say(HEAD)
    assert await slow.answer() == (200, b"hello")
    dripping = asyncio.create_task(slow.drip(b"\r\n" * 10_000, 0.02))
    assert (await slow.all()).startswith(b"HTTP/1.1 408 ")
    await dripping


async def test_half_a_request_behind_another_does_not_cost_the_other_its_answer(
    app: Application, server: Served
) -> None:
    hasty = await server.connect()
    await hasty.say(b"GET /later HTTP/1.1\r\nHost: x\r\n\r\n" + HEAD)
    await hasty.say(HEAD[:9])
    await several_clocks_run_out(server)
    app.released.set()
    assert await hasty.answer() == (200, b"hello")
    assert await hasty.answer() == (200, b"hello")
    assert (await hasty.all()).startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_grows_behind_a_running_answer_is_not_answered_into_it(
    app: Application, server: Served
) -> None:
    hasty = await server.connect()
    await hasty.say(b"GET /later HTTP/1.1\r\nHost: x\r\n\r\n")
    while await hasty.say(b"GET / HTTP/1.1\r\nx: " + b"a" * 65536):
        await asyncio.sleep(0.01)
    assert b"431" not in await hasty.all()
    app.released.set()


async def test_the_rest_of_a_body_that_nobody_wants_is_waited_for_only_so_long(server: Served) -> None:
    refused = await server.connect()
    await refused.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    with capture_logs() as logs:
        assert await refused.answer() == (200, b"hello")
        dripping = asyncio.create_task(refused.drip(b"x" * 100_000, 0.02))
        assert await refused.all() == b""
        await server.deserted()
    await dripping
    assert [line["event"] for line in logs] == ["hung up: a body went on long after its answer"]


async def test_who_is_refused_in_the_middle_of_a_body_can_read_why(server: Served) -> None:
    last, body = await server.connect(), b"x" * BIG
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    await last.say(head)
    while not server.server.server_state.total_requests:
        await asyncio.sleep(0.01)
    assert await last.say(body)
    assert await last.answer() == (200, b"hello")
    assert await last.all() == b""
    await server.deserted()


async def test_who_never_ends_a_body_after_the_last_answer_is_hung_up_on(server: Served) -> None:
    last = await server.connect()
    await last.say(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n")
    assert await last.answer() == (200, b"hello")
    dripping = asyncio.create_task(last.drip(b"x" * 100_000, 0.02))
    await server.deserted()
    last.close()
    await dripping


async def test_an_exchange_that_breaks_in_the_middle_ends_whatever_the_client_does(server: Served) -> None:
    broken = await server.connect()
    await broken.say(b"POST /broken HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    dripping = asyncio.create_task(broken.drip(b"x" * 100_000, 0.02))
    assert (await broken.all()).endswith(b"\r\n\r\nh")
    await server.deserted()
    broken.close()
    await dripping


async def test_a_client_that_ends_its_body_after_the_answer_may_ask_again(server: Served) -> None:
    late = await server.connect()
    await late.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    assert await late.answer() == (200, b"hello")
    await late.say(b"12345")
    await several_clocks_run_out(server)
    await late.say(HEAD)
    assert await late.answer() == (200, b"hello")


async def test_an_idle_connection_is_closed_though_its_body_ended_after_the_answer(server: Served) -> None:
    server.server.config.timeout_keep_alive = SHORT  # type: ignore[assignment]
    late = await server.connect()
    await late.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    assert await late.answer() == (200, b"hello")
    await late.say(b"12345")
    assert await late.all() == b""


async def test_an_answer_that_nobody_reads_is_not_kept(app: Application, server: Served) -> None:
    deaf = await server.connect()
    with capture_logs() as logs:
        await deaf.say(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        await server.deserted()
    assert [line["event"] for line in logs] == ["hung up: an answer was not read"]
    deaf.close()


async def test_an_answer_that_is_read_slowly_arrives_whole(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MIN_READ", 1)
    slow, read = await server.connect(), 0
    await slow.say(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await slow.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    while read < BIG:
        read += len(await slow.reader.readexactly(min(BIG - read, 1024 * 1024)))
        await asyncio.sleep(SHORT / 2)
    assert read == BIG


async def test_a_websocket_outlives_every_clock(server: Served) -> None:
    server.server.config.timeout_keep_alive = SHORT  # type: ignore[assignment]
    browser = await server.connect()
    await browser.say(HEAD)  # as a polling client does before it upgrades
    assert await browser.answer() == (200, b"hello")
    await browser.say(UPGRADE)
    assert (await browser.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    await several_clocks_run_out(server)
    await browser.say(b"\x81\x82" + bytes(4) + b"hi")  # one masked frame of text
    async with asyncio.timeout(PATIENCE):
        assert await browser.reader.readexactly(4) == b"\x81\x02hi"
    browser.close()
