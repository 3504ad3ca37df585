"""What must hold: in every state, over every step, and when a world has settled. Ids as in docs/reliability.md.

Written from the meaning, not from production's functions: what is said here must not change when those are broken.
Each check gives None, or the invariant's id and a sentence.
"""

from __future__ import annotations

from collections import Counter

from . import world as worlds
from .rows import Event
from .state import NO_WISH, NOT_YET, OPEN_RUN, OPEN_TRY, REJECTED, Exam, Run, State, Try, alive, position

Fault = tuple[str, str]
FINAL = ("COMPLETED", "FAILED")
_ORDER = {
    "PENDING": 0,
    "QUEUED": 0,
    "PROCESSING": 1,
    "COMPLETED": 2,
    "FAILED": 2,
    "ANALYZED": 2,
    "PARTIALLY_ANALYZED": 2,
}


def meaning(exams: tuple[Exam, ...]) -> str:
    """What a final run's status must be."""
    done = sum(e.status == "COMPLETED" for e in exams)
    if done == 0:
        return "FAILED"
    return "ANALYZED" if done == len(exams) else "PARTIALLY_ANALYZED"


def of_state(world: worlds.World, s: State) -> Fault | None:
    """What must hold in every state."""
    for r, run in enumerate(s.runs):
        if not alive(s, r):
            continue
        if (fault := _of_run(s, r, run)) is not None:
            return fault
        for exam in run.exams:
            if (fault := _of_exam(world, r, run, exam)) is not None:
                return fault
    for m, media in enumerate(s.media):
        if media.gone:
            continue
        if media.status != s.runs[media.latest].status and not media.deleted:
            return "I7", f"media {m} says {media.status}, its latest run {s.runs[media.latest].status}"
        if sum(run.media == m and run.status in OPEN_RUN for run in s.runs) > 1:
            return "I3", f"media {m} has two active runs"
    return _places(world, s)


def _of_run(s: State, r: int, run: Run) -> Fault | None:
    deleted = s.media[run.media].deleted
    if run.status in OPEN_RUN:
        if run.status == "PROCESSING" and all(e.status == "PENDING" for e in run.exams):
            return "I7", f"run {r} is PROCESSING and nothing of it has started"
        moved = any(e.status != "PENDING" for e in run.exams)
        if run.status == "QUEUED" and moved and not deleted and any(e.status not in FINAL for e in run.exams):
            return "I7", f"run {r} is QUEUED though an analysis has moved"
    else:
        if any(e.status not in FINAL for e in run.exams):
            return "I7", f"run {r} is {run.status} while an analysis is not final"
        if run.status != meaning(run.exams):
            return "I7", f"run {r} is {run.status}, its analyses say {meaning(run.exams)}"
        if len(run.exams) != run.offered:
            return "I4", f"run {r} has {len(run.exams)} analyses of {run.offered} that were frozen"
        if (run.reason is None) != (run.status != "FAILED" and not _was_cancelled(run)):
            return "I19", f"run {r} is {run.status} with reason {run.reason}"
    if run.cancel and not run.asked:
        return "I3", f"run {r} is cancelled and nobody asked for it"
    if run.exams and not run.frozen:
        return "I4", f"run {r} has analyses before its freeze"
    return None


def _was_cancelled(run: Run) -> bool:
    return run.cancel and run.status != "ANALYZED"


def _of_exam(world: worlds.World, r: int, run: Run, exam: Exam) -> Fault | None:
    name = f"{r}/{exam.model}"
    if len(exam.tries) > world.budget:
        return "I6", f"analysis {name} has {len(exam.tries)} attempts of {world.budget}"
    if (exam.status == "COMPLETED") != (exam.winner != 0):
        return "I5", f"analysis {name} is {exam.status} with the result of attempt {exam.winner}"
    if (exam.status == "FAILED") != (exam.error is not None):
        return "I19", f"analysis {name} is {exam.status} with class {exam.error}"
    if exam.retry != NOT_YET and exam.tries[-1].error not in ("ML_UNAVAILABLE", "INTERNAL", "CRASHED"):
        return "I19", f"analysis {name} is tried again after {exam.tries[-1].error}"
    aged = exam.error == "UNSCHEDULABLE" and exam.tries and exam.tries[-1].state == "FENCED"
    if aged and world.operators == 1:
        return "I19", f"analysis {name} was given up by the age of its run while an attempt of it was in flight"
    if exam.winner and exam.tries[exam.winner - 1].state != "SUCCEEDED":
        return "I5", f"analysis {name} has the result of an attempt that is {exam.tries[exam.winner - 1].state}"
    if sum(t.state in OPEN_TRY for t in exam.tries) > 1:
        return "I6", f"analysis {name} has two open attempts"
    if sum(t.held for t in exam.tries) > 1:
        return "I6", f"two attempts of analysis {name} are in flight"
    if exam.status in FINAL and any(t.state in OPEN_TRY for t in exam.tries):
        return "I11", f"analysis {name} is final, and an attempt of it is open"
    return None


