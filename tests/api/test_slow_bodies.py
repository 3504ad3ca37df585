"""Bodies that stop, drip or never end, on real sockets: each is refused with a reason, hung up on, and leaves nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import api_samples as samples
import pytest
from served import Bare, Served, served

from drishtiksha_api import connection, pace
from drishtiksha_api.door import app as door_app
from drishtiksha_api.door import places

PICTURE = samples.picture("PNG")
SHORT = 0.3
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "READ_TIMEOUT", SHORT)
    monkeypatch.setattr(pace, "GRACE_SECONDS", SHORT)
    monkeypatch.setattr(connection, "REST_SECONDS", SHORT)


@pytest.fixture
async def api(world: Any) -> AsyncIterator[Served]:
    async with served(world.api.asgi) as found:
        yield found


@pytest.fixture
async def door(world: Any) -> AsyncIterator[Served]:
    async with served(door_app.build(world.around)) as found:
        yield found


def head(method: str, path: str, headers: dict[str, str], length: int | None = None) -> bytes:
    """A request's head; without a length its body comes in chunks."""
    framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    fields = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "x", **framing, **headers}.items())
    return f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def refused(client: Bare) -> tuple[int, str]:
    """The status of the answer and the code of its first error; afterwards the server hangs up."""
    status, body = await client.answer()
    assert await client.all() == b""
    return status, json.loads(body)["errors"][0]["code"]


async def upload(api: Served, who: dict[str, str]) -> Bare:
    """An upload that has begun."""
    client = await api.connect()
    form = {**who, "Content-Type": "multipart/form-data; boundary=x"}
    await client.say(head("POST", "/api/v1/media", form, 250_000) + FORM + PICTURE)
    return client


async def test_an_upload_that_stops_is_refused_and_leaves_nothing(world: Any, api: Served) -> None:
    stalled = await upload(api, await world.person())
    assert await refused(stalled) == (400, "TOO_SLOW")
    await api.deserted()
    assert world.stored_files() == []


async def test_an_upload_that_drips_is_refused_and_leaves_nothing(world: Any, api: Served) -> None:
    dripping = await upload(api, await world.person())
    task = asyncio.create_task(dripping.drip(bytes(100_000), 0.02))
    assert await refused(dripping) == (400, "TOO_SLOW")
    await task
    assert world.stored_files() == []


async def test_a_form_that_never_comes_to_its_file_is_refused_where_the_largest_would_end(
    world: Any, api: Served
) -> None:
    endless, sent = await api.connect(), 0
    form = {**await world.person(), "Content-Type": "multipart/form-data; boundary=x"}
    await endless.say(head("POST", "/api/v1/media", form))
    await endless.say(chunk(b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\n'))
    answer = asyncio.create_task(refused(endless))
    while not answer.done() and sent < 64 * 1024 * 1024:
        await endless.say(chunk(bytes(65536)))
        sent += 65536
        await asyncio.sleep(0)
    assert await answer == (413, "TOO_LARGE")


async def test_a_stranger_s_body_that_stops_is_refused(api: Served) -> None:
    stalled = await api.connect()
    await stalled.say(head("POST", "/api/v1/auth/login", {}, 50) + b'{"email":')
    assert await refused(stalled) == (400, "TOO_SLOW")


@pytest.mark.parametrize("length", [50, None], ids=["with a length", "in chunks"])
async def test_a_polling_body_that_stops_is_refused(api: Served, length: int | None) -> None:
    stalled = await api.connect()
    await stalled.say(head("POST", "/socket.io/?EIO=4&transport=polling&sid=none", {}, length))
    assert await refused(stalled) == (400, "TOO_SLOW")


async def test_a_polling_body_without_an_end_is_refused(api: Served) -> None:
    endless = await api.connect()
    await endless.say(head("POST", "/socket.io/?EIO=4&transport=polling&sid=none", {}))
    await endless.say(chunk(bytes(65536)) + chunk(b"x"))
    assert await refused(endless) == (413, "TOO_LARGE")


async def attempts(world: Any, *models: str) -> list[dict[str, str]]:
    """The headers of the runners of one run."""
    media = (await world.upload(await world.person(), PICTURE)).json()["data"]
    await world.frozen(media["latestRunId"], *models)
    tokens: dict[str, dict[str, str]] = await world.attempt_tokens(media["latestRunId"])
    for headers in tokens.values():
        assert (await world.door.get("/attempt", headers=headers)).status_code == 200
    return list(tokens.values())


async def test_an_artifact_that_stops_is_refused_and_leaves_nothing(world: Any, door: Served) -> None:
    (token,) = await attempts(world, "M1")
    stored = world.stored_files()
    stalled = await door.connect()
    declared = {"Content-Type": "image/png", "X-Kind": "heatmap", "X-Content-SHA256": "0" * 64}
    await stalled.say(head("PUT", "/internal/v1/attempt/artifacts/a.png", {**token, **declared}, 1000) + PICTURE[:9])
    assert await refused(stalled) == (400, "TOO_SLOW")
    assert world.stored_files() == stored


async def test_a_result_that_drips_gives_its_place_back_in_time(
    world: Any, door: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "GRACE_SECONDS", 60.0)
    monkeypatch.setattr(places, "RESULT_SECONDS", 2 * SHORT)
    models = [f"M{n}" for n in range(places.MAX_RESULTS + 1)]
    *slow, honest = await attempts(world, *models)
    result = {"protocol": 1, "model": models[-1], "prediction": "INCONCLUSIVE"}
    dripping = []
    async with asyncio.TaskGroup() as group:
        for token in slow:
            client = await door.connect()
            await client.say(head("PUT", "/internal/v1/attempt/result", token, 100_000))
            group.create_task(client.drip(b" " * 100_000, 0.02))
            dripping.append(asyncio.create_task(refused(client)))
        await asyncio.sleep(SHORT / 2)  # until all of them hold their places
        turned_away = 0
        while (answer := await _hand_in(door, honest, result))[0] == 503:
            turned_away += 1
            await asyncio.sleep(0.02)
        assert answer == (200, {"accepted": True})
    assert turned_away > 0
    assert {await one for one in dripping} == {(503, "UNAVAILABLE")}


async def test_one_attempt_holds_one_place_however_often_it_calls(world: Any, door: Served) -> None:
    greedy, honest = await attempts(world, "M1", "M2")
    held = []
    for _ in range(places.MAX_RESULTS):
        client = await door.connect()
        await client.say(head("PUT", "/internal/v1/attempt/result", greedy, 1000) + b" ")
        held.append(client)
    assert (await held[-1].answer())[0] == 503
    result = {"protocol": 1, "model": "M2", "prediction": "INCONCLUSIVE"}
    assert await _hand_in(door, honest, result) == (200, {"accepted": True})


async def _hand_in(door: Served, token: dict[str, str], result: dict[str, Any]) -> tuple[int, Any]:
    client, body = await door.connect(), json.dumps(result).encode()
    await client.say(head("PUT", "/internal/v1/attempt/result", token, len(body)) + body)
    status, said = await client.answer()
    client.close()
    return status, json.loads(said)
