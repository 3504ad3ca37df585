"""Plays in a storm: the operator's story, its sweep and the api's dispatcher on the double, real PostgreSQL, faults by seed.

The storm passes, what was under way arrives, the platform settles; then it must have ended as in good weather, the witness
must have nothing to say, and one more look must write nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes_double import KubernetesDouble, Schedule
from kubernetes_double.calls import Call
from operator_stage import NAMESPACE, Stage, model, stage_over
from plays import Play, due_now
from sqlalchemy import event
from stores import Stores

from drishtiksha.audit import report
from drishtiksha.audit.audit import Places, verify
from drishtiksha.audit.limits import Limits
from drishtiksha.domain.errors import DrishtikshaError
from drishtiksha.kube import Kube
from drishtiksha.kubeconfig import from_file
from drishtiksha.objects.local import LocalObjects
from drishtiksha.resources import MediaAnalyses
from drishtiksha.settings import Operator
from drishtiksha_api import dispatcher as dispatching
from drishtiksha_api.dispatcher import Dispatcher
from drishtiksha_operator.health import Health
from drishtiksha_operator.sweep import Sweep

STORMY = 12
"""Rounds of a storm; what is not over by then ends in good weather."""
PATIENCE = 80
"""Rounds within which everything must have ended after it."""
TIMEOUT = 0.4
"""Seconds that the platform's calls to Kubernetes may take."""


@dataclass
class Ended:
    """How a storm ended. `wrong`: sentences, none if all is as it should be. `in_storm`: nobody waited for it to clear."""

    ends: dict[str, Any] = field(default_factory=dict)
    injected: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    in_storm: bool = False
    wrong: list[str] = field(default_factory=list)


@dataclass
class Theatre:
    """One double and one database, for many plays one after the other."""

    stage: Stage
    double: KubernetesDouble
    dispatcher: Dispatcher
    sweep: Sweep
    added: set[str]

    async def play(self, weather: Schedule, seed: int = 0) -> Ended:
        """One play. Raises nothing: what is wrong is told."""
        ended, chance = Ended(), random.Random(seed)
        play = Play(self.stage.stores, self.double)
        self.double.weather, self.double.largest_page = weather, chance.choice((None, 1, 2, 5))
        self.double.controllers.pause = chance.choice((0.0, 0.0, 0.01))
        before = len(self.double.heard)
        dispatching.TOMBSTONE_SECONDS = 3600.0
        await play.begin()
        for _ in range(STORMY):
            await self._round(play, chance)
            if await play.settled(erased=False):
                break
        weather.heal()
        await self.double.quiet()
        dispatching.TOMBSTONE_SECONDS = 0.0
        for _ in range(PATIENCE):
            await self._round(play, chance)
            if await play.settled():
                break
        else:
            ended.wrong.append(f"it did not settle: {await play.runs()}")
        await self._round(play, chance)
        ended.wrong += await self._unrest(play)
        ended.wrong += await witness(self.stage.stores, self.stage.admin)
        ended.ends, ended.injected = await play.ends(), weather.injected
        heard = [call for call in self.double.heard[before:] if call.user != "admin"]
        ended.calls = len(heard)
        ended.wrong += content_with_old(heard)
        return ended

    async def _round(self, play: Play, chance: random.Random) -> None:
        """The dispatcher works, the sweep comes by, every run that it names is looked at, and everybody does their part."""
        self.stage.clock[0] += 10
        await due_now(self.stage.stores)
        await asyncio.gather(self._told(self.dispatcher.once()), self._swept())
        keys = sorted(self.added)
        self.added.clear()
        chance.shuffle(keys)
        await asyncio.gather(*(self._told(self.stage.story.look(key)) for key in keys))
        await play.step()
        await asyncio.sleep(0)

    async def _swept(self) -> None:
        await self._told(self.sweep.rows())
        await self._told(self.sweep.both_sides())

    async def _told(self, work: Any) -> None:
        """As the queue and the loops do it: what fails is tried again."""
        with contextlib.suppress(DrishtikshaError):
            await work

    async def _unrest(self, play: Play) -> list[str]:
        """I13: one more look at everything writes nothing anywhere."""
        written: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if not statement.lstrip().upper().startswith(("SELECT", "SET", "SHOW")):
                written.append(f"a settled run was written again: {statement[:100]}")

        engine = self.stage.stores.database.engine.sync_engine
        self.stage.kube.forget()
        event.listen(engine, "before_cursor_execute", note)
        try:
            for new in play.media.values():
                await self.stage.look(new)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        return written + [
            f"a settled run was written again: {method} {path}" for method, path in self.stage.kube.writes
        ]


async def witness(stores: Stores, admin: Kube) -> list[str]:
    """What the witness has to say."""
    found = await verify(Places(stores.database, admin, NAMESPACE), Limits(grace=0.0), patience=6.0)
    return [] if found.clean else report.lines(found)


def content_with_old(heard: list[Call]) -> list[str]:
    """A decision may rest on the newest state only: no read of ours may be content with an old version."""
    asked = [c for c in heard if c.verb in ("get", "list") and "resourceVersion" in c.query]
    return [f"{c.verb} {c.kind.plural} was content with version {c.query['resourceVersion']}" for c in asked]


@contextlib.asynccontextmanager
async def theatre(stores: Stores, folder: Path) -> AsyncIterator[Theatre]:
    """A double with everything that works on it."""
    async with KubernetesDouble(folder / "double") as double:
        async with (
            stage_over(stores, double, timeout=TIMEOUT, DRISHTIKSHA_ATTEMPTS=2) as stage,
            Kube(from_file(double.kubeconfig("drishtiksha-api")), timeout=TIMEOUT) as api,
        ):
            stage.models[:] = [model("A"), model("B")]
            objects = LocalObjects(folder / "objects")
            dispatcher = Dispatcher(stores.outbox, stores.media, MediaAnalyses(api, NAMESPACE), objects)
            added: set[str] = set()
            settings = Operator.model_validate({"DRISHTIKSHA_ATTEMPTS": 2})
            story = stage.story
            sweep = Sweep(
                stores.database, stores.runs, stage.analyses, settings, story.figures, Health(story.figures), added.add
            )
            story.starting.wake = added.add
            yield Theatre(stage, double, dispatcher, sweep, added)