def _places(world: worlds.World, s: State) -> Fault | None:
    users: Counter[int] = Counter()
    models: Counter[str] = Counter()
    for run in s.runs:
        if not s.media[run.media].gone:
            for exam in run.exams:
                held = sum(t.held for t in exam.tries)
                users[s.media[run.media].user] += held
                models[exam.model] += held
    caps = world.caps
    if models.total() > caps.total:
        return "I15", f"{models.total()} attempts hold a place of {caps.total}"
    if any(n > caps.per_user for n in users.values()):
        return "I15", "a user holds more places than the cap"
    if any(n > caps.model(model) for model, n in models.items()):
        return "I15", "a model holds more places than its cap"
    for job in s.jobs:
        if not job.ended and alive(s, job.run):
            one = s.runs[job.run].exams[position(s.runs[job.run], job.model)].tries[job.number - 1]
            if one.state in OPEN_TRY and not one.held:
                return "I15", f"attempt {job.run}/{job.model}/{job.number} works and holds no place"
    return None


def of_step(world: worlds.World, before: State, after: State, events: tuple[Event, ...]) -> Fault | None:
    """What must hold over every step."""
    if before.runs is not after.runs or before.media is not after.media:
        for r, (was, now) in enumerate(zip(before.runs, after.runs, strict=False)):
            if was is not now and (fault := _run_step(world, before, after, r, was, now, events)) is not None:
                return fault
        for m, (old, new) in enumerate(zip(before.media, after.media, strict=True)):
            if old.latest == new.latest and _ORDER[new.status] < _ORDER[old.status]:
                return "I8", f"media {m} went from {old.status} to {new.status}"
            if new.latest < old.latest:
                return "I8", f"media {m} follows an older run"
    for kind, r, _ in events:
        media = before.media[before.runs[r].media] if r < len(before.runs) else None
        if media is not None and media.deleted and kind != "MEDIA_DELETED":
            return "I10", f"{kind} of run {r} was told after its media was deleted"
    ends = Counter(r for kind, r, _ in events if kind == "RUN_COMPLETED")
    for r, times in ends.items():
        if times > 1 or before.runs[r].status not in OPEN_RUN:
            return "I9", f"RUN_COMPLETED of run {r} was told more than once"
    return _cluster_step(before, after)


def _run_step(
    world: worlds.World, before: State, after: State, r: int, was: Run, now: Run, events: tuple[Event, ...]
) -> Fault | None:
    if was.status not in OPEN_RUN and (was.status, was.reason, was.frozen) != (now.status, now.reason, now.frozen):
        return "I5", f"run {r} was {was.status} ({was.reason}) and became {now.status} ({now.reason})"
    if _ORDER[now.status] < _ORDER[was.status]:
        return "I8", f"run {r} went from {was.status} to {now.status}"
    if was.status in OPEN_RUN and now.status not in OPEN_RUN and ("RUN_COMPLETED", r, None) not in events:
        return "I9", f"run {r} ended and nobody was told"
    undiscovered = not now.exams and now.reason == "NO_COMPATIBLE_MODEL" != was.reason
    if undiscovered and not world.fine and before.ml != "none":
        return "I16", f"run {r} ended as NO_COMPATIBLE_MODEL while the ML service says: {before.ml}"
    if was.frozen and len(was.exams) != len(now.exams):
        return "I4", f"the set of run {r} changed after its freeze"
    deleted = before.media[was.media].deleted
    for old, new in zip(was.exams, now.exams, strict=False):
        if old is new:
            continue
        name = f"{r}/{old.model}"
        if old.status in FINAL and (old.status, old.winner, old.error) != (new.status, new.winner, new.error):
            return "I5", f"analysis {name} was {old.status} and became {new.status}"
        if _ORDER[new.status] < _ORDER[old.status]:
            return "I8", f"analysis {name} went from {old.status} to {new.status}"
        if deleted and old.status != new.status:
            return "I10", f"analysis {name} became {new.status} after its media was deleted"
        stale = new.winner != len(old.tries) or was.cancel or was.status not in OPEN_RUN
        if new.winner and not old.winner and stale:
            return "I11", f"analysis {name} took the result of attempt {new.winner}, which was fenced"
        if (deleted or was.cancel) and len(new.tries) > len(old.tries):
            return "I11", f"analysis {name} got another attempt after its end was asked for"
        if was.cancel and old.retry == NOT_YET != new.retry:
            return "I11", f"another attempt of analysis {name} was planned after its end was asked for"
        for number, (one, two) in enumerate(zip(old.tries, new.tries, strict=False), 1):
            if not world.fine and (fault := _whole_look(before, after, r, name, number, one, two)) is not None:
                return fault
            if one.state not in OPEN_TRY and one.state != two.state:
                return "I11", f"attempt {name}/{number} was {one.state} and became {two.state}"
            if one.state == "CREATED" and two.state == "STARTED" and number != len(old.tries):
                return "I11", f"attempt {name}/{number} started though it was replaced"
            # A slower second operator may make the Job of an attempt that the first one has fenced meanwhile: its
            # runner is told so at its first call, and ends.
            overtaken = world.operators > 1 and two.state == "FENCED" and two.reason == "NoJob"
            if one.held and not two.held and two.uid is not None and not overtaken:
                for job in after.jobs:
                    if job.uid == two.uid and not job.ended:
                        return "I15", f"attempt {name}/{number} gave its place back while its Job lives"
    return None


