"""A round: take the steps, heal everything, wait until all is settled, and ask for every promise."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from world import World, wait_for

from .ground import Ground
from .hands import Hands
from .judge import complaints, resolve
from .plan import Step
from .stillness import disturbances
from .troubles import SECOND

SETTLES = 150.0
"""Seconds within which everything ends after healing, on a busy machine: three backoffs and the silence of a lost node."""
TOMBSTONES = "180"
"""Seconds by which the clock jumps once all runs have ended, so that the two minutes of a tombstone need not be waited for."""

_OPEN = """
SELECT (SELECT count(*) FROM analysis_runs WHERE finished_at IS NULL), (SELECT count(*) FROM attempts WHERE job_ended_at IS NULL),
  (SELECT count(*) FROM outbox WHERE kind = 'create'), (SELECT count(*) FROM media WHERE deleted_at IS NOT NULL)
"""


@dataclass
class Told:
    """What a round has to tell."""

    steps: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    came_back: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    ended_right: int = 0
    deleted: int = 0
    runs: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    events: int = 0
    converged: float = 0.0


def play(world: World, steps: Sequence[Step], files: dict[str, Path], ground: Ground | None = None) -> Told:
    """One round with people of its own. AssertionError with every broken promise, and the trace before it in the output."""
    hands = Hands(world, files, ground)
    try:
        for number, step in enumerate(steps):
            print(f"{step}" if number else f"# a round of {len(steps)} steps\n{step}", flush=True)
            hands.take(step)
            time.sleep(step.pause)
        return finish(hands)
    finally:
        hands.company.close()
        hands.world[SECOND].kill()
        if ground is not None:
            hands.node_calm()


def finish(hands: Hands) -> Told:
    """Heal, settle, judge."""
    world, company, weather = hands.world, hands.company, hands.weather
    hands.heal()
    began = time.monotonic()
    settle(hands)
    told = Told(hands.steps, weather.counts, hands.came_back, converged=time.monotonic() - began)
    hands.jump(TOMBSTONES)
    settle(hands, erasures=True)
    resolve(company, world)
    broken = complaints(world, company, weather)
    assert not broken, "\n".join(broken)
    world.verify(patience=60.0, deep=True)
    _same_answers(hands, told)
    written = disturbances(world, hands.ground.audit_log if hands.ground else None)
    assert not written, "after everything had settled:\n" + "\n".join(written)
    return told


def settle(hands: Hands, *, erasures: bool = False) -> None:
    """Until nothing is open in the rows and every ear has heard everything; with `erasures` no tombstone either."""

    def open_ends() -> str:
        hands.keep_alive()
        ((runs, attempts, wishes, tombstones),) = hands.world.sql(_OPEN)
        deaf = sum(ear.last < _last(hands, person.id) for person in hands.company.people for ear in person.ears)
        found = {"runs": runs, "attempts": attempts, "wishes": wishes, "deaf ears": deaf}
        if erasures:
            found["tombstones"] = tombstones
        return ", ".join(f"{count} {what}" for what, count in found.items() if count)

    end = time.monotonic() + SETTLES
    while left := open_ends():
        assert time.monotonic() < end, f"after {SETTLES:.0f} s without any trouble there are still {left}"
        time.sleep(0.3)


def _last(hands: Hands, user_id: str) -> int:
    ((last,),) = hands.world.sql("SELECT coalesce(max(seq), 0) FROM events WHERE user_id = %s", user_id or None)
    return int(last)


def _same_answers(hands: Hands, told: Told) -> None:
    """SQL, REST, the resource and the events agree about every living media."""
    world = hands.world
    wiped = [s.ended or 0.0 for s in hands.weather.spells if s.kind == "etcd wiped"]
    there = {item["metadata"]["name"] for item in json.loads(world.kubectl("get", "ma", "-o", "json"))["items"]}
    for promise in hands.company.promises:
        told.accepted += 1
        if promise.deleted == "yes":
            told.deleted += 1
            continue
        rest = wait_for("an answer", lambda p=promise: p.person.media(p.media_id), 10)
        run = rest["latestRunId"]
        resource = f"ma-{run}" in there
        ((ended,),) = world.sql("SELECT extract(epoch FROM finished_at)::float8 FROM analysis_runs WHERE id = %s", run)
        gone = promise.asked or any(at >= ended for at in wiped)
        assert resource or gone, f"the resource of run {run} is gone, and nobody took it away"
        world.same_answer(promise.person, promise.media_id, resource=resource)
        told.ended_right += 1
        told.runs += len(rest["analysisRuns"])
        told.ends.update(f"{r['status']} {r['reason'] or ''}".strip() for r in rest["analysisRuns"])
    told.events = sum(len(ear.heard) for person in hands.company.people for ear in person.ears)
