"""Waiting for a change of status: woken by Redis or without it, never longer than asked, and holding nothing meanwhile."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fault_proxy import FaultProxy
from listening import listening, until
from served import Served
from test_library import MEDIA, shelf_of

from drishtiksha_api import relay, waiters
from drishtiksha_api.longpoll import preferred


@pytest.fixture
def valkey(valkey_server: str) -> Any:
    with FaultProxy.before(valkey_server) as proxy:
        yield proxy


@pytest.fixture
def redis_url(redis_url: str, valkey: FaultProxy) -> str:
    return valkey.instead_of(redis_url)


@pytest.fixture
async def live(world: Any) -> AsyncIterator[Served]:
    async with listening(world) as found:
        yield found


@pytest.fixture
def only_redis_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "LOOK_SECONDS_ALONE", 3600.0)


@pytest.fixture
def frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "LOOK_SECONDS_ALONE", 0.2)


async def waiting(world: Any, headers: dict[str, str], path: str, **more: Any) -> asyncio.Task[httpx.Response]:
    """A request that has begun to wait."""
    before = places(world)
    task = asyncio.create_task(world.client.get(path, headers=headers, timeout=90, **more))
    await until(lambda: places(world) > before or task.done())
    await asyncio.sleep(0.1)
    return task


def places(world: Any) -> int:
    return sum(map(len, world.api.waiters._waiting.values()))


async def cancelled(world: Any, media: Any) -> None:
    """The end of a run that was never frozen: its media FAILED."""
    await world.client.post(f"{MEDIA}/{media.id}/cancel", headers=world.ada)
    await world.conclude(str(media.run_id))
    await world.around.bus.wake_user(media.user_id, 2)


async def scene(world: Any) -> Any:
    world.ada = await world.person()
    return await (await shelf_of(world, world.ada)).put()


@pytest.mark.usefixtures("only_redis_wakes", "live")
async def test_a_change_of_status_answers_at_once(world: Any) -> None:
    media = await scene(world)
    task = await waiting(world, world.ada, f"{MEDIA}/{media.id}?wait=60")
    await world.around.bus.wake_user(media.user_id, 1)  # news of something else
    await asyncio.sleep(0.2)
    assert not task.done()
    assert world.around.database.engine.pool.checkedout() == 0
    await cancelled(world, media)
    answer = await asyncio.wait_for(task, 20)
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "FAILED")
    assert places(world) == 0


@pytest.mark.usefixtures("frequent_looks", "live")
async def test_without_redis_a_change_is_found_by_looking(world: Any, valkey: FaultProxy) -> None:
    media = await scene(world)
    valkey.refuse()
    task = await waiting(world, world.ada, f"{MEDIA}/{media.id}?wait=60")
    await cancelled(world, media)
    assert (await asyncio.wait_for(task, 20)).json()["data"]["status"] == "FAILED"


@pytest.mark.usefixtures("live")
async def test_nothing_new_is_answered_when_the_time_is_over(world: Any) -> None:
    media = await scene(world)
    path, began = f"{MEDIA}/{media.id}", time.monotonic()
    answer = await world.client.get(path, headers={**world.ada, "Prefer": 'respond-async, WAIT="1"'})
    assert time.monotonic() - began >= 1
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "QUEUED")
    assert answer.headers["preference-applied"] == "wait=1"
    known = {**world.ada, "If-None-Match": answer.headers["etag"]}
    again = await world.client.get(f"{path}/?wait=1", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert "preference-applied" not in again.headers
    assert time.monotonic() - began >= 2


@pytest.mark.usefixtures("only_redis_wakes", "live")
async def test_a_final_status_waits_only_for_whoever_has_it_and_an_older_version_never(world: Any) -> None:
    media = await scene(world)
    path = f"{MEDIA}/{media.id}"
    older = (await world.client.get(path, headers=world.ada)).headers["etag"]
    await cancelled(world, media)
    final = await asyncio.wait_for(world.client.get(f"{path}?wait=60", headers=world.ada), 20)
    assert final.json()["data"]["status"] == "FAILED"
    headers = {**world.ada, "If-None-Match": older}
    assert (await asyncio.wait_for(world.client.get(f"{path}?wait=60", headers=headers), 20)).status_code == 200
    task = await waiting(world, {**world.ada, "If-None-Match": final.headers["etag"]}, f"{path}?wait=60")
    assert not task.done()
    await world.client.post(f"{path}/analyze", headers=world.ada)
    assert (await asyncio.wait_for(task, 20)).json()["data"]["status"] == "QUEUED"


@pytest.mark.usefixtures("only_redis_wakes", "live")
async def test_a_deletion_or_a_dead_token_ends_the_wait_with_its_own_answer(world: Any) -> None:
    media = await scene(world)
    task = await waiting(world, world.ada, f"{MEDIA}/{media.id}?wait=60")
    await world.client.delete(f"{MEDIA}/{media.id}", headers=world.ada)
    gone = await asyncio.wait_for(task, 20)
    assert (gone.status_code, gone.json()["code"]) == (404, "NOT_FOUND")
    other = await (await shelf_of(world, world.ada)).put()
    task = await waiting(world, world.ada, f"{MEDIA}/{other.id}?wait=60")
    await world.client.post("/api/v1/auth/logout", headers=world.ada)
    await world.around.bus.wake_user(other.user_id, 9)
    await asyncio.sleep(0.1)
    assert not task.done()
    world.api.waiters.close()
    refused = await asyncio.wait_for(task, 20)
    assert (refused.status_code, refused.json()["code"]) == (401, "TOKEN_INVALID")


async def test_a_client_that_leaves_frees_its_place(world: Any, live: Served) -> None:
    media = await scene(world)
    client = await live.connect()
    token = world.ada["Authorization"]
    await client.say(f"GET {MEDIA}/{media.id}?wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode())
    await until(lambda: places(world) == 1)
    client.close()
    await until(lambda: places(world) == 0)
    await live.deserted()


@pytest.mark.usefixtures("only_redis_wakes", "live")
async def test_so_many_may_wait_and_no_more_and_a_process_that_stops_answers_all(world: Any) -> None:
    media, eve = await scene(world), await world.person()
    path = f"{MEDIA}/{media.id}?wait=60"
    tasks = [await waiting(world, world.ada, path) for _ in range(waiters.MAX_WAITERS)]  # with a pool of five
    refused = await world.client.get(path, headers=world.ada)
    assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
    assert int(refused.headers["retry-after"]) >= 1
    assert (await world.client.get(f"{MEDIA}/{media.id}", headers=world.ada)).status_code == 200
    hers = await (await shelf_of(world, eve)).put()
    tasks.append(await waiting(world, eve, f"{MEDIA}/{hers.id}?wait=60"))
    assert not any(task.done() for task in tasks)
    world.api.waiters.close()
    answers = await asyncio.wait_for(asyncio.gather(*tasks), 30)
    assert {answer.status_code for answer in answers} == {200}
    assert (await asyncio.wait_for(world.client.get(path, headers=world.ada), 20)).status_code == 200


async def test_strangers_learn_nothing_by_waiting_and_bad_words_are_400(world: Any) -> None:
    media, eve = await scene(world), await world.person()
    answers = [
        await world.client.get(f"{MEDIA}/{wanted}?wait=30", headers=eve) for wanted in (media.id, uuid.uuid4(), "x")
    ]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert len({answer.text.replace(answer.headers["x-request-id"], "") for answer in answers}) == 1
    for word in ("0", "61", "x", "1.5", ""):
        refused = await world.client.get(f"{MEDIA}/{media.id}?wait={word}", headers=world.ada)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "wait"), word
    assert places(world) == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None), (["wait=10"], 10), (["respond-async", "Wait = 5 ; x=1"], 5), (['wait="7"'], 7), (["wait=3, wait=9"], 3),
        (["wait=0"], None), (["wait=-1"], None), (["wait=x"], None), (["wait"], None), (["wait=999999999999"], 60),
        (["waiting=5"], None), (["wait=²"], None),
    ],
)  # fmt: skip
def test_a_preference_is_read_as_its_rfc_says_and_nonsense_ignored(headers: list[str], seconds: int | None) -> None:
    assert preferred(headers) == seconds
