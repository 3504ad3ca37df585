"""The audit, told once: look at the cluster and the store, then at one snapshot of the rows; judge; look again at what
may heal. Nothing is written anywhere.

The cluster and the store are read before the rows, so what is on its way may look wrong once; a second look drops it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from ..database.audit_reads import GUARDS, Snapshot, behind, look_at
from ..database.session import Database
from ..kube import Kube
from ..objects import Objects
from . import attempts, cluster, rows, stored, told, wishes
from . import catalogue as c
from .catalogue import Violation
from .limits import Limits
from .seen import Cluster, read_cluster
from .stored import Store

PAUSE = 3.0
"""Seconds between two looks."""


@dataclass(frozen=True)
class Places:
    """Who is asked. None: not asked, and the checks that need it are left out."""

    database: Database
    kube: Kube | None = None
    namespace: str = "drishtiksha"
    objects: Objects | None = None

    @property
    def asked(self) -> tuple[str, ...]:
        """Their names, as the checks name them."""
        there = {"postgres": True, "kubernetes": self.kube is not None, "objects": self.objects is not None}
        return tuple(name for name, asked in there.items() if asked)


@dataclass(frozen=True)
class Report:
    """What an audit found. `looked_at`: how many of what; `looks`: how often."""

    violations: tuple[Violation, ...]
    asked: tuple[str, ...]
    looked_at: dict[str, int]
    looks: int
    deep: bool
    seconds: float

    @property
    def clean(self) -> bool:
        return not self.violations

    @property
    def checks(self) -> tuple[c.Check, ...]:
        """The checks that were made."""
        skipped = () if self.deep else (c.BYTES_SHA256,)
        return tuple(check for check in c.CHECKS if check.asks in self.asked and check not in skipped)


@dataclass
class _Look:
    """One look at everything."""

    found: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    store: Store | None = None


async def verify(places: Places, limits: Limits = Limits(), *, deep: bool = False, patience: float = 45.0) -> Report:
    """Ask every check. `patience`: seconds that what may heal is given, in further looks; 0: the first look counts.

    Returns at once when nothing is suspicious. Raises Unavailable or KubeError when somebody does not answer.
    """
    begun = time.monotonic()
    look = await _look(places, limits)
    counts, looks = look.counts, 1
    sure = [v for v in look.found if not v.check.heals]
    if deep and look.store is not None and places.objects is not None:
        sure += [v async for v in look.store.hashed(places.objects)]

    # What may heal is looked at again, until it has or the patience is over.
    suspects = [v for v in look.found if v.check.heals]
    end = time.monotonic() + patience
    while suspects and time.monotonic() < end:
        await asyncio.sleep(min(PAUSE, max(0.05, end - time.monotonic())))
        again, looks = await _look(places, limits), looks + 1
        before = {v.key for v in suspects}
        suspects = [v for v in again.found if v.check.heals and v.key in before]
        sure += [v for v in again.found if not v.check.heals]
    return Report(_in_order([*sure, *suspects]), places.asked, dict(counts), looks, deep, time.monotonic() - begun)


async def _look(places: Places, limits: Limits) -> _Look:
    look = _Look()
    seen = await read_cluster(places.kube, places.namespace) if places.kube is not None else None
    look.store = await stored.read_store(places.objects) if places.objects is not None else None
    async with look_at(places.database) as snapshot:
        if behind(snapshot.revision):
            text = f"It is at {snapshot.revision}: run drishtiksha-migrate; nothing else was asked."
            look.found.append(c.SCHEMA.broken("database", "schema", text))
            return look
        await _judge(snapshot, seen, limits, look)
    if look.store is not None and places.objects is not None:
        look.counts["objects"] = len(look.store.listing)
        look.found += [v async for v in look.store.missing(places.objects)]
        look.found += look.store.orphans(snapshot.now, limits)
    return look


async def _judge(snapshot: Snapshot, seen: Cluster | None, limits: Limits, look: _Look) -> None:
    """All checks that compare rows with anything but bytes."""
    now, found, counts = snapshot.now, look.found, look.counts
    for name in sorted(GUARDS - snapshot.guards):
        found.append(c.GUARDS.broken("trigger", name, "It is missing or disabled."))
    numbers = await snapshot.numbers()
    counts["users with events"], counts["events"] = len(numbers), sum(user.count for user in numbers)
    found += told.numbers(numbers, now, limits)
    found += told.strays(await snapshot.stray_events())
    outbox = await snapshot.wishes()
    counts["wishes"] = len(outbox)
    found += wishes.of_outbox(outbox, now, limits)
    lost_old = told.pruned(numbers)
    runs: set[UUID] = set()
    places: Counter[UUID] = Counter()
    async for page in snapshot.media():
        for media in page:
            counts["media"] += 1
            counts["runs"] += len(media.runs)
            counts["analyses"] += sum(len(run.analyses) for run in media.runs)
            counts["attempts"] += sum(len(a.attempts) for run in media.runs for a in run.analyses)
            places[media.user_id] += attempts.in_flight(media)
            found += rows.of_media(media, now, limits)
            found += attempts.of_media(media, now, limits)
            found += told.of_media(media, lost_old)
            if look.store is not None:
                found += look.store.of_media(media)
            if seen is not None:
                runs |= {run.id for run in media.runs}
                found += cluster.of_media(media, seen, now, limits)
    found += attempts.places(places, limits)
    if seen is not None:
        counts["resources"], counts["jobs"] = len(seen.resources), seen.job_count
        found += cluster.without_run(seen, runs, now, limits)


def _in_order(found: Iterable[Violation]) -> tuple[Violation, ...]:
    """By check, each thing told once."""
    order = {check.name: number for number, check in enumerate(c.CHECKS)}
    once = {(*v.key, v.text): v for v in found}
    return tuple(sorted(once.values(), key=lambda v: (order[v.check.name], v.kind, v.subject, v.text)))
