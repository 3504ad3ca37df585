"""The database's verbs over a `State`: each one atomic step, as its transaction is under its locks.

Where production decides by a function, that function is asked (the fence, what follows a failed attempt, how a run
ends, its status, whose turn it is); what SQL does by itself is done here, verb by verb. A test holds this module to
the real stores on PostgreSQL. A verb returns the new state, its reply and the events it wrote.
"""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from drishtiksha.database import admission, locks, runs
from drishtiksha.database.admission import Caps, Waiting
from drishtiksha.domain import endings, status
from drishtiksha.domain.errors import RETRYABLE, ErrorClass, Fenced, NotFound
from drishtiksha.domain.status import AnalysisStatus

from .state import (
    ANALYSIS_IDS,
    DUE,
    LATER,
    NO_WISH,
    NOT_YET,
    NOW,
    OPEN_EXAM,
    OPEN_RUN,
    OPEN_TRY,
    RUN_IDS,
    USER_IDS,
    Exam,
    Run,
    State,
    Try,
    alive,
    at,
    position,
    with_exam,
    with_media,
    with_run,
)

Event = tuple[str, int, str | None]
"""Type, run, model."""
Done = tuple[State, Any, tuple[Event, ...]]

BUDGET = [2]
"""Attempts per analysis in the world that is being explored."""


def _locked(s: State, r: int, model: str, number: int) -> locks.LockedAttempt:
    """What the verbs of attempts find under their locks, as the fence reads it."""
    run = s.runs[r]
    if not alive(s, r):
        raise NotFound("the rows are gone")
    exam = run.exams[position(run, model)]
    one = exam.tries[number - 1]
    return locks.LockedAttempt(
        media=SimpleNamespace(deleted_at=True if s.media[run.media].deleted else None),  # type: ignore[arg-type]
        run=SimpleNamespace(  # type: ignore[arg-type]
            finished_at=None if run.status in OPEN_RUN else True, cancel_requested_at=True if run.cancel else None
        ),
        analysis=SimpleNamespace(  # type: ignore[arg-type]
            attempt=len(exam.tries), status=exam.status, retry_at=None if exam.retry == NOT_YET else True
        ),
        attempt=SimpleNamespace(number=number, state=one.state),  # type: ignore[arg-type]
    )


def _put(s: State, r: int, model: str, number: int, **more: Any) -> State:
    run = s.runs[r]
    index = position(run, model)
    exam = run.exams[index]
    tries = at(exam.tries, number - 1, exam.tries[number - 1]._replace(**more))
    return with_exam(s, r, index, exam._replace(tries=tries))


def _exam(s: State, r: int, model: str, **more: Any) -> State:
    index = position(s.runs[r], model)
    return with_exam(s, r, index, s.runs[r].exams[index]._replace(**more))


def _advance(s: State, r: int) -> tuple[State, tuple[Event, ...]]:
    run = s.runs[r]
    if run.status != "QUEUED":
        return s, ()
    said = status.run_status(run.frozen, [AnalysisStatus(e.status) for e in run.exams])
    if said != "PROCESSING":
        return s, ()
    s = with_run(s, r, run._replace(status="PROCESSING"))
    media = s.media[run.media]
    if media.latest == r and not media.deleted:
        s = with_media(s, run.media, media._replace(status="PROCESSING"))
    return s, (("PROCESSING_STARTED", r, None),)


def _fail(s: State, r: int, model: str, error: str) -> State:
    return _exam(s, r, model, status="FAILED", error=error, why=None, retry=NOT_YET)


def _fence(s: State, r: int, models: list[str]) -> State:
    for model in models:
        for number, one in enumerate(s.runs[r].exams[position(s.runs[r], model)].tries, 1):
            if one.state in OPEN_TRY:
                s = _put(s, r, model, number, state="FENCED", late=False)
    return s


# -- the operator's ---------------------------------------------------------------------------------------------------


