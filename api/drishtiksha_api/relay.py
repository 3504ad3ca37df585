"""The relay: brings each connected user her own events, in order, each socket from its own place and at its own pace.
Requests that wait are woken with the sockets.

Redis only wakes it; what is told is read from Postgres, and nothing that arrives on Redis decides who may see an
event. With Redis away it looks by itself every few seconds.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from drishtiksha import bus
from drishtiksha.bus import Bus
from drishtiksha.database.children import Depth
from drishtiksha.database.events import Events, StoredEvent
from drishtiksha.database.media import MediaStore
from drishtiksha.domain.errors import DrishtikshaError
from drishtiksha.domain.events import EventType

from .links import Links
from .shapes.events import Message, progress_update, run_ended
from .shapes.media import full_media
from .ticks import Ticks
from .waiters import Waiters

log = structlog.get_logger()

LOOK_SECONDS = 15.0
"""Between two looks by itself while Redis is there."""
LOOK_SECONDS_ALONE = 2.0
"""The same while Redis is away."""
_BATCH = 500
_AT_ONCE = 8
"""Messages that wait for a socket at most: what a slow client has not taken yet stays in Postgres, not in memory. A
polling client gets what waits in one answer, and python-engineio's refuses one of more than 16 packets."""

Emit = Callable[[str, str, dict[str, Any]], Awaitable[None]]
"""Event name, room or socket, payload."""
Taken = Callable[[str], Awaitable[None]]
"""Returns when a socket has taken everything that waited for it, or is gone."""


@dataclass
class Listener:
    """One socket of a connected user: how far it has got, and the task that serves it."""

    user_id: uuid.UUID
    socket: str
    cursor: int
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Relay:
    """Knows the connected users of this replica."""

    def __init__(
        self,
        events: Events,
        media: MediaStore,
        links: Links,
        emit: Emit,
        taken: Taken,
        ticks: Ticks,
        waiters: Waiters,
    ) -> None:
        self._events = events
        self._media = media
        self._links = links
        self._emit = emit
        self._taken = taken
        self._ticks = ticks
        self._waiters = waiters
        self._listeners: dict[uuid.UUID, dict[str, Listener]] = {}
        self._redis_is_there = False

    async def add(self, user_id: uuid.UUID, socket: str, last_seq: int | None) -> None:
        """Serve a socket from the event after `last_seq` on; None: from now on."""
        newest = (await self._events.last_seq([user_id])).get(user_id, 0)
        start = newest if last_seq is None else min(last_seq, newest)
        if last_seq is not None and 0 < start < newest:
            await self._tell_gap(user_id, socket, start)
        listener = Listener(user_id, socket, start)
        listener.wake.set()
        self._listeners.setdefault(user_id, {})[socket] = listener
        listener.task = asyncio.create_task(self._serve(listener), name=f"relay {user_id}")

    def remove(self, user_id: uuid.UUID, socket: str) -> None:
        """A socket is gone."""
        listeners = self._listeners.get(user_id, {})
        listener = listeners.pop(socket, None)
        if not listeners:
            self._listeners.pop(user_id, None)
        if listener is not None and listener.task is not None:
            listener.task.cancel()

    async def hear(self, channel_bus: Bus, ml_channel: str) -> None:
        """Wake-ups and ephemeral progress from Redis, until cancelled."""
        async for heard in channel_bus.listen(bus.USERS, bus.TICKS, ml_channel):
            self._redis_is_there = True
            if heard is None:  # a new connection: something may have been missed
                self._wake_all()
                continue
            channel, message = heard
            if channel == bus.USERS:
                self._wake(message.get("userId"))
            else:
                await self._tick(message, ours=channel == bus.TICKS)

    async def look(self, channel_bus: Bus) -> None:
        """Look for new events without being woken, until cancelled: often while Redis is away."""
        rested = 0.0
        while True:
            await asyncio.sleep(LOOK_SECONDS_ALONE)
            rested += LOOK_SECONDS_ALONE
            self._redis_is_there = await channel_bus.ping()
            if self._redis_is_there and rested < LOOK_SECONDS:
                continue
            rested, users = 0.0, list({*self._listeners, *self._waiters.users()})
            try:
                newest = await self._events.last_seq(users) if users else {}
            except DrishtikshaError:
                continue
            self._waiters.compare(newest)
            for user_id, seq in newest.items():
                for listener in self._listeners.get(user_id, {}).values():
                    if listener.cursor < seq:
                        listener.wake.set()

    def close(self) -> None:
        """End all tasks."""
        for listener in self._all():
            if listener.task is not None:
                listener.task.cancel()
        self._listeners.clear()

    def _all(self) -> list[Listener]:
        return [listener for sockets in self._listeners.values() for listener in sockets.values()]

    def _wake(self, user_id: object) -> None:
        try:
            woken = uuid.UUID(str(user_id))
        except ValueError:
            return
        self._waiters.wake(woken)
        for listener in self._listeners.get(woken, {}).values():
            listener.wake.set()

    def _wake_all(self) -> None:
        self._waiters.wake_all()
        for listener in self._all():
            listener.wake.set()

    async def _tick(self, message: dict[str, Any], *, ours: bool) -> None:
        if not self._listeners:
            return
        try:
            told = await self._ticks.admit(message, ours=ours, now=time.monotonic())
        except DrishtikshaError:
            return  # ephemeral: lost without harm
        if told is not None and told[0] in self._listeners:
            user_id, payload = told
            await self._emit("progress_update", str(user_id), payload)

    async def _serve(self, listener: Listener) -> None:
        while True:
            await listener.wake.wait()
            listener.wake.clear()
            try:
                while await self._deliver(listener):
                    pass
            except DrishtikshaError as error:
                log.warning("the relay waits", error=str(error))
                await asyncio.sleep(1.0)
                listener.wake.set()
            except Exception:
                log.exception("the relay stumbled; it goes on")
                await asyncio.sleep(1.0)

    async def _deliver(self, listener: Listener) -> bool:
        """Bring one batch to a socket, as fast as it takes it; False when that was all there is."""
        found = await self._events.after(listener.user_id, listener.cursor, _BATCH)
        waiting = 0
        for stored in found:
            for name, payload in await self._messages(listener.user_id, stored):
                if waiting == _AT_ONCE:
                    await self._taken(listener.socket)
                    waiting = 0
                await self._emit(name, listener.socket, payload)
                waiting += 1
            listener.cursor = stored.seq
        if waiting:
            await self._taken(listener.socket)
        return len(found) == _BATCH

    async def _messages(self, user_id: uuid.UUID, stored: StoredEvent) -> list[Message]:
        messages = [progress_update(user_id, stored)]
        if stored.type is EventType.MEDIA_DELETED and stored.media_id is not None:
            self._ticks.forget(stored.media_id)
        if stored.type is EventType.RUN_COMPLETED and stored.media_id is not None:
            view = await self._media.latest(stored.media_id)
            if view is not None and view.media.user_id == user_id:
                shown = full_media(view, self._links, datetime.now(UTC), Depth.LIST)
                messages += run_ended(user_id, stored, shown)
        return messages

    async def _tell_gap(self, user_id: uuid.UUID, socket: str, start: int) -> None:
        """The numbers that are no longer kept, if the client missed any."""
        first = await self._events.after(user_id, start, 1)
        if first and first[0].seq > start + 1:
            await self._emit("events_gap", socket, {"firstSeq": start + 1, "lastSeq": first[0].seq - 1})
