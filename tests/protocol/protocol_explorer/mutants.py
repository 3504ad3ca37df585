"""Faults planted on purpose, one each: the explorer must find every one of them.

A mutant replaces names of production's modules (its functions, its stories) or, where the database or the cluster does
a thing by itself, the verb that stands for it here. `of`: the failures of predecessors that it is like, by number.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from drishtiksha import resources
from drishtiksha.database import admission, locks
from drishtiksha.database.admission import Caps
from drishtiksha.database.snapshot import AnalysisSnapshot
from drishtiksha.domain import endings, status
from drishtiksha.domain.endings import Ending
from drishtiksha.domain.errors import ErrorClass
from drishtiksha.domain.status import AnalysisStatus, RunStatus
from drishtiksha_api import dispatcher
from drishtiksha_operator import attempts, decide, jobs, reconcile, reporting
from drishtiksha_operator.decide import Judgement
from drishtiksha_operator.discovery import Choice

from . import cluster, processes, rows, world
from .program import ask
from .state import OPEN_TRY, RUN_OF
from .world import World

Patch = tuple[Any, str, Any]


@dataclass(frozen=True)
class Mutant:
    """One planted fault. `where`: a world in which it can be seen; `catches`: ids of which one must be named."""

    name: str
    where: Callable[[], World]
    patches: tuple[Patch, ...]
    catches: tuple[str, ...]
    like: tuple[int, ...] = ()
    """The failures of docs/reliability.md that it is like."""


@contextlib.contextmanager
def planted(patches: tuple[Patch, ...] | list[Patch]) -> Iterator[None]:
    """These names replaced, and put back afterwards."""
    before = [(owner, name, vars(owner)[name]) for owner, name, _ in patches]
    for owner, name, new in patches:
        setattr(owner, name, new)
    try:
        yield
    finally:
        for owner, name, old in reversed(before):
            setattr(owner, name, old)


def _one(**more: Any) -> Callable[[], World]:
    """A world of one run that is frozen already, whole looks, with these troubles."""
    shape = {
        k: more.pop(k)
        for k in ("models", "media", "users", "budget", "caps", "operators", "dispatchers", "late_runs")
        if k in more
    }
    flags = {k: more.pop(k) for k in ("fine", "frozen", "dispatched") if k in more}
    shape |= {"late": shape.pop("late_runs")} if "late_runs" in shape else {}
    troubles = {k.replace("_", " "): v for k, v in more.items()}
    return lambda: World("mutant", **{"frozen": True, **flags, **shape}, troubles=troubles)


# -- functions of the domain, broken ----------------------------------------------------------------------------------

_ending, _run_status, _run_reason, _tries_again = (
    endings.ending, status.run_status, status.run_reason, endings.tries_again,
)  # fmt: skip
_rank, _judge, _read_job, _may_write = admission.rank, decide.judge, jobs.read_job, locks.LockedAttempt.may_write
_look_move, _choose, _media_analysis = reconcile.Reconciler._move, reconcile.choose, resources.media_analysis
_snapshot_of, _outcomes = processes.snapshot_of, world.outcomes


def _ending_of_started(analyses: Any, **more: Any) -> Ending | None:
    return _ending([a for a in analyses if a[0] is not AnalysisStatus.PENDING], **more)


def _done_or_unstarted(analysis: AnalysisSnapshot) -> bool:
    return analysis.status in status.TERMINAL_ANALYSIS or analysis.status is AnalysisStatus.PENDING


def _ending_at_once(analyses: Any, *, frozen: bool, cancelled: bool, unfrozen: Any) -> Ending:
    found = [s for s, _ in analyses if s in status.TERMINAL_ANALYSIS]
    return Ending(_run_status(True, found), None if found else ErrorClass.MODELS_FAILED)


def _statuses(rule: Callable[[list[AnalysisStatus]], RunStatus | None]) -> Callable[..., RunStatus]:
    def broken(frozen: bool, analyses: Any) -> RunStatus:
        seen = list(analyses)
        said = rule(seen) if frozen else None
        return _run_status(frozen, seen) if said is None else said

    return broken


_C, _F = AnalysisStatus.COMPLETED, AnalysisStatus.FAILED


def _all_final(seen: list[AnalysisStatus]) -> bool:
    return all(s in status.TERMINAL_ANALYSIS for s in seen)


# -- the operator's stories, broken -----------------------------------------------------------------------------------


async def _timer_ends(self: reconcile.Reconciler, run: Any, resource: Any) -> Any:
    if self._age(run) > self.settings.run_age_limit and run.frozen:
        return await self._conclude(run)
    return await _look_move(self, run, resource)


async def _gone_is_cancelled(self: reconcile.Reconciler, run: Any, resource: Any) -> Any:
    if resource is None and not run.create_pending:
        await self.runs.carry_out_cancel(run.id)
        return await self._conclude(run, ErrorClass.CANCELLED)
    return await _look_move(self, run, resource)


async def _unlocked_end(self: Any, run_id: Any, *, unfrozen: Any = None, **_: Any) -> Any:
    end = await ask("read_end", RUN_OF[str(run_id)], unfrozen.value if unfrozen else None)
    if end is None:
        return None
    done = await ask("write_end", RUN_OF[str(run_id)], end)
    return processes.Concluded(RunStatus(done[0]), ErrorClass(done[1]) if done[1] else None, None)


def _counted_before(insert: str) -> Any:
    async def broken(self: Any, run_id: Any, caps: Any, deadlines: Any) -> Any:
        r = RUN_OF[str(run_id)]
        mine = await ask("places", r)
        await ask(insert, r, mine)
        return processes.Admitted({m: processes.ATTEMPT_IDS[r, m, 1] for m in mine}, {}, ())

    return broken


async def _place_back_at_once(self: Any, attempt_id: Any, ended: Any) -> None:
    error = ended.error_class.value if ended.error_class else None
    await ask("attempt_ended", processes.ATTEMPT_OF[attempt_id], error, ended.reason, True)


async def _nothing(self: Any, *_: Any, **__: Any) -> None:
    return None


async def _let_go_first(self: reporting.Reporting, run: Any, resource: Any, *_: Any) -> None:
    if run.terminal:
        await self.let_go(resource)
        resource = await self.analyses.get(run.id) or resource
    await _report(self, run, resource, None, None)


_report = reporting.Reporting.report


async def _post_without_owner(self: jobs.Jobs, path: str, body: Any) -> Any:
    try:
        return await self._kube.create(path, body)
    except jobs.KubeConflict:
        return await self._kube.get(f"{path}/{body['metadata']['name']}")


async def _rows_then_resource(self: resources.MediaAnalyses, run_id: Any) -> Any:
    if "rows" not in vars(self.kube):
        self.kube.rows = await ask("snapshot", RUN_OF[str(run_id)])  # type: ignore[attr-defined]
    return await _get_resource(self, run_id)


async def _rows_from_before(self: Any, run_id: Any) -> Any:
    r = RUN_OF[str(run_id)]
    found, self.kube.rows = getattr(self.kube, "rows", None), None
    found = found or await ask("snapshot", r)
    return None if found is None else processes.snapshot_of(r, *found, self.budget)


_get_resource = resources.MediaAnalyses.get


async def _apply_unseen(self: cluster.Kube, path: str, body: Any, *, manager: str) -> Any:
    run = RUN_OF[body["metadata"]["name"].removeprefix("ma-")]
    reply = await ask("apply_unseen", run, cluster.number_of(body["status"]))
    return self._written(run, reply)


# -- what is seen, broken ---------------------------------------------------------------------------------------------


def _early(types: dict[str, str]) -> Callable[[Any], Any]:
    def broken(job: Any) -> Any:
        seen = _read_job(job)
        held = {c["type"] for c in job["status"]["conditions"]}
        return replace(
            seen,
            complete=seen.complete or (types.get("complete") in held),
            failed=seen.failed or (types.get("failed") in held),
        )

    return broken


def _foreign_is_ours(attempt: Any, job: Any, *args: Any, owner_uid: Any, **more: Any) -> Judgement:
    return _judge(attempt, job, *args, owner_uid=None if job is None else job.owner_uid, **more)


def _silence_is_death(attempt: Any, job: Any, pods: Any, *args: Any, **more: Any) -> Judgement:
    return _judge(attempt, job, [p for p in pods if p.over], *args, **more)


def _unwritten_is_unborn(attempt: Any, job: Any, *args: Any, **more: Any) -> Judgement:
    if job is None and attempt.job_uid is None and not attempt.ended:
        return Judgement(look_in=30.0)
    return _judge(attempt, job, *args, **more)


def _no_deadline(attempt: Any, job: Any, *args: Any, **more: Any) -> Judgement:
    said = _judge(attempt, job, *args, **more)
    return replace(said, end=None, delete=False) if said.end is not None and not said.end.job_ended else said


def _gone_is_waited_for(attempt: Any, job: Any, *args: Any, **more: Any) -> Judgement:
    return Judgement(look_in=30.0) if job is None else _judge(attempt, job, *args, **more)


def _stale_list(w: World, s: Any, request: Any) -> Iterator[Any]:
    yield from _outcomes(w, s, request)
    if request[0] == "list_jobs" and s.jobs:
        yield " (a list from before)", s, (), ()


def _blind(**more: Any) -> Callable[..., Any]:
    return lambda *args: replace(_snapshot_of(*args), **more)


def _away_is_empty(*args: Any) -> Choice:
    found = _choose(*args)
    return Choice() if found.waiting is not None else found


def _no_finalizer(*args: Any) -> Any:
    made = _media_analysis(*args)
    return {**made, "metadata": {**made["metadata"], "finalizers": []}}


def _undeleted(run: int, res: Any) -> Any:
    made = _resource_object(run, res)
    made["metadata"].pop("deletionTimestamp", None)
    return made


_resource_object = cluster.resource_object


def _caps(caps: Caps) -> Caps:
    return Caps(caps.total + 1, caps.per_user + 1, caps.per_model + 1, {m: n + 1 for m, n in caps.of_model.items()})


def _fence(rule: Callable[[locks.LockedAttempt], bool]) -> Patch:
    return (locks.LockedAttempt, "may_write", property(rule))


def _waits_too_long(s: Any, budget: int) -> list[Any]:
    return _waiting(s, budget + 1)


_waiting = rows.waiting
_TIGHT = Caps(1, 1, 1, {})

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "the rows that exist are counted, not the expected set",
        _one(models=2),
        ((endings, "ending", _ending_of_started), (AnalysisSnapshot, "terminal", property(_done_or_unstarted))),
        ("I7",), like=(2,)),
    Mutant(
        "no models is ANALYZED",
        _one(frozen=False, dispatched=True, ml_none=1),
        ((endings, "run_status", _statuses(lambda seen: None if seen else RunStatus.ANALYZED)),),
        ("I7",), like=(3, 33)),
    Mutant(
        "one answer makes the run ANALYZED",
        _one(models=2, permanent=1),
        ((endings, "run_status", _statuses(lambda seen: RunStatus.ANALYZED if _C in seen and _all_final(seen) else None)),),
        ("I7",), like=(2,)),
    Mutant(
        "one failed model fails the run",
        _one(models=2, permanent=1),
        ((endings, "run_status", _statuses(lambda seen: RunStatus.FAILED if _F in seen and _all_final(seen) else None)),),
        ("I7",), like=(37,)),
    Mutant(
        "a run is QUEUED until all have started",
        _one(models=2),
        ((status, "run_status", _statuses(lambda s: RunStatus.QUEUED if AnalysisStatus.PENDING in s else None)),),
        ("I7",),
    ),
    Mutant(
        "a cancelled run has no reason",
        _one(models=2, cancel=1),
        ((endings, "run_reason", lambda said, _cancelled, classes: _run_reason(said, False, classes)),),
        ("I19",),
    ),
    Mutant("a timer ends a run", _one(old=1), (
        (reconcile.Reconciler, "_move", _timer_ends), (endings, "ending", _ending_at_once),
    ), ("I7",), like=(30,)),
    Mutant("a run's age ends what is in flight", _one(old=1), (
        (attempts, "too_old", lambda analysis: not analysis.terminal),
    ), ("I19",), like=(30,)),
    Mutant("fencing is off", _one(cancel=1), (_fence(lambda found: True),), ("I11",), like=(5,)),
    Mutant("a late failure overwrites a result", _one(twin=1, permanent=1), (
        _fence(lambda f: f.media.deleted_at is None and f.run.finished_at is None and f.run.cancel_requested_at is None),
    ), ("I5",), like=(6,)),
    Mutant("a cancelled run's attempts may write", _one(cancel=1), (
        _fence(lambda f: f.analysis.attempt == f.attempt.number and f.attempt.state in OPEN_TRY),
    ), ("I11",)),
    Mutant("a deleted media's attempts may write", _one(remove=1), (
        _fence(lambda f: f.run.finished_at is None and f.analysis.status in ("PENDING", "PROCESSING")),
    ), ("I10", "I11"), like=(11,)),
    Mutant("one attempt more is planned than there is", _one(budget=1, retryable=1), (
        (endings, "tries_again", lambda e, n, budget, *, cancelled: _tries_again(e, n, budget + 1, cancelled=cancelled)),
    ), ("I12",), like=(1,)),
    Mutant("one attempt more is made than the budget", _one(budget=1, retryable=1), (
        (endings, "tries_again", lambda e, n, budget, *, cancelled: _tries_again(e, n, budget + 1, cancelled=cancelled)),
        (rows, "waiting", _waits_too_long),
    ), ("I6",)),
    Mutant("a permanent failure is tried again", _one(late=1), (
        (endings, "tries_again", lambda error, n, budget, *, cancelled: n < budget and not cancelled),
    ), ("I19",), like=(34,)),
    Mutant("another attempt follows a cancellation", _one(cancel=1, pod_crash=1, fine=True), (
        (endings, "tries_again", lambda e, n, budget, *, cancelled: _tries_again(e, n, budget, cancelled=False)),
    ), ("I11",)),
    Mutant("the end is decided before the lock", _one(fine=True, operators=2, budget=1), (
        (processes.Rows, "conclude", _unlocked_end),
    ), ("I9", "I5"), like=(9,)),
    Mutant("attempts are started without any lock", _one(fine=True, operators=2, budget=1), (
        (processes.Rows, "start_attempts", _counted_before("insert_attempts")),
    ), ("I6",)),
    Mutant("places are counted without the advisory lock", _one(
        fine=True, operators=2, budget=1, media=2, users=2, caps=_TIGHT, late_runs=1
    ), ((processes.Rows, "start_attempts", _counted_before("insert_places")),), ("I15",)),
    Mutant("the caps are off by one", _one(media=2, users=2, budget=1, caps=_TIGHT), (
        (admission, "rank", lambda waiting, caps, *counts: _rank(waiting, _caps(caps), *counts)),
    ), ("I15",)),
    Mutant("only this look's places are counted", _one(media=2, users=2, budget=1, caps=_TIGHT), (
        (admission, "rank", lambda waiting, caps, *_counts: _rank(waiting, caps, 0, {}, {})),
    ), ("I15",)),
    Mutant("a place is given back before the Job has ended", _one(late=1), (
        (processes.Rows, "attempt_ended", _place_back_at_once),
    ), ("I15",)),
    Mutant("a stale list is believed", _one(), ((world, "outcomes", _stale_list),), ("I15",)),
    Mutant("SuccessCriteriaMet is taken for the end", _one(), (
        (jobs, "read_job", _early({"complete": "SuccessCriteriaMet"})),
    ), ("I15",)),
    Mutant("FailureTarget is taken for the end", _one(pod_crash=1), (
        (jobs, "read_job", _early({"failed": "FailureTarget"})),
    ), ("I15",)),
    Mutant("silence is taken for death", _one(silent=1), ((attempts, "judge", _silence_is_death),), ("I19",)),
    Mutant("a silent node is waited for for ever", _one(node_lost=1), (
        (attempts, "judge", _no_deadline), (world.people, "backstop", lambda s: s),
    ), ("I12",), like=(12, 1)),
    Mutant("a Job that is gone is waited for", _one(lost_job=1), ((attempts, "judge", _gone_is_waited_for),), ("I12",)),
    Mutant("a Job that was never written down never was", _one(crash=1, lost_job=1), (
        (attempts, "judge", _unwritten_is_unborn),
    ), ("I12",)),
    Mutant("any Job of our name is ours: on creating", _one(frozen=False, crash=2, lost_resource=1), (
        (jobs.Jobs, "_post", _post_without_owner),
    ), ("I6",)),
    Mutant("any Job of our name is ours: on looking", _one(frozen=False, crash=2, lost_resource=1), (
        (attempts, "judge", _foreign_is_ours),
    ), ("I6",)),
    Mutant("a deletion is an event", _one(kubectl=1), ((cluster, "resource_object", _undeleted),), ("I12", "I11"), like=(11,)),
    Mutant("a cancellation is an event", _one(cancel=1), (
        (processes, "snapshot_of", _blind(cancel_requested=False)),
    ), ("I12",)),
    Mutant("a resource is made without its finalizer", _one(frozen=False, kubectl=1), (
        (resources, "media_analysis", _no_finalizer),
    ), ("I12",)),
    Mutant("a lost resource is a cancellation", _one(lost_resource=1), (
        (reconcile.Reconciler, "_move", _gone_is_cancelled),
    ), ("I3",)),
    Mutant("a lost resource stays lost", _one(lost_resource=1), ((processes.Rows, "again", _nothing),), ("I12",), like=(7,)),
    Mutant("a refused resource is waited for", _one(frozen=False, refusal=1), (
        (processes, "snapshot_of", _blind(create_rejected=None)),
    ), ("I12",)),
    Mutant("a service that is away has no models", _one(frozen=False, dispatched=True, ml_away=1), (
        (reconcile, "choose", _away_is_empty),
    ), ("I16",), like=(4, 3)),
    Mutant("the resource is let go before it says the end", _one(crash=1), (
        (reporting.Reporting, "report", _let_go_first),
    ), ("I7",)),
    Mutant("a status is written over a newer one", _one(fine=True, operators=2, budget=1, cancel=1), (
        (cluster.Kube, "apply", _apply_unseen),
    ), ("I7", "I12")),
    Mutant("the rows are read before the resource", _one(
        frozen=False, dispatched=True, fine=True, operators=2, budget=1, old=1
    ), (
        (resources.MediaAnalyses, "get", _rows_then_resource), (processes.Rows, "snapshot", _rows_from_before),
    ), ("I7",)),
    Mutant("the resource is told before the rows are final", _one(budget=1), (
        (processes.Rows, "conclude", _nothing),
    ), ("I12",)),
    Mutant("a tombstone waits for nobody", _one(fine=True, frozen=False, remove=1, dispatchers=2), (
        (dispatcher, "TOMBSTONE_SECONDS", 0.0),
    ), ("I10", "I12", "I3")),
)  # fmt: skip
