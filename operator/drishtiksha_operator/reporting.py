"""How a run is shown in the cluster: its resource's status, its last Event, and the finalizer that goes at the end.

A chapter of `reconcile`; `status` says what is to be shown. Only what differs is written, and rarely: details of a
run that goes on may be some seconds late here, its phase and its end are not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drishtiksha.database.snapshot import RunSnapshot
from drishtiksha.domain.status import RunStatus
from drishtiksha.kube import KubeConflict, KubeNotFound, Object
from drishtiksha.resources import MediaAnalyses, run_of, status_object

from . import manifests
from .jobs import Jobs
from .status import final_message, final_reason, status_of

STATUS_EVERY = 2.0
"""Seconds between two writes of one run's status, at least; doubled per write while the phase stays, up to the next."""
STATUS_SLOWEST = 32.0
AGAIN = 0.2
"""Seconds after which to look again when the resource changed while we looked."""
REMEMBERED = 20_000
"""Runs whose last status write is remembered."""


@dataclass(frozen=True)
class Written:
    """A write of a status: when (monotonic seconds), the phase it told, how many before told the same, its version."""

    at: float
    phase: str
    same: int
    resource_version: str

    def due(self, phase: str) -> float:
        """When the next write may be made: soon for another phase, later and later while only details change."""
        pause = STATUS_EVERY if phase != self.phase else min(STATUS_SLOWEST, STATUS_EVERY * 2 ** (self.same + 1))
        return self.at + pause


@dataclass
class Reporting:
    """`clock` is monotonic seconds."""

    analyses: MediaAnalyses
    jobs: Jobs
    clock: Callable[[], float]
    _written: OrderedDict[str, Written] = field(default_factory=OrderedDict)
    """By run: our last write of its status."""

    async def report(
        self, run: RunSnapshot, resource: Object, waiting: str | None, ahead: Mapping[str, int] | None
    ) -> float | None:
        """Show the rows in the resource, only where it differs; tell the end once; then let it go.

        Returns the seconds after which to look again: the write is not due yet, or the resource changed meanwhile.
        """
        before: dict[str, Any] = resource.get("status") or {}
        told = status_of(run, waiting=waiting, ahead=ahead)
        generation = resource["metadata"].get("generation", 1)
        wanted = status_object(told, generation=generation, previous=before, now=run.now)
        key = str(run.id)
        try:
            if wanted != before:
                last = self._written.get(key)
                wait = last.due(run.status) - self.clock() if last is not None else 0.0
                if wait > 0 and not run.terminal:
                    return wait
                if run.terminal and not _is_complete(before):
                    await self._tell_end(run, resource)
                resource = await self.analyses.apply_status(resource, wanted)
                self._remember(key, run.status, resource["metadata"]["resourceVersion"])
            if run.terminal:
                return await self.let_go(resource)
        except KubeConflict:
            return AGAIN
        except KubeNotFound:
            return None
        return None

    async def let_go(self, resource: Object | None) -> float | None:
        """Take the finalizer off: nothing of this run is held any more.

        Returns the seconds after which to look again when the resource changed meanwhile: another operator was faster.
        """
        try:
            if resource is not None and await self.analyses.release(resource):
                self._written.pop(run_of(resource["metadata"]["name"]) or "", None)
        except KubeConflict:
            return AGAIN
        return None

    def is_our_own_echo(self, key: str, resource_version: str) -> bool:
        """Whether an event only tells us what we have just written ourselves."""
        last = self._written.get(key)
        return last is not None and last.resource_version == resource_version

    async def _tell_end(self, run: RunSnapshot, resource: Object) -> None:
        good = run.status is not RunStatus.FAILED
        event = manifests.final_event(resource, final_reason(run), final_message(run), good=good, now=run.now)
        await self.jobs.create_event(event)

    def _remember(self, key: str, phase: str, resource_version: str) -> None:
        last = self._written.get(key)
        same = last.same + 1 if last is not None and last.phase == phase else 0
        self._written[key] = Written(self.clock(), phase, same, resource_version)
        self._written.move_to_end(key)
        while len(self._written) > REMEMBERED:
            self._written.popitem(last=False)


def _is_complete(status: Mapping[str, Any]) -> bool:
    return any(c.get("type") == "Complete" and c.get("status") == "True" for c in status.get("conditions") or [])
