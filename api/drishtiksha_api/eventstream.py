"""The stored events of one media as Server-Sent Events (HTML Living Standard §9.2): what was missed, then what comes.

Postgres says what is told, as for the sockets. A reader who is slow is waited for, until `connection.py` hangs up.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from drishtiksha.database.events import Events
from drishtiksha.database.users import Users
from drishtiksha.domain.errors import DrishtikshaError
from drishtiksha.domain.events import EventType

from .shapes.events import Message, progress_update
from .waiters import Waiter, Waiters, unless_left

log = structlog.get_logger()

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Nobody on the way may keep it, or hold it back."""
KEEP_ALIVE_SECONDS = 15.0
"""Between two comments, so that nobody on the way takes the silence for an end."""
TOKEN_SECONDS = 3.0
"""Between two looks at the token: a dead one's stream is closed within five seconds."""
_RECONNECT = b"retry: 2000\n\n"
"""Milliseconds after which a client that lost us comes again; the first bytes, so that it knows that it is heard."""
_COMMENT = b": still here\n\n"
_BATCH = 200
_DATABASE_AWAY = 1.0
"""Seconds until the next look, when Postgres did not answer."""


@dataclass(frozen=True)
class Told:
    """Whose events: of this media, with a number above `after`, for the holder of this token."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    media_id: uuid.UUID
    after: int


class EventStream(Response):
    """Lasts until the client leaves, its token dies, the media is deleted, or the process stops."""

    def __init__(self, told: Told, events: Events, users: Users, waiters: Waiters) -> None:
        super().__init__(headers=HEADERS, media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self._told = told
        self._events = events
        self._users = users
        self._waiters = waiters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem RATE_LIMITED before a byte is sent."""
        with self._waiters.place(self._told.user_id) as waiter:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                await unless_left(receive, self._tell(waiter, send))
            except ClientDisconnect:
                return
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, waiter: Waiter, send: Send) -> None:
        async for block in self._blocks(waiter):
            await send({"type": "http.response.body", "body": block, "more_body": True})

    async def _blocks(self, waiter: Waiter) -> AsyncIterator[bytes]:
        loop, told, cursor = asyncio.get_running_loop(), self._told, self._told.after
        yield _RECONNECT
        token_due, silent_until = loop.time() + TOKEN_SECONDS, loop.time() + KEEP_ALIVE_SECONDS
        while not waiter.over:
            try:
                if loop.time() >= token_due:
                    if await self._users.holder(told.session_id) is None:
                        yield block(("auth_expired", {"code": "TOKEN_INVALID"}))
                        return
                    token_due = loop.time() + TOKEN_SECONDS
                found = await self._events.of_media(told.user_id, told.media_id, cursor, _BATCH)
            except DrishtikshaError as error:
                log.warning("an event stream waits", error=str(error))
                await asyncio.sleep(_DATABASE_AWAY)
                continue
            for stored in found:
                yield block(progress_update(told.user_id, stored), stored.seq)
                if stored.type is EventType.MEDIA_DELETED:
                    return
                cursor, silent_until = stored.seq, loop.time() + KEEP_ALIVE_SECONDS
            if loop.time() >= silent_until:
                yield _COMMENT
                silent_until = loop.time() + KEEP_ALIVE_SECONDS
            if len(found) < _BATCH:
                await waiter.woken(max(0.0, min(token_due, silent_until) - loop.time()))


def block(message: Message, seq: int | None = None) -> bytes:
    """One message with its name and, where it has one, its number."""
    name, payload = message
    data = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    number = "" if seq is None else f"id: {seq}\n"
    return f"{number}event: {name}\ndata: {data}\n\n".encode()


def wanted(accept: str) -> bool:
    """Whether an Accept header names event streams; `*/*` does not."""
    return any(kind.split(";")[0].strip().lower() == MEDIA_TYPE for kind in accept.split(","))
