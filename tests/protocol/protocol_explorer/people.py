"""Users, pods, troubles and time: what happens to a world from outside the processes of ours that are explored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from drishtiksha.domain.errors import EXIT_CODES, ErrorClass, Fenced

from . import cluster, rows
from .state import (
    DUE,
    HIDDEN,
    LATER,
    NOW,
    OPEN_RUN,
    Job,
    Pod,
    State,
    alive,
    at,
    position,
    with_exam,
    with_media,
    with_run,
)

if TYPE_CHECKING:
    from .world import Step, World

FENCED = EXIT_CODES[ErrorClass.CANCELLED]


def _pod(s: State, index: int, which: int, **more: Any) -> State:
    job = s.jobs[index]
    return s._replace(jobs=at(s.jobs, index, job._replace(pods=at(job.pods, which, job.pods[which]._replace(**more)))))


def _call(s: State, index: int, which: int, verb: Any, code: int | None, *args: Any) -> tuple[State, Any]:
    """A pod's call to the door, and what the pod does after it: it ends with `code`, or with 77 when it is fenced."""
    job = s.jobs[index]
    try:
        after, _, events = verb(s, job.run, job.model, job.number, *args)
    except Fenced:
        return _pod(s, index, which, code=FENCED), ()
    if code is None:
        return _pod(after, index, which, begun=True), events
    return _pod(after, index, which, code=code), events


def pods(world: World, s: State) -> Iterator[Step]:
    """Every pod that runs may call, hand in, fail, crash, or have a twin."""
    for index, job in enumerate(s.jobs):
        for which, pod in enumerate(job.pods):
            if pod.code is not None or (which and pod == job.pods[0]):  # twins in one place are alike
                continue
            name = f"pod {job.run}/{job.model}/{job.number}"
            if pod.lost:
                if world.can(s, "thaw"):
                    yield f"{name} is back", world.spend(_pod(s, index, which, lost=False), "thaw"), ()
                continue
            if not pod.begun:
                yield (f"{name} begins", *_call(s, index, which, rows.begin, None))
            else:
                yield (f"{name} hands in", *_call(s, index, which, rows.store, 0))
                if world.can(s, "lost reply"):
                    yield (f"{name} hands in, the reply is lost", *_lost_reply(world, s, index, which))
                for trouble, error in (("retryable", ErrorClass.ML_UNAVAILABLE), ("permanent", ErrorClass.BAD_MEDIA)):
                    if world.can(s, trouble):
                        spent = world.spend(s, trouble)
                        yield (
                            f"{name} reports {error}",
                            *_call(spent, index, which, rows.failed, EXIT_CODES[error], error.value),
                        )
            if world.can(s, "pod crash"):
                yield f"{name} crashes", world.spend(_pod(s, index, which, code=137), "pod crash"), ()
            if world.can(s, "node lost"):
                yield f"the node of {name} is lost", world.spend(_pod(s, index, which, lost=True), "node lost"), ()
            if world.can(s, "silent exit"):
                yield f"{name} exits 0 without a word", world.spend(_pod(s, index, which, code=0), "silent exit"), ()
        if world.can(s, "twin") and len(job.pods) == 1 and not job.ended:
            twins = job._replace(pods=(*job.pods, Pod()))
            yield f"a twin of pod {job.run}/{job.model}/{job.number}", world.spend(_job(s, index, twins), "twin"), ()


def _lost_reply(world: World, s: State, index: int, which: int) -> tuple[State, Any]:
    job = s.jobs[index]
    spent = world.spend(s, "lost reply")
    try:
        after, _, events = rows.store(spent, job.run, job.model, job.number)
    except Fenced:
        return spent, ()
    return after, events


def _job(s: State, index: int, job: Job) -> State:
    return s._replace(jobs=at(s.jobs, index, job))


def honest_pod(s: State) -> tuple[State, Any] | None:
    """The next call of a healthy pod."""
    for index, job in enumerate(s.jobs):
        for which, pod in enumerate(job.pods):
            if pod.code is None and not pod.lost:
                if pod.begun:
                    return _call(s, index, which, rows.store, 0)
                return _call(s, index, which, rows.begin, None)
    return None


def users(world: World, s: State) -> Iterator[Step]:
    """Cancel, delete and rerun by REST; delete by kubectl."""
    for m, media in enumerate(s.media):
        for trouble, verb in (("cancel", rows.request_cancel), ("remove", rows.remove), ("rerun", rows.rerun)):
            if world.can(s, trouble):
                after, done, events = verb(s, m)
                if done:
                    yield f"user: {trouble} media {m}", world.spend(after, trouble), events
        if world.can(s, "kubectl") and not media.gone:
            res = s.res[media.latest]
            if res is not None and not res.deleting:
                after, _, _ = cluster.delete_resource(s, media.latest)
                run = after.runs[media.latest]
                if run.status in OPEN_RUN:
                    after = with_run(after, media.latest, run._replace(asked=True))
                yield f"kubectl delete of run {media.latest}", world.spend(after, "kubectl"), ()


