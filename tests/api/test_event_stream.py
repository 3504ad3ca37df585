"""The events of one media as a list and as a stream: each once, in order, from where the client was; and every end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from listening import listening, stream, until
from served import Served
from sqlalchemy.ext.asyncio import AsyncSession
from test_edge import ORIGIN
from test_library import MEDIA, shelf_of
from test_longpoll import places

from drishtiksha.database import events as rows
from drishtiksha.database.media import NewMedia
from drishtiksha.domain.events import Event, EventType, analysis_queued
from drishtiksha_api import connection, eventstream, relay, waiters


@pytest.fixture
async def live(world: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """Only Redis wakes here."""
    for module, clock in (
        (relay, "LOOK_SECONDS_ALONE"), (eventstream, "TOKEN_SECONDS"), (eventstream, "KEEP_ALIVE_SECONDS"),
    ):  # fmt: skip
        monkeypatch.setattr(module, clock, 3600.0)
    async with listening(world) as found:
        yield found


async def scene(world: Any) -> NewMedia:
    world.ada = await world.person()
    return await (await shelf_of(world, world.ada)).put()


async def tell(world: Any, media: NewMedia, *told: Event) -> int:
    """Append events of this media as every verb does; the last number."""

    async def write(session: AsyncSession) -> int:
        return (await rows.append(session, media.user_id, media.id, media.run_id, told)).seq

    seq = await world.around.database.transaction(write)
    await world.around.bus.wake_user(media.user_id, seq)
    return int(seq)


async def listed(world: Any, media: NewMedia, query: str = "") -> list[dict[str, Any]]:
    answer = await world.client.get(f"{MEDIA}/{media.id}/events{query}", headers=world.ada)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def test_a_list_holds_this_media_s_events_after_a_number_page_by_page(world: Any) -> None:
    media = await scene(world)
    other = await (await shelf_of(world, world.ada)).put()
    for number in range(3):
        await tell(world, media, analysis_queued(f"M{number}"))
        await tell(world, other, analysis_queued("X"))
    everything = await listed(world, media)
    assert [event["seq"] for event in everything] == [1, 3, 5, 7]
    assert [event["event"] for event in everything] == ["RUN_QUEUED"] + 3 * ["ANALYSIS_QUEUED"]
    assert everything[1]["data"]["modelName"] == "M0"
    assert {event["mediaId"] for event in everything} == {str(media.id)}
    assert await listed(world, media, "?after=3") == everything[2:]
    assert await listed(world, media, f"?after={2**63 - 1}") == []
    page = await world.client.get(f"{MEDIA}/{media.id}/events?limit=2", headers=world.ada)
    assert (page.json()["data"], page.headers["x-next-cursor"]) == (everything[:2], "3")
    last = await world.client.get(f"{MEDIA}/{media.id}/events/?limit=2&after=3", headers=world.ada)
    assert (last.json()["data"], last.headers.get("x-next-cursor")) == (everything[2:], None)
    for query, field in (
        ("after=-1", "after"),
        (f"after={2**63}", "after"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
    ):
        refused = await world.client.get(f"{MEDIA}/{media.id}/events?{query}", headers=world.ada)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, field)


async def test_a_stream_tells_what_was_and_what_comes_once_and_in_order(world: Any, live: Served) -> None:
    media = await scene(world)
    other = await (await shelf_of(world, world.ada)).put()

    async def writer() -> None:
        for number in range(40):
            await tell(world, media, *(analysis_queued(f"M{number}-{n}") for n in range(10)))
            await tell(world, other, analysis_queued("X"))

    writing = asyncio.create_task(writer())
    await until(lambda: places(world) == 0)
    async with stream(live, world.ada, media.id) as first:
        assert first.answer.headers["content-type"].startswith("text/event-stream")
        heard = await first.take(100)
    while len(heard) < 401:  # it comes and goes, and is told from where it was
        last = str(heard[-1].id)
        async with stream(live, world.ada, media.id, "?after=1", **{"Last-Event-ID": last}) as again:
            heard += await again.take(min(77, 401 - len(heard)))
    await writing
    everything = await listed(world, media)
    assert [block.data for block in heard] == everything
    assert [block.id for block in heard] == [event["seq"] for event in everything]
    assert {block.event for block in heard} == {"progress_update"}


async def test_a_stream_begins_after_the_number_that_is_asked_for_and_never_beyond_the_last(
    world: Any, live: Served
) -> None:
    media = await scene(world)
    last = await tell(world, media, analysis_queued("M1"), analysis_queued("M2"))
    async with stream(live, world.ada, media.id, f"?after={last - 1}") as late:
        assert [block.id for block in await late.take(1)] == [last]
    async with stream(live, world.ada, media.id, "?after=99999") as ahead:
        await until(lambda: places(world) == 1)
        told = await tell(world, media, analysis_queued("M3"))
        assert [block.id for block in await ahead.take(1)] == [told]
    for wrong in ("x", "-1", "1" * 19):
        async with stream(live, world.ada, media.id, **{"Last-Event-ID": wrong}) as refused:
            assert refused.answer.status_code == 400


async def test_a_deletion_is_told_and_ends_the_stream(world: Any, live: Served) -> None:
    media = await scene(world)
    async with stream(live, world.ada, media.id) as open_one:
        await open_one.take(1)
        await world.client.delete(f"{MEDIA}/{media.id}", headers=world.ada)
        (gone,) = await open_one.take(1)
        assert (gone.data["event"], gone.data["data"]) == ("MEDIA_DELETED", {"mediaId": str(media.id)})
        assert await open_one.next() is None
    for accept in ("text/event-stream", "application/json"):
        refused = await world.client.get(f"{MEDIA}/{media.id}/events", headers={**world.ada, "Accept": accept})
        assert (refused.status_code, refused.json()["code"]) == (404, "NOT_FOUND")


async def test_strangers_learn_nothing_from_events(world: Any) -> None:
    media, eve = await scene(world), await world.person()
    answers = [
        await world.client.get(f"{MEDIA}/{wanted}/events", headers={**eve, "Accept": accept})
        for wanted in (media.id, uuid.uuid4(), "x")
        for accept in ("application/json", "text/event-stream")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text.replace(answer.headers["x-request-id"], "") for answer in answers}) == 1


async def test_a_dead_token_ends_the_stream(world: Any, live: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventstream, "TOKEN_SECONDS", 0.3)
    media = await scene(world)
    async with stream(live, world.ada, media.id) as open_one:
        await open_one.take(1)
        await world.client.post("/api/v1/auth/logout", headers=world.ada)
        (said,) = await open_one.take(1)
        assert (said.event, said.data, said.id) == ("auth_expired", {"code": "TOKEN_INVALID"}, None)
        assert await open_one.next() is None


async def test_silence_is_filled_and_no_front_end_is_shut_out(
    world: Any, live: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventstream, "KEEP_ALIVE_SECONDS", 0.2)
    media = await scene(world)
    async with stream(live, world.ada, media.id, Origin=ORIGIN) as open_one:
        headers = open_one.answer.headers
        assert headers["access-control-allow-origin"] == ORIGIN
        assert headers["cache-control"] == "no-store"
        assert headers["x-request-id"]
        assert "content-length" not in headers
        await open_one.take(1)
        for _ in range(2):
            silent = await open_one.next()
            assert silent is not None
            assert silent.comment == "still here"
    url = f"http://127.0.0.1:{live.port}{MEDIA}/{media.id}/events"
    async with httpx.AsyncClient(timeout=20) as client:
        head = await client.head(url, headers={**world.ada, "Accept": "text/event-stream"})
        again = await client.get(url, headers=world.ada)  # over the same connection: the first answer has an end
    assert again.status_code == 200
    assert (head.status_code, head.headers["content-type"].split(";")[0]) == (200, "text/event-stream")


async def test_streams_share_the_places_of_those_who_wait_and_a_process_that_stops_ends_them(
    world: Any, live: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiters, "MAX_WAITERS", 2)
    media = await scene(world)
    waiting = asyncio.create_task(world.client.get(f"{MEDIA}/{media.id}?wait=60", headers=world.ada))
    await until(lambda: places(world) == 1)
    async with stream(live, world.ada, media.id) as second:
        await second.take(1)
        async with stream(live, world.ada, media.id) as third:
            assert third.answer.status_code == 429
            assert int(third.answer.headers["retry-after"]) >= 1
    await until(lambda: places(world) == 1)  # who leaves makes room
    async with stream(live, world.ada, media.id) as second:
        await second.take(1)
        world.api.waiters.close()
        assert await second.next() is None
    assert (await waiting).status_code == 200


async def test_who_does_not_read_is_hung_up_on(world: Any, live: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREAD_SECONDS", 0.5)
    media = await scene(world)
    long = Event(EventType.ANALYSIS_QUEUED, "x" * 200_000)
    for _ in range(10):
        await tell(world, media, *[long] * 10)  # 20 MB: more than the buffers of both sides
    client = await live.connect()
    fields = f"Host: x\r\nAccept: text/event-stream\r\nAuthorization: {world.ada['Authorization']}\r\n\r\n"
    await client.say(f"GET {MEDIA}/{media.id}/events HTTP/1.1\r\n{fields}".encode())
    await until(lambda: places(world) == 1)
    await until(lambda: places(world) == 0)
    await live.deserted()
    client.close()
