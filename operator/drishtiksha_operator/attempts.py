"""The attempts of one run as they end: looks at their Jobs, asks `decide`, and writes what it says into the rows.

A chapter of `reconcile`. An attempt holds its place until its Job has ended; when one is given back, whoever waits
for a place is woken.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from drishtiksha.database.events import Announcement
from drishtiksha.database.runs import Ended, Runs
from drishtiksha.database.snapshot import AnalysisSnapshot, AttemptSnapshot, RunSnapshot
from drishtiksha.domain.errors import ErrorClass
from drishtiksha.domain.status import AttemptState
from drishtiksha.kube import Object
from drishtiksha.resources import job_name
from drishtiksha.settings import Operator

from .config import Config
from .decide import LOOK_AT_PODS, Clocks, End, judge, needs_pods, retry_delay, too_old
from .health import Figures
from .jobs import Jobs
from .seen import Diagnosis, JobSeen, PodSeen, newest

log = structlog.get_logger()


@dataclass(frozen=True)
class Observed:
    """What looking at a run's Jobs led to. `changed`: rows were written; `look_in` seconds."""

    changed: bool = False
    look_in: float | None = None
    announcements: tuple[Announcement | None, ...] = ()


@dataclass
class Attempts:
    """`freed` is called when a place was given back."""

    runs: Runs
    jobs: Jobs
    config: Config
    settings: Operator
    figures: Figures
    freed: Callable[[], None]

    async def observe(self, run: RunSnapshot, resource: Object | None) -> Observed:
        """Judge every attempt whose Job has not been seen to end, after a fresh look; one LIST, two when pods matter."""
        flying = [(a, t) for a in run.analyses for t in a.attempts if t.job_ended_at is None]
        if not flying:
            return Observed()
        jobs = await self.jobs.of_run(run.id)
        pods: dict[str, list[PodSeen]] = {}
        if any(needs_pods(t, jobs.get(_job(run, a, t)), self._clocks(a), run.now) for a, t in flying):
            pods = await self.jobs.pods_of_run(run.id)
        changed, look_in = False, None
        said: list[Announcement | None] = []
        doomed: list[str] = []
        owner = resource["metadata"]["uid"] if resource is not None else None
        for analysis, attempt in flying:
            name = _job(run, analysis, attempt)
            job, its_pods = jobs.get(name), pods.get(name, [])
            refused = await self._refused(attempt, job, its_pods, run)
            said_now = judge(attempt, job, its_pods, self._clocks(analysis), run.now, owner_uid=owner, refused=refused)
            if said_now.note_uid is not None:
                await self.runs.note_jobs({attempt.id: (name, said_now.note_uid)})
                changed = True
            pod = newest(its_pods)
            node = pod.node if pod is not None else None
            if node and attempt.node is None and said_now.end is None:
                await self.runs.note_node(attempt.id, node)
                changed = True
            if said_now.end is not None:
                said.append(await self._ended(analysis, attempt, said_now.end, node))
                changed = True
            elif attempt.state is AttemptState.CREATED and not _noted(analysis, said_now.waits):
                why = said_now.waits
                await self.runs.note_pending(analysis.id, why.reason if why else None, why.message if why else None)
                changed = True
            if said_now.delete:
                doomed.append(name)
            if said_now.look_in is not None:
                look_in = said_now.look_in if look_in is None else min(look_in, said_now.look_in)
        if doomed:
            await self.jobs.delete(doomed)
            look_in = 2.0
        return Observed(changed, look_in, tuple(said))

    async def give_up_waiting(self, run: RunSnapshot, message: str) -> list[Announcement | None]:
        """Fail what waits for a place or for another attempt; what is in flight goes on under its own clocks."""
        return [
            await self.runs.fail_analysis(a.id, ErrorClass.UNSCHEDULABLE, message) for a in run.analyses if too_old(a)
        ]

    async def _ended(
        self, analysis: AnalysisSnapshot, attempt: AttemptSnapshot, end: End, node: str | None
    ) -> Announcement | None:
        if end.error_class is not None and not attempt.ended:
            log.info("attempt failed", model=analysis.model, number=attempt.number, reason=end.reason, told=end.message)
        ended = Ended(
            error_class=end.error_class,
            reason=end.reason,
            message=end.message,
            node=node,
            job_ended=end.job_ended,
            cause=end.cause,
            retry_in=retry_delay(attempt.number, random.uniform(0.8, 1.2)),
        )
        announcement = await self.runs.attempt_ended(attempt.id, ended)
        if end.job_ended:
            self.figures.ended(end.error_class)
            self.freed()
        return announcement

    async def _refused(
        self, attempt: AttemptSnapshot, job: JobSeen | None, pods: Sequence[PodSeen], run: RunSnapshot
    ) -> Diagnosis | None:
        """Only a Job that should have a pod by now and has none is worth the question."""
        late = (run.now - attempt.created_at).total_seconds() >= LOOK_AT_PODS
        if job is None or job.ended or pods or not late or attempt.state is not AttemptState.CREATED:
            return None
        return await self.jobs.why_no_pod(job)

    def _clocks(self, analysis: AnalysisSnapshot) -> Clocks:
        profile = self.config.models.profile(analysis.model)
        pending = profile.pending_deadline or self.settings.pending_deadline
        return Clocks(pending, min(self.settings.hopeless_deadline, pending), self.settings.silence)


def _job(run: RunSnapshot, analysis: AnalysisSnapshot, attempt: AttemptSnapshot) -> str:
    return job_name(run.id, analysis.model, attempt.number)


def _noted(analysis: AnalysisSnapshot, waits: Diagnosis | None) -> bool:
    """Whether the rows say already why the analysis waits."""
    told = (waits.reason, waits.message) if waits is not None else (None, None)
    return (analysis.pending_reason, analysis.pending_message) == told
