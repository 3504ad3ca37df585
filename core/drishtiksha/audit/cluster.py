"""Checks of the rows against the cluster: resources and Jobs, both ways. Pure; `seen` read what is compared here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from ..database.audit_facts import AnalysisFacts, AttemptFacts, MediaFacts, RunFacts
from ..domain.status import TERMINAL_RUN, AttemptState
from ..resources import job_name
from . import catalogue as c
from .catalogue import Violation
from .limits import Limits
from .seen import Cluster, JobSeen, ResourceSeen

_RANK = {"QUEUED": 0, "PROCESSING": 1, "ANALYZED": 2, "PARTIALLY_ANALYZED": 2, "FAILED": 2}
_LET_EXIT = timedelta(minutes=5)
"""A Job whose attempt may write no more is deleted, or given a minute to exit by itself."""


def of_media(media: MediaFacts, seen: Cluster, now: datetime, limits: Limits) -> Iterator[Violation]:
    """All runs of a media against their resources and Jobs."""
    for run in media.runs:
        resource = seen.resources.get(run.id)
        above = {"run": run.id, "media": media.id}
        if resource is None:
            yield from _without_resource(media, run)
        else:
            yield from _resource(media, run, resource, now, limits)
        jobs = seen.jobs.get(str(run.id), [])
        if jobs or any(t.job_ended_at is None for a in run.analyses for t in a.attempts):
            yield from _jobs(media, run, jobs, resource, now, limits)
        for job in jobs:
            if resource is not None and job.owner_uid != resource.uid and not job.deleting:
                text = f"Its owner is {job.owner_uid}, its run's resource is {resource.uid}."
                yield c.JOB_OWNER.broken("job", job.name, text, **above)


def without_run(seen: Cluster, runs: set[UUID], now: datetime, limits: Limits) -> Iterator[Violation]:
    """What the cluster has of runs that the rows do not have."""
    grace = timedelta(seconds=limits.grace)
    for name in seen.others:
        yield c.RESOURCE_RUN.broken("resource", name, "Its name stands for no run.")
    for run_id, resource in seen.resources.items():
        if run_id not in runs and now - resource.created_at > grace:
            yield c.RESOURCE_RUN.broken("resource", resource.name, "There is no such run.", run=run_id)
    known = {str(run) for run in runs}
    for run, jobs in seen.jobs.items():
        if run not in known:
            for job in jobs:
                yield c.JOB_ATTEMPT.broken("job", job.name, f"There is no run {run or '(none is named)'}.")


def _without_resource(media: MediaFacts, run: RunFacts) -> Iterator[Violation]:
    over = run.status in TERMINAL_RUN or run.cancel_requested or media.deleted_at is not None
    if not over and not run.wished and run.rejected_at is None:
        text = f"It is {run.status}, has no resource, and nothing in the outbox creates one."
        yield c.RUN_RESOURCE.broken("run", run.id, text, media=media.id)


def _resource(
    media: MediaFacts, run: RunFacts, resource: ResourceSeen, now: datetime, limits: Limits
) -> Iterator[Violation]:
    above = {"run": run.id, "media": media.id}
    if (resource.run_id, resource.media_id) != (str(run.id), str(media.id)):
        text = f"It names run {resource.run_id} of media {resource.media_id}."
        yield c.RESOURCE_RUN.broken("resource", resource.name, text, **above)
    if media.deleted_at is not None:
        return
    if _RANK.get(resource.phase or "QUEUED", 0) > _RANK[run.status]:
        text = f"It says {resource.phase}, its run is {run.status}."
        yield c.RESOURCE_SAYS.broken("resource", resource.name, text, **above)
    if run.finished_at is None or run.status not in TERMINAL_RUN:
        if not resource.held and not resource.deleting:
            text = f"Its run is {run.status}, and nothing holds it."
            yield c.RESOURCE_FINALIZER.broken("resource", resource.name, text, **above)
        return
    age = (now - run.finished_at).total_seconds()
    if age <= limits.grace:
        return
    if resource.held:
        text = f"Its run ended {age:.0f} s ago ({run.status}), and the finalizer still holds it."
        yield c.RESOURCE_FINALIZER.broken("resource", resource.name, text, **above)
    if age > limits.resource_ttl and not resource.deleting:
        text = f"Its run ended {age / 3600:.1f} hours ago."
        yield c.RESOURCE_TTL.broken("resource", resource.name, text, **above)
    if resource.deleting:
        return
    due = (run.status, run.reason, run.verdict, {a.model: a.status for a in run.analyses})
    said = (resource.phase, resource.reason, resource.verdict, dict(resource.models))
    for what, rows, told in zip(("phase", "reason", "verdict", "models"), due, said, strict=True):
        if rows != told:
            text = f"Its {what}: {told}; the rows say {rows}."
            yield c.RESOURCE_SAYS.broken("resource", resource.name, text, **above)


def _jobs(
    media: MediaFacts,
    run: RunFacts,
    jobs: list[JobSeen],
    resource: ResourceSeen | None,
    now: datetime,
    limits: Limits,
) -> Iterator[Violation]:
    above = {"run": run.id, "media": media.id}
    attempts = {job_name(run.id, a.model, t.number): (a, t) for a in run.analyses for t in a.attempts}
    by_name = {job.name: job for job in jobs}
    by_labels: dict[tuple[str | None, str | None], list[str]] = defaultdict(list)
    for job in jobs:
        by_labels[job.analysis, job.attempt].append(job.name)
        found = attempts.get(job.name)
        if found is None or (str(found[0].id), str(found[1].number)) != (job.analysis, job.attempt):
            text = f"It names analysis {job.analysis}, attempt {job.attempt}: there is no such attempt of this name."
            yield c.JOB_ATTEMPT.broken("job", job.name, text, **above)
    for names in by_labels.values():
        if len(names) > 1:
            text = f"The Jobs {', '.join(sorted(names))} stand for the same attempt."
            yield c.JOB_ONLY.broken("run", run.id, text, media=media.id)
    for name, (analysis, attempt) in attempts.items():
        for check, text in _attempt(media, analysis, attempt, by_name.get(name), resource, now, limits):
            yield check.broken("attempt", attempt.id, f"{analysis.model}, attempt {attempt.number}: {text}", **above)


def _attempt(
    media: MediaFacts,
    analysis: AnalysisFacts,
    attempt: AttemptFacts,
    job: JobSeen | None,
    resource: ResourceSeen | None,
    now: datetime,
    limits: Limits,
) -> Iterator[tuple[c.Check, str]]:
    in_flight = attempt.job_ended_at is None and media.deleted_at is None
    if job is None:
        unborn = attempt.job_uid is None
        late = (now - attempt.created_at).total_seconds() > limits.job_start and resource is not None
        if in_flight and (late or not unborn):
            yield c.JOB_GONE, f"it is in flight ({attempt.state}), and its Job is not there."
        return
    if attempt.job_uid is not None and job.uid != attempt.job_uid:
        yield c.JOB_ONLY, f"Job {job.name} is {job.uid}, not the {attempt.job_uid} that was written down."
    if job.ended_at is not None:
        late_by = (now - job.ended_at).total_seconds()
        if in_flight and late_by > limits.grace:
            yield c.JOB_END, f"Job {job.name} ended {late_by:.0f} s ago, and it is still in flight."
        return
    over = attempt.state in (AttemptState.FENCED, AttemptState.FAILED) and attempt.finished_at is not None
    since = now - attempt.finished_at if over and attempt.finished_at is not None else timedelta()
    if over and since > max(_LET_EXIT, timedelta(seconds=limits.grace)) and not job.deleting:
        yield c.JOB_FENCED, f"it is {attempt.state} since {since.total_seconds():.0f} s, and Job {job.name} goes on."
