"""The seams of HTTP, to the internal door and to the ML services: one transport that leads to applications by host.

It plays what a socket would: a client's read timeout, a cut answer, a connection that closes before the answer.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from .wire import LATE, twice, wire

_NAME = re.compile(r"/artifacts/[^/]+$")


@dataclass
class Answer:
    """What an application sent. `whole` False: it broke off."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    whole: bool = True


class SeamTransport(httpx.AsyncBaseTransport):
    """`hosts`: the seam and the ASGI application behind each host name."""

    def __init__(self, hosts: Mapping[str, tuple[str, Any]]) -> None:
        self._hosts = hosts

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        seam, app = self._hosts[request.url.host]
        operation = f"{request.method} {_NAME.sub('/artifacts/*', request.url.path)}"
        kind = wire.get().meet(seam, operation, request.headers.get("authorization", ""))
        body = await request.aread()
        match kind:
            case "before":
                raise httpx.ConnectError("connection refused (injected)", request=request)
            case "error":
                return httpx.Response(500, json={"detail": "out of order (injected)"})
            case "busy":
                return httpx.Response(503, headers={"Retry-After": "0"}, json={"detail": "busy (injected)"})
            case "refused":
                return httpx.Response(400, json={"detail": "refused (injected)"})
            case "slow" if request.url.path == "/analyze":
                # The runner waits for a model as long as its attempt lives.
                await asyncio.sleep(LATE)
            case "slow":
                wire.get().later(exchange(app, request, body))
                raise httpx.ReadTimeout("no answer in time (injected)", request=request)
        one = exchange(app, request, body)
        answer: Answer = await (twice(one, exchange(app, request, body)) if kind == "repeated" else one)
        if kind == "lost":
            raise httpx.RemoteProtocolError("Server disconnected without sending a response. (injected)")
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer, cut=kind == "cut"))


async def exchange(app: Any, request: httpx.Request, body: bytes) -> Answer:
    """One request to an ASGI application, which goes on to its end even when its client has left, as a server lets it."""
    return await asyncio.shield(asyncio.ensure_future(_exchange(app, request, body)))


async def _exchange(app: Any, request: httpx.Request, body: bytes) -> Answer:
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw], "scheme": request.url.scheme,
        "path": request.url.path, "raw_path": request.url.raw_path.partition(b"?")[0], "query_string": request.url.query,
        "server": (request.url.host, request.url.port), "client": ("127.0.0.1", 1), "root_path": "",
    }  # fmt: skip
    answer, asked = Answer(whole=False), False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message.get("headers", []))
        else:
            answer.body += message.get("body", b"")
            answer.whole = not message.get("more_body", False)

    try:
        await app(scope, receive, send)
    except Exception:
        if not answer.headers:  # it never began to answer: a server says 500 for it
            return Answer(500, [(b"content-type", b"text/plain")], b"Internal Server Error")
    return answer


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: Answer, *, cut: bool) -> None:
        self._answer, self._cut = answer, cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = self._answer.body
        yield body[: len(body) // 2]
        if self._cut:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body (injected)")
        yield body[len(body) // 2 :]
        if not self._answer.whole:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


class Models:
    """An ML service of dialect 3: answers at once, with a picture; fails as often as `failing` says, by model."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.failing: dict[str, int] = {}
        self.asked: list[str] = []
        self.held: asyncio.Event | None = None
        """Answers wait for it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        status, kind, said = 200, b"application/json", json.dumps(self._stats()).encode()
        if scope["path"] == "/analyze":
            found = re.search(rb'name="model"(?:\r\n[^\r\n]+)*\r\n\r\n([^\r\n]+)\r\n', body)
            name = found[1].decode() if found else ""
            self.asked.append(name)
            if self.held is not None:
                await self.held.wait()
            kind, said = b"application/x-ndjson", _lines(_examined(name))
            if self.failing.get(name, 0) > 0:
                self.failing[name] -= 1
                status, kind, said = 500, b"application/json", b'{"detail": "out of order"}'
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": said})

    def _stats(self) -> dict[str, Any]:
        listed = [{"name": n, "version": "1", "loaded": True, "isImage": True} for n in self.names]
        return {"version": "3.0.0", "uptime_seconds": 999.0, "models_info": listed}


def _examined(model: str) -> dict[str, Any]:
    picture = {"kind": "heatmap", "name": "votes.png", "mimetype": "image/png", "data": "iVBORw0KGgo="}
    data = {"prediction": "FAKE", "confidence": 0.9, "processing_time": 0.01, "evidence": {"images": [picture]}}
    return {"success": True, "model_used": model, "data": data}


def _lines(result: dict[str, Any]) -> bytes:
    """The answer as lines, with a word about how far it is before it."""
    progress = {"event": "FRAME_ANALYSIS_PROGRESS", "message": "half", "data": {"progress": 1, "total": 2}}
    return b"".join(json.dumps(line).encode() + b"\n" for line in ({"progress": progress}, {"result": result}))