def freeze(s: State, r: int, models: tuple[tuple[str, int], ...]) -> Done:
    """`models`: name and budget."""
    if not alive(s, r):
        raise NotFound("the rows are gone")
    run = s.runs[r]
    if run.frozen or s.media[run.media].deleted or run.cancel:
        return s, None, ()
    exams = tuple(Exam(name) for name, _ in sorted(models))
    s = with_run(s, r, run._replace(frozen=True, exams=exams, offered=len(exams)))
    return s, None, tuple(("ANALYSIS_QUEUED", r, e.model) for e in exams)


def waiting(s: State, budget: int) -> list[Waiting]:
    """Analyses without an attempt in flight whose time has come, of live runs, oldest run first."""
    found = []
    for r, run in enumerate(s.runs):
        media = s.media[run.media]
        if run.status not in OPEN_RUN or run.cancel or media.deleted or media.gone:
            continue
        for exam in run.exams:
            if exam.status not in OPEN_EXAM or len(exam.tries) >= budget or any(t.held for t in exam.tries):
                continue
            if (not exam.tries and exam.status == "PENDING") or exam.retry == NOW:
                found.append(Waiting(ANALYSIS_IDS[r, exam.model], RUN_IDS[r], USER_IDS[media.user], exam.model))
    return found


def places(s: State, caps: Caps, budget: int) -> tuple[list[Waiting], dict[Any, int], list[Waiting]]:
    """Who gets a place now, how many are ahead of the others, and all who wait."""
    of_user: Counter[Any] = Counter()
    of_model: Counter[str] = Counter()
    for run in s.runs:
        if s.media[run.media].gone:
            continue
        for exam in run.exams:
            held = sum(t.held for t in exam.tries)
            of_user[USER_IDS[s.media[run.media].user]] += held
            of_model[exam.model] += held
    found = waiting(s, budget)
    admitted, ahead = admission.rank(found, caps, of_user.total(), of_user, of_model)
    return admitted, ahead, found


def start_attempts(s: State, r: int, caps: Caps, budget: int) -> Done:
    """Reply: started models, how many are ahead by model, other runs that have a place."""
    if not alive(s, r):
        raise NotFound("the rows are gone")
    run = s.runs[r]
    if s.media[run.media].deleted or run.cancel:
        return s, ((), (), ()), ()
    admitted, ahead, found = places(s, caps, budget)
    if not any(w.run_id == RUN_IDS[r] for w in found):
        return s, ((), (), ()), ()
    mine = tuple(w.model for w in admitted if w.run_id == RUN_IDS[r])
    s, _, _ = insert_attempts(s, r, mine)
    waits = tuple((w.model, ahead[w.analysis_id]) for w in found if w.run_id == RUN_IDS[r] and w.analysis_id in ahead)
    others = tuple(dict.fromkeys(w.run_id for w in admitted if w.run_id != RUN_IDS[r]))
    return s, (mine, waits, others), ()


def insert_attempts(s: State, r: int, models: tuple[str, ...]) -> Done:
    for model in models:
        exam = s.runs[r].exams[position(s.runs[r], model)]
        s = _exam(s, r, model, tries=(*exam.tries, Try()), retry=NOT_YET, why=None)
    return s, None, ()


def insert_places(s: State, r: int, models: tuple[str, ...]) -> Done:
    """Of a mutant: what was counted earlier is inserted now, under the run's lock alone."""
    run = s.runs[r]
    return insert_attempts(s, r, tuple(m for m in models if not any(t.held for t in run.exams[position(run, m)].tries)))


def note_jobs(s: State, made: tuple[tuple[tuple[int, str, int], str], ...]) -> Done:
    for (r, model, number), uid in made:
        if alive(s, r) and s.runs[r].exams[position(s.runs[r], model)].tries[number - 1].uid is None:
            s = _put(s, r, model, number, uid=uid)
    return s, None, ()


def note_pending(s: State, key: tuple[int, str], why: str | None) -> Done:
    r, model = key
    if alive(s, r) and s.runs[r].exams[position(s.runs[r], model)].status in OPEN_EXAM:
        s = _exam(s, r, model, why=why)
    return s, None, ()


