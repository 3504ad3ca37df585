"""The sweep: what every lost event costs is the time until this comes by. Rows every half minute, both sides every
ten minutes, metadata only. It adds keys to the queue; only finished resources past their time are deleted here.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from drishtiksha.bus import RUNS, Bus
from drishtiksha.database.runs import Runs
from drishtiksha.database.session import Database
from drishtiksha.domain.errors import DrishtikshaError
from drishtiksha.domain.status import TERMINAL_RUN, RunStatus
from drishtiksha.kube import KubeGone
from drishtiksha.resources import FINALIZER, MediaAnalyses, run_of
from drishtiksha.settings import Operator

from .health import Figures, Health

log = structlog.get_logger()

DELETES = 8
"""Finished resources that are deleted at a time."""


class HistoryLost(Exception):
    """The cluster's history has begun anew (etcd was wiped, or restored from an older backup).

    A watch goes on from the version it heard last, and the new history will not reach that for a long time: until then
    the ear is deaf and is told nothing. The process ends, and the next one lists everything.
    """


@dataclass(frozen=True)
class Verdict:
    """What to do about one resource: look at its run, or delete it, or nothing."""

    look: bool = False
    delete: bool = False


def judge(
    metadata: dict[str, Any], state: tuple[RunStatus, datetime | None, bool] | None, now: datetime, ttl: float
) -> Verdict:
    """One resource against its run's row (status, end, media deleted); None: there is no such run. Pure."""
    held = FINALIZER in (metadata.get("finalizers") or [])
    if state is None:
        return Verdict(look=True)
    status, finished, deleted = state
    if deleted or status not in TERMINAL_RUN:
        return Verdict(look=held or not deleted)
    if held:
        return Verdict(look=True)
    old = finished is not None and now - finished > timedelta(seconds=ttl)
    return Verdict(delete=old and "deletionTimestamp" not in metadata)


@dataclass
class Sweep:
    """`add` puts a run into the queue."""

    database: Database
    runs: Runs
    analyses: MediaAnalyses
    settings: Operator
    figures: Figures
    health: Health
    add: Callable[[str], None]
    _newest: int = field(default=0, init=False)
    """The cluster's newest version that was seen."""

    async def work(self) -> None:
        """For ever: rows every `sweep` seconds, both sides every `reconcile_all` seconds. Survives every neighbour.

        Raises HistoryLost.
        """
        loop = asyncio.get_running_loop()
        both_due = loop.time()
        while True:
            try:
                await self.rows()
                if loop.time() >= both_due:
                    await self.both_sides()
                    both_due = loop.time() + self.settings.reconcile_all
            except DrishtikshaError as error:
                log.warning("the sweep could not be finished; it comes again", error=str(error))
            except HistoryLost:
                raise
            except Exception:
                log.exception("the sweep failed; it comes again")
            await asyncio.sleep(self.settings.sweep)

    async def rows(self) -> None:
        """Every run that is not final, and every run with a Job that was not seen to end; and a sign of life.

        Raises HistoryLost.
        """
        for run_id in dict.fromkeys([*await self.runs.live(), *await self.runs.with_open_jobs()]):
            self.add(str(run_id))
        before = self._newest
        newest = await self.analyses.ping()
        if newest < before:
            raise HistoryLost(f"The cluster is at version {newest} and was at {before}.")
        self._newest = max(newest, self._newest)  # another look may have been faster
        self.figures.looked()

    async def both_sides(self) -> None:
        """Every resource against its row, in pages of metadata."""
        try:
            async for page in self.analyses.pages():
                await self._page(page)
        except KubeGone:
            log.info("a page expired while all resources were compared; the next sweep begins anew")

    async def _page(self, page: list[dict[str, Any]]) -> None:
        named: dict[uuid.UUID, dict[str, Any]] = {}
        for item in page:
            if run := run_of(item["metadata"]["name"]):
                named[uuid.UUID(run)] = item["metadata"]
        if not named:
            return
        states = await self.runs.states(list(named))
        now = await self.database.now()
        old: list[tuple[uuid.UUID, str]] = []
        for run_id, metadata in named.items():
            verdict = judge(metadata, states.get(run_id), now, self.settings.resource_ttl)
            if verdict.look:
                self.add(str(run_id))
            if verdict.delete:
                old.append((run_id, metadata["uid"]))
        for start in range(0, len(old), DELETES):
            batch = old[start : start + DELETES]
            await asyncio.gather(*(self.analyses.delete(run_id, uid=uid) for run_id, uid in batch))
        if old:
            log.info("finished resources were deleted", count=len(old))


async def listen(bus: Bus, sweep: Sweep) -> None:
    """The other ear: wake-ups over Redis. After each connection the rows are swept, for something may have been missed."""
    async for heard in bus.listen(RUNS):
        if heard is None:
            try:
                await sweep.rows()
            except DrishtikshaError as error:
                log.warning("the rows could not be swept after a connection to redis", error=str(error))
            continue
        run = heard[1].get("runId")
        if isinstance(run, str) and len(run) == 36:
            sweep.add(run)
