"""Long polls whose answer was lost: their session ends, and the client comes back with the number of its last event.

Nobody acknowledges an answer to a poll. Browsers and HTTP libraries ask again by themselves when a connection breaks,
python-engineio goes on as if nothing had happened, and what the first answer held would be gone without a word. So a
poll that is asked twice, or whose client leaves, is the end of its session, as it is in the reference implementation.
"""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .lean_socketio import socketio

_MOST = 10_000


class Polls:
    """Around the Socket.IO application."""

    def __init__(self, app: ASGIApp, sio: socketio.AsyncServer) -> None:
        self._app = app
        self._eio = sio.eio
        self._waiting: set[str] = set()
        """Sessions with a poll under way."""
        self._asked: dict[str, str] = {}
        """By session the `t` of its last poll: clients give each request another, so that no cache answers it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = _query(scope)
        session = query.get("sid", "")
        if session not in self._eio.sockets or query.get("transport", "polling") != "polling":
            await self._app(scope, receive, send)
            return
        asked = query.get("t", "")
        if session in self._waiting or (asked and self._asked.get(session) == asked):
            await self._end(session)
            await self._app(scope, receive, send)  # says that it does not know the session
            return
        if len(self._asked) >= _MOST:
            self._asked = {known: t for known, t in self._asked.items() if known in self._eio.sockets}
        self._asked[session] = asked
        self._waiting.add(session)
        try:
            await self._watched(session, scope, receive, send)
        finally:
            self._waiting.discard(session)

    async def _watched(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a poll; end its session when the client leaves before the answer."""
        body = [await receive()]
        while body[-1]["type"] == "http.request" and body[-1].get("more_body", False):
            body.append(await receive())

        async def read() -> Message:
            return body.pop(0) if body else await asyncio.Future()

        async def until_left() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        serving = asyncio.ensure_future(self._app(scope, read, send))
        leaving = asyncio.ensure_future(until_left())
        try:
            await asyncio.wait([serving, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                await self._end(session)
            await serving
        finally:
            leaving.cancel()
            serving.cancel()

    async def _end(self, session: str) -> None:
        """Without a word to the client, and without waiting until it takes one."""
        ended = self._eio.sockets.pop(session, None)
        if ended is not None:
            await ended.close(wait=False, abort=True, reason=self._eio.reason.TRANSPORT_ERROR)
            await ended.queue.put(None)  # whoever waits for packets need not wait any more


def _query(scope: Scope) -> dict[str, str]:
    """The query of a GET under /socket.io/; empty for everything else."""
    if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/socket.io"):
        return {}
    return {name: values[0] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
