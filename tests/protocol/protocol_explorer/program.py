"""Production coroutines, one call at a time.

A look of the operator is a coroutine that awaits its neighbours. Here every neighbour's method awaits `ask`, which
hands the request to the explorer. What the coroutine asks next depends on nothing but the replies so far, so its
places form a tree: a place is a number, and a tree that is known is walked without running the code again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Hashable
from dataclasses import dataclass, field
from typing import Any

from drishtiksha.domain.errors import DrishtikshaError

Request = tuple[Any, ...]


@dataclass(frozen=True)
class Raised:
    """A reply that is an exception of the core."""

    kind: type[DrishtikshaError]


class _Ask:
    def __init__(self, request: Request) -> None:
        self.request = request

    def __await__(self) -> Generator[Request, Any, Any]:
        return (yield self.request)


async def ask(*request: Any) -> Any:
    """Hand a request to the explorer and wait for the reply."""
    reply = await _Ask(request)
    if isinstance(reply, Raised):
        raise reply.kind("as the world says")
    return reply


async def one_by_one(*aws: Any, return_exceptions: bool = False) -> list[Any]:
    """asyncio.gather, in the order of its arguments."""
    outcomes: list[Any] = []
    try:
        for one in aws:
            try:
                outcomes.append(await one)
            except Exception as error:
                if not return_exceptions:
                    raise
                outcomes.append(error)
    finally:
        for one in aws[len(outcomes) :]:
            one.close()
    return outcomes


@dataclass
class _Place:
    path: tuple[Hashable, ...]
    """What the program was started with, then the replies."""
    request: Request | None
    """What it asks for; None when it has ended."""
    running: Coroutine[Any, Any, Any] | None
    following: dict[Hashable, int] = field(default_factory=dict)


class Program:
    """All that one kind of process can do. `begin` makes the coroutine for a start value."""

    def __init__(self, begin: Callable[[Any], Coroutine[Any, Any, Any]]) -> None:
        self._begin = begin
        self._places: list[_Place] = []
        self._starts: dict[Hashable, int] = {}

    def start(self, what: Hashable) -> int:
        """The place at which the program makes its first request."""
        if what not in self._starts:
            self._starts[what] = self._add((what,), self._begin(what), None)
        return self._starts[what]

    def request(self, place: int) -> Request | None:
        """What is asked for at this place; None at an end."""
        return self._places[place].request

    def reply(self, place: int, answer: Hashable) -> int:
        """The place that follows an answer."""
        here = self._places[place]
        known = here.following.get(answer)
        if known is not None:
            return known
        running, here.running = here.running, None
        if running is None:  # it has gone another way before: run it again from the start
            running = self._begin(here.path[0])
            running.send(None)
            for earlier in here.path[1:]:
                running.send(earlier)
        made = here.following[answer] = self._add((*here.path, answer), running, answer)
        return made

    @property
    def places(self) -> int:
        """How many places were found."""
        return len(self._places)

    def close(self) -> None:
        """Let go of the coroutines that wait for a reply."""
        for place in self._places:
            if place.running is not None:
                place.running.close()

    def _add(self, path: tuple[Hashable, ...], running: Coroutine[Any, Any, Any], answer: Any) -> int:
        request: Request | None
        waiting: Coroutine[Any, Any, Any] | None = running
        try:
            request = running.send(answer)
        except (StopIteration, DrishtikshaError):  # a look that raises is logged and begun anew later
            request, waiting = None, None
        self._places.append(_Place(path, request, waiting))
        return len(self._places) - 1
