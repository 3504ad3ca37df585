"""Requests that stay until there is something new about their user: long polls and event streams.

The relay wakes them: it hears Redis, and looks by itself while Redis is away. A wake says only that it is worth to look;
whoever waits holds no connection to the database meanwhile.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from .problems import Problem

T = TypeVar("T")

MAX_WAITERS = 20
"""Requests of one user that wait on one replica."""
_COME_AGAIN = 5
"""Seconds after which a request that found no place may be made again."""


class Waiter:
    """One request that waits."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.over = False
        """The process is about to stop: say what there is, and go."""

    async def woken(self, seconds: float) -> None:
        """Until there may be something new since the last return, or so many seconds have passed, or it is over."""
        if not self.over:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()
        self._news.clear()

    def wake(self) -> None:
        """There may be something new."""
        self._news.set()

    def dismiss(self) -> None:
        """Nobody waits any more."""
        self.over = True
        self._news.set()


class Waiters:
    """The waiting requests of this replica, by user."""

    def __init__(self) -> None:
        self._waiting: dict[uuid.UUID, set[Waiter]] = {}
        self._newest: dict[uuid.UUID, int] = {}
        """By user the number of the last event, as it was last looked up."""
        self._closed = False

    @contextmanager
    def place(self, user_id: uuid.UUID) -> Iterator[Waiter]:
        """A place for the time of the block. Raises Problem RATE_LIMITED when the user has no more of them."""
        waiting = self._waiting.setdefault(user_id, set())
        if len(waiting) >= MAX_WAITERS:
            message = f"{MAX_WAITERS} requests of yours are waiting already; end one, or come again."
            raise Problem("RATE_LIMITED", message, headers={"Retry-After": str(_COME_AGAIN)})
        waiter = Waiter()
        waiter.over = self._closed
        waiting.add(waiter)
        try:
            yield waiter
        finally:
            waiting.discard(waiter)
            if not waiting:
                self._waiting.pop(user_id, None)
                self._newest.pop(user_id, None)

    def users(self) -> list[uuid.UUID]:
        """Who waits."""
        return list(self._waiting)

    def wake(self, user_id: uuid.UUID) -> None:
        """Something about this user was announced."""
        for waiter in self._waiting.get(user_id, ()):
            waiter.wake()

    def wake_all(self) -> None:
        """Announcements may have been lost."""
        for user_id in self._waiting:
            self.wake(user_id)

    def compare(self, newest: Mapping[uuid.UUID, int]) -> None:
        """Wake those about whom there is more than at the last look, by the number of their last event."""
        for user_id, seq in newest.items():
            if user_id in self._waiting and self._newest.get(user_id) != seq:
                self._newest[user_id] = seq
                self.wake(user_id)

    def close(self) -> None:
        """The process is about to stop: all are answered at once, and nobody waits from now on."""
        self._closed = True
        for waiting in self._waiting.values():
            for waiter in waiting:
                waiter.dismiss()


async def unless_left(receive: Receive, story: Coroutine[None, None, T]) -> T:
    """What `story` returns. Raises ClientDisconnect, and ends the story, as soon as the client leaves."""
    serving, leaving = asyncio.ensure_future(story), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait([serving, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            raise ClientDisconnect
        return await serving
    finally:
        serving.cancel()
        leaving.cancel()
        await asyncio.gather(serving, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
