"""The wire: each external call is announced here, counted, and, if it is the chosen one, goes wrong.

The wrappers beside this module ask `meet` before they call; what a kind of fault means for a client, they know.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

KINDS: dict[str, tuple[str, ...]] = {
    "postgres": ("before", "lost", "error", "slow", "repeated", "away", "unanswered"),
    "kubernetes": ("before", "lost", "error", "slow", "repeated", "away", "unanswered", "denied"),
    "objects": ("before", "lost", "error", "slow", "repeated"),
    "redis": ("before", "lost", "error", "slow", "repeated"),
    "ml": ("before", "lost", "error", "slow", "repeated", "cut", "busy"),
    "door": ("before", "lost", "error", "slow", "repeated", "cut", "busy", "refused"),
    "child": ("before", "lost", "error", "slow", "repeated"),
}
"""The kinds of fault by seam. The first five are those of every seam:

before      the call did not happen
lost        it happened, and its answer was lost
error       the other side refused: an error of its own
slow        the caller's clock ran out; the call arrives late, after whatever the caller did next
repeated    it happened twice
away        it did not happen, nor did any repetition within the client
unanswered  it happened, its answer was lost, and no repetition within the client got through
cut         half of the answer came
busy        503 with Retry-After
refused     4xx, as often as this caller asks
denied      403: we have no right to it, for the moment
"""

LATE = 0.15
"""Seconds after which a slow call arrives: the caller has given it up and gone on."""


@dataclass(frozen=True, order=True)
class Call:
    """The `number`-th call of an operation in a story, from 1."""

    seam: str
    operation: str
    number: int


@dataclass(frozen=True, order=True)
class Point:
    """One call of one story, and how it goes wrong."""

    story: str
    call: Call
    kind: str

    def __str__(self) -> str:
        return f"{self.story}: {self.call.seam} {self.call.operation} #{self.call.number}, {self.kind}"


@dataclass
class Fault:
    """The chosen call while it is under way. `tries`: how often its client has tried."""

    kind: str
    tries: int = 0

    def next_try(self) -> int:
        self.tries += 1
        return self.tries


@dataclass
class Wire:
    """All calls of one telling of a story. `point` None: nothing goes wrong."""

    point: Point | None = None
    calls: list[Call] = field(default_factory=list)
    met: bool = False
    """Whether the chosen call came up."""
    late: set[asyncio.Task[Any]] = field(default_factory=set)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _refusing: set[str] = field(default_factory=set)
    deaf: bool = False
    """While true nothing is recorded: the test itself calls."""

    def meet(self, seam: str, operation: str, caller: str = "") -> str | None:
        """A call is about to be made; the kind of fault that strikes it, None for none."""
        if self.deaf:
            return None
        self._counts[seam, operation] += 1
        call = Call(seam, operation, self._counts[seam, operation])
        self.calls.append(call)
        if self.point is None:
            return None
        again = f"{seam} {operation} {caller}"
        if again in self._refusing:
            return self.point.kind
        if self.met or call != self.point.call:
            return None
        self.met = True
        if self.point.kind == "refused":
            self._refusing.add(again)
        return self.point.kind

    def later(self, call: Coroutine[Any, Any, Any]) -> None:
        """Let a call arrive late; whatever becomes of it, nobody waits for its answer."""

        async def arrive() -> None:
            await asyncio.sleep(LATE)
            await call

        task = asyncio.create_task(arrive())
        self.late.add(task)

    async def arrivals(self) -> None:
        """Until all late calls have arrived. Hanging is a failure."""
        async with asyncio.timeout(30):
            await asyncio.gather(*self.late, return_exceptions=True)


wire: ContextVar[Wire] = ContextVar("wire", default=Wire(deaf=True))  # noqa: B039 - deaf: it is never written
"""The wire of the telling under way; tasks inherit it."""


async def twice(first: Awaitable[Any], second: Awaitable[Any]) -> Any:
    """A call that happens twice: the caller hears the second answer, whatever the first was."""
    try:
        await first
    except Exception:
        pass
    return await second
