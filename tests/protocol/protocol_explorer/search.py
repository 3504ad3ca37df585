"""Breadth first through all states of a world: the first fault found has the shortest trace.

After each new state the honest world is run until nothing happens any more; what is known to settle is not run again.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from . import invariants, rows
from .invariants import Fault
from .state import State
from .world import World, honest, steps

LONGEST = 400
"""Honest steps after which a world counts as one that never settles."""


@dataclass
class Found:
    """What an exploration came to. `trace`: the sentences of the steps to the fault, in order."""

    world: str
    states: int
    transitions: int
    depth: int
    ends: int
    """Different states in which nothing happens any more."""
    places: int
    """Places in the production coroutines that were reached."""
    seconds: float
    complete: bool
    """Whether every state was seen."""
    fault: Fault | None = None
    trace: list[str] = field(default_factory=list)


def explore(world: World, *, limit: int = 10**9, settle: bool = True) -> Found:
    """All states, or the first fault. `limit`: states after which to stop."""
    rows.BUDGET[0] = world.budget
    began = time.process_time()
    first = world.first()
    seen: dict[State, tuple[State | None, str]] = {first: (None, "")}
    depth = {first: 0}
    queue = deque([first])
    known: dict[State, State] = {}
    transitions, deepest = 0, 0
    fault: Fault | None = invariants.of_state(world, first)
    last, extra = first, ""
    while queue and fault is None and len(seen) < limit:
        here = queue.popleft()
        deepest = depth[here]
        if settle and (fault := settles(world, here, known)) is not None:
            last, extra = here, "and then nothing goes wrong any more"
            break
        for label, after, events in steps(world, here):
            transitions += 1
            fault = invariants.of_step(world, here, after, events)
            if fault is None and after in seen:
                continue
            fault = fault or invariants.of_state(world, after)
            if fault is not None:
                last, extra = here, label
                break
            seen[after] = (here, label)
            depth[after] = deepest + 1
            queue.append(after)
    trace = _trace(seen, last) + ([extra] if extra else []) if fault else []
    ends = len(set(known.values()))
    places = world.operator.places + world.dispatcher.places
    world.operator.close()
    world.dispatcher.close()
    spent = time.process_time() - began
    return Found(
        world.name, len(seen), transitions, deepest, ends, places, round(spent, 2), not queue and not fault, fault, trace
    )  # fmt: skip


def settles(world: World, start: State, known: dict[State, State]) -> Fault | None:
    """Run the honest world from here to its end, and look at the end."""
    path: list[State] = []
    here = start
    while here not in known:
        path.append(here)
        if len(path) > LONGEST:
            return "I12", "the world never settles"
        following = honest(world, here)
        if following is None:
            known[here] = here
            break
        after, events = following
        fault = invariants.of_step(world, here, after, events) or invariants.of_state(world, after)
        if fault is not None:
            return fault
        here = after
    end = known[here]
    for one in path:
        known[one] = end
    return invariants.settled(world, start, end)


def _trace(seen: dict[State, tuple[State | None, str]], state: State) -> list[str]:
    told: list[str] = []
    here: State | None = state
    while here is not None:
        here, label = seen[here]
        if label:
            told.append(label)
    return told[::-1]
