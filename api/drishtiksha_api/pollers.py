"""Bodies of polling Socket.IO clients, read before engineio sees them: it has no clock for a body, and no end to one.

Stands between the server and Socket.IO; everything else passes.
"""

from __future__ import annotations

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .bodies import read_limited
from .envelope import refusal
from .problems import Problem
from .sockets import MAX_MESSAGE, PATH


class Pollers:
    """Wraps the application that has Socket.IO in it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not f"{scope['path']}/".startswith(PATH):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            body = await read_limited(request.stream(), MAX_MESSAGE)
        except ClientDisconnect:
            return
        except Problem as refused:
            await refusal(request, refused)(scope, receive, send)
            return
        await self._app(scope, _first(body, receive), send)


def _first(body: bytes, rest: Receive) -> Receive:
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await rest()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
