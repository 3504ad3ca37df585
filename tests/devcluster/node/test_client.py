"""The node's client against a server that answers badly, late, or in pieces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from drishtiksha.kubeconfig import Connection
from drishtiksha_devcluster.node import client as client_module
from drishtiksha_devcluster.node.client import ApiError, ApiUnreachable, KubeClient
from drishtiksha_devcluster.ports import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[KubeClient]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners, clients = [], []

    async def start(handler: Handler) -> KubeClient:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handler)
        runners.append(web.AppRunner(application, shutdown_timeout=0.1))
        await runners[-1].setup()
        port = free_port()
        await web.TCPSite(runners[-1], "127.0.0.1", port).start()
        clients.append(KubeClient(Connection(server=f"http://127.0.0.1:{port}", token="t0k")))
        return clients[-1]

    yield start
    for one in clients:
        await one.close()
    for one in runners:
        await one.cleanup()


def stream(*pieces: bytes, hold: bool = False) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0)
        if hold:
            await asyncio.sleep(30)
        return response

    return handler


async def test_a_call_carries_token_and_content_type(serve: Serve) -> None:
    async def echo(request: web.Request) -> web.Response:
        headers = {name: request.headers.get(name) for name in ("Authorization", "Content-Type")}
        return web.json_response({"method": request.method, "body": await request.json(), **headers})

    answer = await (await serve(echo)).patch("/x", {"a": 1})
    assert answer == {
        "method": "PATCH",
        "body": {"a": 1},
        "Authorization": "Bearer t0k",
        "Content-Type": "application/strategic-merge-patch+json",
    }


async def test_an_error_carries_the_server_s_sentence(serve: Serve) -> None:
    async def refuse(request: web.Request) -> web.Response:
        body = {"message": "not yours"} if request.path == "/json" else None
        return web.json_response(body, status=403) if body else web.Response(status=502, text="<html>")

    api = await serve(refuse)
    with pytest.raises(ApiError, match="not yours") as json_error:
        await api.get("/json")
    assert json_error.value.status == 403
    with pytest.raises(ApiError, match="html") as text_error:
        await api.get("/text")
    assert text_error.value.status == 502


async def test_an_answer_that_is_no_json_a_silence_and_a_closed_port_are_unreachable(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def odd(request: web.Request) -> web.Response:
        if request.path == "/late":
            await asyncio.sleep(30)
        return web.Response(text="{half")

    monkeypatch.setattr(client_module, "CALL_SECONDS", 0.3)
    api = await serve(odd)
    for path in ("/half", "/late"):
        with pytest.raises(ApiUnreachable):
            await api.get(path)
    nobody = KubeClient(Connection(server=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(ApiUnreachable):
        await nobody.get("/x")
    await nobody.close()


async def test_a_watch_gives_events_that_come_in_pieces_and_are_long(serve: Serve) -> None:
    long = {"type": "ADDED", "object": {"text": "x" * 300_000}}
    text = (json.dumps(long) + "\n" + json.dumps({"type": "BOOKMARK", "object": {}}) + "\n").encode()
    api = await serve(stream(text[:10], text[10:200_000], text[200_000:]))
    assert [event["type"] async for event in api.watch("/pods")] == ["ADDED", "BOOKMARK"]


async def test_a_watch_that_is_told_410_says_so(serve: Serve) -> None:
    gone = json.dumps({"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}) + "\n"
    api = await serve(stream(gone.encode()))
    with pytest.raises(ApiError) as error:
        [event async for event in api.watch("/pods")]
    assert error.value.status == 410


async def test_a_watch_that_breaks_in_the_middle_of_a_line_is_unreachable(serve: Serve) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type": "AD')
        assert request.transport is not None
        request.transport.abort()
        return response

    with pytest.raises(ApiUnreachable):
        [event async for event in (await serve(breaks)).watch("/pods")]


async def test_a_lost_node_hears_nothing_and_its_calls_wait_until_it_is_found(serve: Serve) -> None:
    line = (json.dumps({"type": "ADDED", "object": {}}) + "\n").encode()
    calls: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        calls.append(request.path)
        return await stream(line, hold=True)(request) if request.path == "/pods" else web.json_response({})

    api = await serve(handler)
    events: list[Any] = []

    async def watch() -> None:
        async for event in api.watch("/pods"):
            events.append(event)

    watching = asyncio.create_task(watch())
    while not events:
        await asyncio.sleep(0.01)
    api.cut()
    with pytest.raises(ApiUnreachable):
        await watching
    waiting = asyncio.create_task(api.get("/x"))
    await asyncio.sleep(0.05)
    assert calls == ["/pods"]
    api.mend()
    assert await waiting == {}