def _whole_look(before: State, after: State, r: int, name: str, number: int, one: Try, two: Try) -> Fault | None:
    """What can be said of a look with nobody in between."""
    model = name.split("/")[1]
    mine = [j for j in before.jobs if (j.run, j.model, j.number) == (r, model, number)]
    well = any(p.code is None and not p.lost for j in mine for p in j.pods)
    if one.state in OPEN_TRY and two.error == "CRASHED" and two.reason == "Silent" and well:
        return "I19", f"attempt {name}/{number} is called CRASHED while its pod is well"
    if one.uid is None and two.uid is not None:
        res = after.res[r]
        owner = next((j.owner for j in after.jobs if j.uid == two.uid), None)
        if res is not None and owner is not None and owner != res.uid:
            return "I6", f"the Job written down for attempt {name}/{number} belongs to another resource"
    return None


def _cluster_step(before: State, after: State) -> Fault | None:
    if before.jobs is after.jobs or len(after.jobs) <= len(before.jobs):
        return None
    known = {j.uid for j in before.jobs}
    for job in after.jobs:
        if job.uid not in known:
            if not alive(after, job.run):
                return "I3", f"a Job was made for run {job.run}, whose rows are gone"
            if job.number > len(after.runs[job.run].exams[position(after.runs[job.run], job.model)].tries):
                return "I6", f"a Job was made for attempt {job.run}/{job.model}/{job.number}, which has no row"
    return None


def settled(world: worlds.World, start: State, end: State) -> Fault | None:
    """What must hold when nothing happens any more; `start` is the state from which everything went well."""
    for r, run in enumerate(end.runs):
        media = end.media[run.media]
        if media.deleted:
            if not media.gone or media.bytes:
                return "I10", f"media {run.media} was deleted, and is not erased"
            if end.res[r] is not None:
                return "I10", f"the resource of run {r} outlives its media"
            continue
        if run.status in OPEN_RUN:
            return "I12", f"run {r} stays {run.status} for ever"
        if any(t.held for e in run.exams for t in e.tries):
            return "I12", f"an attempt of run {r} holds its place for ever"
        if run.wish not in (NO_WISH, REJECTED):
            return "I12", f"the wish for run {r} is never fulfilled"
        res = end.res[r]
        if res is not None and (res.finalizer or res.deleting):
            return "I12", f"the resource of run {r} is held for ever"
        if res is not None and worlds.cluster.shown(res.status).get("phase") != run.status:
            return "I7", f"the resource of run {r} does not say {run.status}"
        if not media.bytes and not media.deleted:
            return "I1", f"the bytes of media {run.media} are gone"
        if r < len(start.runs) and (fault := _asked(world, start, end, r)) is not None:
            return fault
    if any(not j.ended for j in end.jobs):
        return "I12", "a Job runs for ever"
    for r in range(len(end.runs)):
        for request in worlds.look(world, end, r)[2]:
            if request[0] in worlds.KUBE_WRITES:
                return "I13", f"a look at settled run {r} writes: {request[0]}"
    return None


def _asked(world: worlds.World, start: State, end: State, r: int) -> Fault | None:
    """A cancellation that stands is carried out, however late anybody looks."""
    run, res = start.runs[r], start.res[r]
    wanted = run.cancel or (res is not None and res.deleting)
    if "lost resource" not in world.troubles:
        wanted = wanted or run.asked
    if run.status not in OPEN_RUN or not wanted or any(here is not None for here in start.ops):
        return None
    if not end.runs[r].cancel:
        return "I12", f"the deletion of run {r}'s resource was never carried out"
    for old, new in zip(run.exams, end.runs[r].exams, strict=False):
        if len(new.tries) > len(old.tries):
            return "I11", f"run {r} got another attempt after its end was asked for"
    return None
