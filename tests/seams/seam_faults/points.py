"""One point: a story told with one fault in one call, then everything asked that must hold."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from drishtiksha.audit import report
from drishtiksha.audit.audit import Places, verify
from drishtiksha.audit.limits import Limits
from drishtiksha.objects.local import LocalObjects

from .ground import NAMESPACE, Ground
from .house import House
from .stories import STORIES, Outcome
from .wire import KINDS, Call, Point, Wire

MOST = 3
"""Of one operation in one story so many calls are struck: the first ones. Loops ask on and on."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Told:
    """A story that was told: its calls, and what came of it."""

    calls: tuple[Call, ...]
    outcome: Outcome
    exit_codes: tuple[int, ...]


class Wrong(AssertionError):
    """A point did not end right; the text says what is wrong."""


async def tell(ground: Ground, name: str, point: Point | None = None) -> Told:
    """Tell a story on cleared ground. Raises AssertionError (or TimeoutError: something hangs)."""
    folder = ground.folder / f"house-{next(_numbers)}"
    folder.mkdir()
    await ground.clear()
    wire, story = Wire(point), STORIES[name]
    house = House(ground, wire, folder)
    story.prepare(house)
    async with house:
        outcome = await story.tell(house)
        calls = tuple(wire.calls)
        await wire.arrivals()
        await house.settle()
        if story.rests:
            before = len(wire.calls)
            await house.round()
            writes = [c for c in wire.calls[before:] if c.seam == "kubernetes" and not c.operation.startswith("GET")]
            if writes:
                raise Wrong(f"it writes and writes: {writes}")
        wire.deaf = True
        await audit(ground, house)
        codes = tuple(house.nodes.codes)
    shutil.rmtree(folder)
    if point is not None and not wire.met:
        raise Wrong("the call did not come up")
    return Told(calls, outcome, codes)


async def audit(ground: Ground, house: House) -> None:
    """The witness finds nothing, once orphans have been collected; numbers, doubles and bytes are among its questions."""
    house.api.janitor._grace = timedelta(seconds=-60)  # long ago
    await house.janitor_gate.turn()
    places = Places(ground.database("witness"), ground.admin, NAMESPACE, LocalObjects(house.folder / "objects"))
    found = await verify(places, Limits(grace=0.0, orphan_age=0.0), deep=True, patience=90.0)
    if not found.clean:
        raise Wrong("\n".join(report.lines(found)))


def points(name: str, calls: Iterable[Call]) -> list[Point]:
    """All points of a story: each call with each kind of fault of its seam."""
    return [Point(name, call, kind) for call in sorted(set(calls)) if call.number <= MOST for kind in kinds(call)]


def kinds(call: Call) -> tuple[str, ...]:
    """The kinds that make sense for a call."""
    if call.operation == "get_message":
        return ("before", "error")
    return KINDS[call.seam]


async def strike(ground: Ground, point: Point, expected: Outcome) -> str | None:
    """What is wrong about a point; None when it ends right."""
    try:
        async with asyncio.timeout(240):
            told = await tell(ground, point.story, point)
    except Exception as error:
        return f"{point}\n    {type(error).__name__}: {error}"
    if told.outcome != expected:
        return f"{point}\n    ended as {told.outcome}\n    and not as {expected}"
    return None