def attempt_ended(s: State, key: tuple[int, str, int], error: str | None, reason: str, job_ended: bool) -> Done:
    r, model, number = key
    found = _locked(s, r, model, number)
    one = s.runs[r].exams[position(s.runs[r], model)].tries[number - 1]
    if job_ended and one.held:
        s = _put(s, r, model, number, held=False)
    if one.state in OPEN_TRY:
        s = _put(s, r, model, number, state="FAILED", error=error or "INTERNAL", reason=reason, late=False)
        found.attempt.state = "FAILED"
    elif one.reason is None:
        s = _put(s, r, model, number, reason=reason)
    if found.attempt.state != "FAILED" or not runs._decides(found):
        return s, None, ()
    one = s.runs[r].exams[position(s.runs[r], model)].tries[number - 1]
    failed = ErrorClass(one.error or "INTERNAL")
    if endings.tries_again(failed, number, BUDGET[0], cancelled=s.runs[r].cancel):
        s = _exam(s, r, model, retry=LATER, why="Retrying")
        return s, None, (("ANALYSIS_RETRYING", r, model),)
    s = _fail(s, r, model, endings.fails_as(failed, cancelled=s.runs[r].cancel).value)
    s, more = _advance(s, r)
    return s, None, (*more, ("ANALYSIS_FAILED", r, model))


def fail_analysis(s: State, key: tuple[int, str], error: str) -> Done:
    r, model = key
    if not alive(s, r):
        return s, None, ()
    exam = s.runs[r].exams[position(s.runs[r], model)]
    if exam.status not in OPEN_EXAM or s.media[s.runs[r].media].deleted:
        return s, None, ()
    s = _fail(_fence(s, r, [model]), r, model, error)
    s, more = _advance(s, r)
    return s, None, (*more, ("ANALYSIS_FAILED", r, model))


def carry_out_cancel(s: State, r: int) -> Done:
    if not alive(s, r):
        raise NotFound("the rows are gone")
    run = s.runs[r]
    if run.status not in OPEN_RUN or s.media[run.media].deleted:
        return s, None, ()
    s = with_run(s, r, run._replace(cancel=True))
    models = [e.model for e in run.exams if e.status in OPEN_EXAM]
    if not models:
        return s, None, ()
    s = _fence(s, r, models)
    for model in models:
        s = _fail(s, r, model, "CANCELLED")
    s, more = _advance(s, r)
    return s, None, (*more, *(("ANALYSIS_FAILED", r, model) for model in models))


def conclude(s: State, r: int, unfrozen: str | None) -> Done:
    """Reply: status and reason, or None."""
    if not alive(s, r):
        raise NotFound("the rows are gone")
    run = s.runs[r]
    if run.status not in OPEN_RUN or s.media[run.media].deleted:
        return s, None, ()
    end = decide_end(run, unfrozen)
    if end is None:
        return s, None, ()
    return write_end(s, r, end)


def decide_end(run: Run, unfrozen: str | None) -> tuple[str, str | None] | None:
    """What `conclude` decides from the rows that it reads."""
    end = endings.ending(
        [(AnalysisStatus(e.status), ErrorClass(e.error) if e.error else None) for e in run.exams],
        frozen=run.frozen,
        cancelled=run.cancel,
        unfrozen=ErrorClass(unfrozen) if unfrozen else None,
    )
    return None if end is None else (end.status.value, end.reason.value if end.reason else None)


def write_end(s: State, r: int, end: tuple[str, str | None]) -> Done:
    """What `conclude` writes."""
    run = s.runs[r]
    s = with_run(s, r, run._replace(status=end[0], reason=end[1], frozen=True))
    media = s.media[run.media]
    if media.latest == r:
        s = with_media(s, run.media, media._replace(status=end[0]))
    return s, end, (("RUN_COMPLETED", r, None),)


def again(s: State, r: int) -> Done:
    if alive(s, r) and s.runs[r].wish == NO_WISH:
        s = with_run(s, r, s.runs[r]._replace(wish=DUE))
    return s, None, ()


