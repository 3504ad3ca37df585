"""How the double misbehaves: faults as values, decided by a seed and the number of a call alone.

A `Fault` names which calls it may strike (verb, resource) and when: the `nth` of them, or each with a `chance`. Two runs
with the same calls in the same order meet the same faults. `server` carries out what befalls a request, `watching` what
befalls the events of a watch.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

BEFORE = ("throttle", "refuse", "cut", "late")
"""429 with Retry-After; 503; the connection is cut; cut, and carried out some time after the client has given up."""
AFTER = ("lose", "cut-after", "torn", "slow")
"""Carried out, then: 500; the connection is cut; half an answer; an answer after `seconds`."""
READING = ("stale", "expire")
"""An older snapshot, only where the client takes one (resourceVersion=0); a page or version that is no longer kept (410)."""
EVENT = ("drop", "repeat", "again", "delay", "reorder")
"""An event of a watch is lost; told twice; followed by an older one of its object; late by `seconds`; told after the next."""
STREAM = ("end", "sever", "gone", "deaf")
"""A watch ends; its connection is cut; it says 410; it stays open and says nothing more until the weather clears."""
KINDS = (*BEFORE, *AFTER, *READING, *EVENT, *STREAM)

READS = ("get", "list")
_ONLY = {
    "stale": READS,
    "expire": ("list",),
    "late": ("create", "patch", "delete"),
    "slow": (*READS, "create", "patch", "delete"),
}
"""Verbs that a kind of fault makes sense for; all but watch otherwise."""
_REQUEST = ("get", "list", "create", "patch", "delete")


@dataclass(frozen=True)
class Fault:
    """One way to misbehave. `verb` and `resource`: "*" is any. `nth` counts the matching calls from 1."""

    kind: str
    verb: str = "*"
    resource: str = "*"
    nth: int | None = None
    chance: float = 0.0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault {self.kind}")

    def may_strike(self, verb: str, resource: str) -> bool:
        if self.kind not in (*EVENT, *STREAM) and verb not in _ONLY.get(self.kind, (*_REQUEST, "watch")):
            return False
        return self.verb in ("*", verb) and self.resource in ("*", resource)


@dataclass
class Schedule:
    """The faults of one run, and what was injected. An empty one is good weather."""

    faults: Sequence[Fault] = ()
    seed: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    cleared: bool = False
    _counts: Counter[tuple[int, str, str]] = field(default_factory=Counter)

    def at_request(self, verb: str, resource: str) -> Fault | None:
        """What befalls this call; the first fault that strikes counts."""
        return self._strike(verb, resource, (*BEFORE, *AFTER, *READING))

    def at_event(self, resource: str) -> Fault | None:
        """What befalls this event of a watch."""
        return self._strike("watch", resource, (*EVENT, *STREAM))

    def heal(self) -> None:
        """Nothing is injected any more."""
        self.cleared = True

    def _strike(self, verb: str, resource: str, kinds: Sequence[str]) -> Fault | None:
        if self.cleared:
            return None
        struck: Fault | None = None
        for index, fault in enumerate(self.faults):
            if fault.kind not in kinds or not fault.may_strike(verb, resource):
                continue
            self._counts[index, verb, resource] += 1  # every matching call counts, whichever fault strikes it
            count = self._counts[index, verb, resource]
            chance = random.Random(f"{self.seed}/{index}/{verb}/{resource}/{count}").random()
            if struck is None and (count == fault.nth or (fault.nth is None and chance < fault.chance)):
                self.injected[fault.kind] += 1
                struck = fault
        return struck


def weather(seed: int, *, kinds: Sequence[str] = KINDS, slow: float = 0.4) -> Schedule:
    """The faults of a seed: some of the kinds, each often or rarely, on everything or on one resource. `slow` in seconds."""
    chance = random.Random(f"weather/{seed}")
    chosen = [kind for kind in kinds if chance.random() < 0.45] or [chance.choice(kinds)]
    faults = []
    for kind in chosen:
        resource = chance.choice(("*", "*", "mediaanalyses", "jobs", "pods", "secrets", "events"))
        often = chance.choice((0.05, 0.15, 0.3))
        seconds = {"slow": slow * 1.5, "late": slow * chance.uniform(0.1, 2), "delay": slow}.get(kind, 0.0)
        faults.append(
            Fault(kind, resource=resource if kind not in (*EVENT, *STREAM) else "*", chance=often, seconds=seconds)
        )
    return Schedule(faults, seed)
