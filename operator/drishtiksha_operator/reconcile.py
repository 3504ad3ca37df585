"""The story of a run, told once: look, decide, take the steps that are due, report. Any event may start it, any
number of times; only the rows and a fresh look at the cluster count, so a lost or repeated event changes nothing.

`handlers` and `sweep` start it through `queue`; `discovery`, `starting`, `attempts` and `reporting` are its chapters.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from drishtiksha.bus import Bus
from drishtiksha.database.events import Announcement
from drishtiksha.database.outbox import Outbox
from drishtiksha.database.runs import Concluded, FrozenModel, Runs
from drishtiksha.database.snapshot import RunSnapshot
from drishtiksha.domain.analysis import Thresholds
from drishtiksha.domain.errors import ErrorClass
from drishtiksha.kube import Object
from drishtiksha.resources import MediaAnalyses, resource_name
from drishtiksha.settings import Operator

from .attempts import Attempts
from .config import Config
from .discovery import Discovery, choose
from .health import Figures
from .reporting import AGAIN, Reporting
from .starting import Starting

log = structlog.get_logger()

UNDISCOVERED_LOOKS = 20.0
"""Looks per second at all runs that wait for an ML service together."""


@dataclass
class Reconciler:
    """Everything the story needs. `clock` is monotonic seconds."""

    runs: Runs
    outbox: Outbox
    bus: Bus
    analyses: MediaAnalyses
    discovery: Discovery
    attempts: Attempts
    starting: Starting
    reporting: Reporting
    config: Config
    settings: Operator
    figures: Figures
    clock: Callable[[], float]
    _nothing_since: dict[uuid.UUID, float] = field(default_factory=dict)
    """By run: the first look that found no compatible model."""
    _undiscovered: set[uuid.UUID] = field(default_factory=set)
    """Runs that wait for an ML service."""

    async def look(self, key: str) -> float | None:
        """Look after one run. Returns the seconds after which to look again at the latest, or None."""
        try:
            run_id = uuid.UUID(key)
        except ValueError:
            return None
        # The resource before the rows: then its version is older than what is told of them, and a slower operator
        # that wakes up with old rows cannot write them over a newer status.
        resource = await self.analyses.get(run_id)
        run = await self.runs.snapshot(run_id)
        self.figures.looked()

        self._forget(run_id, run)

        # A resource without a run is reported and let go when somebody deletes it. It is never executed.
        if run is None:
            return await self._without_run(key, resource)

        # A deleted media's Jobs are ended, so that others get their places, and its resource is let go; the dispatcher
        # erases the rest.
        if run.deleted:
            wait = await self.reporting.let_go(resource)
            return _sooner(wait, (await self.attempts.observe(run, resource)).look_in)

        # What is seen of the Jobs comes first: an attempt that has ended may have been the last.
        seen = await self.attempts.observe(run, resource)
        await self._tell(*seen.announcements)
        if seen.changed:
            run = await self._again(run)

        wait, waiting, ahead = seen.look_in, None, None
        if not run.terminal:
            step = await self._move(run, resource)
            run, wait, waiting, ahead = step.run, _sooner(wait, step.look_in), step.waiting, step.ahead
            self._forget(run_id, run)
        if resource is not None:
            wait = _sooner(wait, await self.reporting.report(run, resource, waiting, ahead))
        return wait

    async def _without_run(self, key: str, resource: Object | None) -> float | None:
        if resource is not None and "deletionTimestamp" not in resource["metadata"]:
            self.figures.strangers.add(resource_name(key))
            log.warning("a MediaAnalysis has no run; it is not executed", resource=resource_name(key))
            return None
        wait = await self.reporting.let_go(resource)
        self.figures.strangers.discard(resource_name(key))
        return wait

    # -- moving a run on ----------------------------------------------------------------------------------------------

    async def _move(self, run: RunSnapshot, resource: Object | None) -> _Step:
        """Take the steps that are due for a run that is not final."""
        # The cluster refuses the resource: nothing can run.
        if run.create_rejected is not None and resource is None:
            return await self._end(
                run, ErrorClass.CLUSTER_REJECTED, f"The cluster refuses the resource: {run.create_rejected}"
            )

        # Cancelling is a level: a wish in the rows, or a deletion of the resource of a run that is not final.
        if run.cancel_requested or (resource is not None and "deletionTimestamp" in resource["metadata"]):
            await self._tell(await self.runs.carry_out_cancel(run.id))
            step = await self._conclude(run, ErrorClass.CANCELLED, "The run was cancelled.")
            seen = await self.attempts.observe(step.run, resource)
            await self._tell(*seen.announcements)
            return _Step(step.run, look_in=_sooner(step.look_in, seen.look_in))

        # A resource that is simply gone was lost, not cancelled: it is wished for again.
        if resource is None:
            if run.create_pending:
                return _Step(run, look_in=30.0)
            if await self.analyses.get(run.id) is not None:  # it was made between our look and our reading of the rows
                return _Step(run, look_in=AGAIN)
            log.warning("a run's resource is lost; it is made again", run=str(run.id))
            await self.outbox.again(run.id)
            return _Step(run, look_in=30.0)

        # If the set of models is not frozen yet, ask which are loaded.
        if not run.frozen:
            return await self._freeze(run, resource)

        # All models have ended: the run is concluded.
        if all(a.terminal for a in run.analyses):
            return await self._conclude(run)

        # A run that has grown too old waits for nothing more.
        if self._age(run) > self.settings.run_age_limit:
            text = "The run is too old: it waited longer than its age limit for a place or another attempt."
            changed = await self.attempts.give_up_waiting(run, text)
            if changed:
                await self._tell(*changed)
                return await self._conclude(await self._again(run))

        # Whatever has a place gets its attempt, its Secret and its Job.
        begun = await self.starting.start(run, resource)
        await self._tell(*begun.announcements)
        after = await self._again(run) if begun.changed else begun.run
        if begun.changed and all(a.terminal for a in after.analyses):
            return await self._conclude(after)
        return _Step(after, look_in=begun.look_in, ahead=begun.ahead)

    async def _freeze(self, run: RunSnapshot, resource: Object) -> _Step:
        """Fix the expected set, or say why it cannot be fixed yet, or that it never will."""
        age = self._age(run)
        look = await self.discovery.look()
        choice = choose(self.config, look, run.media_type, run.has_audio, run.requested_models)
        for warning in choice.warnings:
            log.warning(warning, run=str(run.id))
        if choice.offers:
            models = [
                FrozenModel(o.name, o.version, o.source, o.execution, self._budget(o.name)) for o in choice.offers
            ]
            await self._tell(await self.runs.freeze(run.id, models))
            return await self._move(await self._again(run), resource)

        if choice.waiting is not None:
            self._nothing_since.pop(run.id, None)
            limit = self.settings.run_age_limit if choice.nobody else self.settings.discovery_deadline
            if age > limit:
                # A deadline fires only after a fresh look that was no good.
                fresh = await self.discovery.look(after=self.clock())
                again = choose(self.config, fresh, run.media_type, run.has_audio, run.requested_models)
                if again.waiting is not None:
                    return await self._end(
                        run, ErrorClass.NO_DISCOVERY, f"The models could not be discovered. {again.waiting}"
                    )
                return _Step(run, look_in=AGAIN)
            self._undiscovered.add(run.id)
            soon = max(5.0 if age < 120 else 20.0, len(self._undiscovered) / UNDISCOVERED_LOOKS)
            return _Step(run, waiting=choice.waiting, look_in=min(soon, max(1.0, limit - age)))

        # No compatible model is believed after two looks some time apart.
        first = self._nothing_since.setdefault(run.id, look.at)
        if look.at - first >= self.settings.second_look:
            what = f"media of type {run.media_type}" + (
                "" if run.requested_models is None else " among those asked for"
            )
            return await self._end(run, ErrorClass.NO_COMPATIBLE_MODEL, f"No loaded model takes {what}.")
        text = "No loaded model takes this media; there is one more look before the run fails."
        return _Step(run, waiting=text, look_in=max(1.0, first + self.settings.second_look - self.clock() + 0.5))

    async def _end(self, run: RunSnapshot, error: ErrorClass, message: str) -> _Step:
        """End a run from outside: its unfinished analyses fail with `error`, then it is concluded."""
        for analysis in run.analyses:
            if not analysis.terminal:
                await self._tell(await self.runs.fail_analysis(analysis.id, error, message))
        return await self._conclude(run, error, message)

    async def _conclude(
        self, run: RunSnapshot, unfrozen: ErrorClass | None = None, message: str | None = None
    ) -> _Step:
        """Let the rows say how the run ended; every terminal status comes from here."""
        done: Concluded | None = await self.runs.conclude(
            run.id,
            unfrozen=unfrozen,
            message=message,
            thresholds=Thresholds(self.settings.fake_from, self.settings.real_to),
            weights=self.config.weights(a.model for a in run.analyses),
        )
        if done is not None:
            await self._tell(done.announcement)
            self.figures.concluded(done.status, done.reason)
            log.info("run concluded", run=str(run.id), status=done.status, reason=done.reason)
        after = await self._again(run)
        return _Step(after, look_in=None if after.terminal else 5.0)

    # -- small words --------------------------------------------------------------------------------------------------

    def _forget(self, run_id: uuid.UUID, run: RunSnapshot | None) -> None:
        """Drop what was remembered about a run's waiting, once it waits no more."""
        if run is None or run.frozen or run.deleted:
            self._nothing_since.pop(run_id, None)
            self._undiscovered.discard(run_id)
        if run is None or run.terminal or run.deleted:
            self.starting.forget(run_id)

    async def _again(self, run: RunSnapshot) -> RunSnapshot:
        """The rows as they are now; as they were, if they have gone in between."""
        return await self.runs.snapshot(run.id) or run

    async def _tell(self, *announcements: Announcement | None) -> None:
        """After the commit: the relays may read new events."""
        last = {a.user_id: a.seq for a in announcements if a is not None}
        await asyncio.gather(*(self.bus.wake_user(user, seq) for user, seq in last.items()))

    def _age(self, run: RunSnapshot) -> float:
        return float((run.now - run.created_at) / timedelta(seconds=1))

    def _budget(self, model: str) -> int:
        return self.config.models.profile(model).attempts or self.settings.attempts


@dataclass(frozen=True)
class _Step:
    """Where a run stands after its steps: the rows now, and when and why it waits."""

    run: RunSnapshot
    look_in: float | None = None
    waiting: str | None = None
    ahead: dict[str, int] | None = None


def _sooner(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else min(a, b)