def troubles(world: World, s: State) -> Iterator[Step]:
    """Lost objects, a service that goes and comes, time-outs, Jobs past their TTL."""
    for r, res in enumerate(s.res):
        if res is not None and world.can(s, "lost resource"):
            yield (
                f"the resource of run {r} is lost",
                world.spend(s._replace(res=at(s.res, r, None)), "lost resource"),
                (),
            )
    for index, job in enumerate(s.jobs):
        rest = s._replace(jobs=(*s.jobs[:index], *s.jobs[index + 1 :]))
        name = f"{job.run}/{job.model}/{job.number}"
        if world.can(s, "lost job"):
            yield f"Job {name} is lost", world.spend(rest, "lost job"), ()
        if job.ended and world.can(s, "ttl"):
            yield f"Job {name} is past its TTL", world.spend(rest, "ttl"), ()
    for told in ("away", "none", "all:1"):
        if world.can(s, f"ml {told}") and s.ml != told:
            yield f"the ML service: {told}", world.spend(s._replace(ml=told), f"ml {told}"), ()
    for r, run in enumerate(s.runs):
        if run.status in OPEN_RUN and not run.old and world.can(s, "old"):
            yield f"run {r} is past its age limit", world.spend(with_run(s, r, run._replace(old=True)), "old"), ()
        for index, exam in enumerate(run.exams):
            for number, one in enumerate(exam.tries):
                what = f"{r}/{exam.model}/{number + 1}"
                if one.held and not one.late and one.state in ("CREATED", "STARTED", "FAILED") and world.can(s, "late"):
                    late = exam._replace(tries=at(exam.tries, number, one._replace(late=True)))
                    yield f"the clock of attempt {what} runs out", world.spend(with_exam(s, r, index, late), "late"), ()
                if one.held and not one.silent and one.state == "STARTED" and world.can(s, "silent"):
                    mute = exam._replace(tries=at(exam.tries, number, one._replace(silent=True)))
                    yield f"attempt {what} falls silent", world.spend(with_exam(s, r, index, mute), "silent"), ()


def clocks(s: State) -> Iterator[tuple[str, State]]:
    """Times that come in any world: a wish comes up again, a retry is due, a tombstone grows old."""
    for m, media in enumerate(s.media):
        # Whatever was under way when the tombstone was set has ended by the time that it is old.
        if media.deleted and not media.aged and not any((*s.ops, *s.disps)):
            yield f"the tombstone of media {m} grows old", with_media(s, m, media._replace(aged=True))
    for r, run in enumerate(s.runs):
        for index, exam in enumerate(run.exams):
            if exam.retry == LATER:
                yield f"the retry of {r}/{exam.model} is due", with_exam(s, r, index, exam._replace(retry=NOW))
        if run.wish == HIDDEN and alive(s, r):
            yield f"the wish for run {r} comes up again", with_run(s, r, run._replace(wish=DUE))
    for m, media in enumerate(s.media):
        if media.erase == HIDDEN:
            yield f"the erasure of media {m} comes up again", with_media(s, m, media._replace(erase=DUE))


def all_clocks(s: State, ml: str) -> State:
    """Long after: whoever has not moved by now has run out of time, and the ML service is back."""
    s = s._replace(ml=ml)
    for job in s.jobs:
        if not alive(s, job.run) or job.ended:
            continue
        run = s.runs[job.run]
        index = position(run, job.model)
        exam = run.exams[index]
        one = exam.tries[job.number - 1]
        if one.held and one.state in ("CREATED", "STARTED", "FAILED"):
            late = one._replace(silent=one.silent or one.state == "STARTED", late=one.late or one.state != "STARTED")
            s = with_exam(s, job.run, index, exam._replace(tries=at(exam.tries, job.number - 1, late)))
    return s


def backstop(s: State) -> State:
    """Longer still after: a Job that nobody ended is ended by its own deadline."""
    jobs = tuple(j if j.ended else j._replace(cond="failed", pods=tuple(_ended(p) for p in j.pods)) for j in s.jobs)
    return s._replace(jobs=jobs)


def _ended(pod: Pod) -> Pod:
    return pod if pod.code is not None else pod._replace(code=143)