# -- the door's -------------------------------------------------------------------------------------------------------


def begin(s: State, r: int, model: str, number: int) -> Done:
    found = _fenced(s, r, model, number)
    said: tuple[Event, ...] = ()
    if found.attempt.state == "CREATED":
        s = _put(s, r, model, number, state="STARTED", late=False)
        s = _exam(s, r, model, why=None)
        if found.analysis.status == "PENDING":
            s, said = _advance(_exam(s, r, model, status="PROCESSING"), r)
        said = (*said, ("ANALYSIS_STARTED", r, model))
    return _put(s, r, model, number, silent=False), None, said


def store(s: State, r: int, model: str, number: int) -> Done:
    """Reply: whether the result was taken."""
    try:
        found = _locked(s, r, model, number)
    except NotFound as gone:
        raise Fenced(str(gone)) from None
    if found.attempt.state == "SUCCEEDED":
        return s, False, ()
    if not found.may_write:
        raise Fenced("This attempt may not write any more.")
    said: tuple[Event, ...] = ()
    if found.analysis.status == "PENDING":
        s, said = _advance(_exam(s, r, model, status="PROCESSING"), r)
        said = (*said, ("ANALYSIS_STARTED", r, model))
    s = _exam(s, r, model, status="COMPLETED", winner=number, why=None)
    s = _put(s, r, model, number, state="SUCCEEDED", late=False)
    return s, True, (*said, ("ANALYSIS_COMPLETED", r, model))


def failed(s: State, r: int, model: str, number: int, error: str) -> Done:
    try:
        found = _locked(s, r, model, number)
    except NotFound as gone:
        raise Fenced(str(gone)) from None
    if found.attempt.state == "FAILED":
        return s, None, ()
    if not found.may_write:
        raise Fenced("This attempt may not write any more.")
    s = _put(s, r, model, number, state="FAILED", error=error, late=False)
    if ErrorClass(error) in RETRYABLE:
        return s, None, ()
    s = _fail(s, r, model, error)
    s, more = _advance(s, r)
    return s, None, (*more, ("ANALYSIS_FAILED", r, model))


def _fenced(s: State, r: int, model: str, number: int) -> locks.LockedAttempt:
    try:
        found = _locked(s, r, model, number)
    except NotFound as gone:
        raise Fenced(str(gone)) from None
    if not found.may_write:
        raise Fenced("This attempt may not write any more.")
    return found


# -- the api's and its dispatcher's -----------------------------------------------------------------------------------


def request_cancel(s: State, m: int) -> Done:
    media = s.media[m]
    if media.deleted or media.gone or s.runs[media.latest].status not in OPEN_RUN:
        return s, False, ()
    return with_run(s, media.latest, s.runs[media.latest]._replace(cancel=True, asked=True)), True, ()


def remove(s: State, m: int) -> Done:
    media = s.media[m]
    if media.deleted or media.gone:
        return s, False, ()
    for r, run in enumerate(s.runs):
        if run.media == m:
            if run.status in OPEN_RUN:
                s = with_run(s, r, s.runs[r]._replace(cancel=True, asked=True))
            s = _fence(s, r, [e.model for e in run.exams])
    s = with_media(s, m, s.media[m]._replace(deleted=True, erase=DUE))
    return s, True, (("MEDIA_DELETED", media.latest, None),)


def rerun(s: State, m: int) -> Done:
    media = s.media[m]
    if media.deleted or media.gone or media.status in OPEN_RUN or len(s.runs) >= len(RUN_IDS):
        return s, False, ()
    number = s.runs[media.latest].number + 1
    s = s._replace(runs=(*s.runs, Run(m, number)), res=(*s.res, None))
    return with_media(s, m, media._replace(latest=len(s.runs) - 1, status="QUEUED")), True, ()


def erased(s: State, m: int) -> Done:
    if s.media[m].deleted:
        s = with_media(s, m, s.media[m]._replace(gone=True))
    return s, None, ()
