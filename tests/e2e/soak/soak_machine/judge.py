"""Were the promises kept? Compares `company` and `weather` with the rows, sentence by sentence. No excuse is general:
a failure has one only if a trouble that can cause it was in force while that attempt lived.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from world import TERMINAL, World

from drishtiksha.domain.errors import ErrorClass
from drishtiksha.domain.status import AnalysisStatus, run_reason, run_status

from .company import Company, Customer, Promise
from .plan import MODELS
from .weather import SLACK, Weather, does, expected_sets

KILLS_PODS = frozenset(
    {
        "runner killed",
        "node: evict",
        "node: oom",
        "node: freeze",
        "node: lost",
        "node: twin",
        "node killed",
        "etcd wiped",
    }
)
AWAY = frozenset({"modelserver away"})
MEANING = {"bad-media": ErrorClass.BAD_MEDIA, "other-model": ErrorClass.ML_CONTRACT}
PREDICTION = {"SURE-V1": "FAKE", "CALM-V1": "REAL", "EARS-V1": "FAKE"}

_RUNS = """
SELECT r.media_id::text, r.id::text, r.number, r.status, r.reason, r.cancel_requested_at IS NOT NULL, m.media_type,
  extract(epoch FROM r.created_at)::float8, extract(epoch FROM r.frozen_at)::float8, extract(epoch FROM r.finished_at)::float8
FROM analysis_runs r JOIN media m ON m.id = r.media_id WHERE m.user_id = ANY(%s::uuid[]) ORDER BY 1, 3
"""
_ANALYSES = """
SELECT a.run_id::text, a.id::text, a.model, a.status, a.error_class, a.prediction, a.attempt, a.budget
FROM analyses a JOIN media m ON m.id = a.media_id WHERE m.user_id = ANY(%s::uuid[])
"""
_ATTEMPTS = """
SELECT t.analysis_id::text, t.number, t.state, t.error_class, t.reason,
  extract(epoch FROM t.created_at)::float8, extract(epoch FROM coalesce(t.finished_at, now()))::float8
FROM attempts t JOIN analyses a ON a.id = t.analysis_id JOIN media m ON m.id = a.media_id WHERE m.user_id = ANY(%s::uuid[]) ORDER BY 2
"""


@dataclass(frozen=True)
class Try:
    number: int
    state: str
    error: str | None
    reason: str | None
    began: float
    ended: float


@dataclass
class Answer:
    """One analysis."""

    model: str
    status: str
    error: str | None
    prediction: str | None
    attempt: int
    budget: int
    tries: list[Try] = field(default_factory=list)


@dataclass
class Run:
    id: str
    number: int
    status: str
    reason: str | None
    cancel_noted: bool
    media_type: str
    created: float
    frozen: float | None
    finished: float | None
    answers: list[Answer] = field(default_factory=list)


def complaints(world: World, company: Company, weather: Weather) -> list[str]:
    """Every promise that was not kept, in a sentence."""
    people = [person.id for person in company.people if person.id]
    runs = _runs(world, people)
    found = dict(world.sql("SELECT id::text, filename FROM media WHERE user_id = ANY(%s::uuid[])", people))
    said = list(_phantoms(found, company))
    for promise in company.promises:
        if promise.deleted == "yes":
            said += _deleted(world, promise, found)
        else:
            said += _living(promise, found, runs.get(promise.media_id, []), weather)
    for person in company.people:
        if person.id:
            said += _ears(world, person, {p.media_id for p in company.promises if p.deleted != "no"})
    return said


def resolve(company: Company, world: World) -> None:
    """What became of what was not answered: asked when all is well again."""
    for promise in company.promises:
        if promise.deleted == "perhaps":
            answer = promise.person.ask("GET", f"/media/{promise.media_id}")
            assert answer is not None
            assert answer.status_code in (200, 404), answer.text
            promise.deleted = "yes" if answer.status_code == 404 else "no"
    for filename, (person, began) in list(company.unsure.items()):
        for (media_id,) in world.sql(
            "SELECT id::text FROM media WHERE filename = %s AND user_id = %s", filename, person.id
        ):
            company.adopt(person, media_id, filename, began)


def _phantoms(found: dict[str, str], company: Company) -> Iterator[str]:
    promised = {promise.media_id for promise in company.promises}
    for media_id in set(found) - promised:
        yield f"media {media_id} ({found[media_id]}) is there, and nobody was promised it"
    names = list(found.values())
    for name in {name for name in names if names.count(name) > 1}:
        yield f"the upload {name} became {names.count(name)} media"


def _deleted(world: World, promise: Promise, found: dict[str, str]) -> Iterator[str]:
    if promise.media_id in found:
        yield f"media {promise.media_id} was deleted and its rows are there"
    answer = promise.person.ask("GET", f"/media/{promise.media_id}")
    if answer is None or answer.status_code != 404:
        yield f"media {promise.media_id} was deleted and is still answered"
    told = world.sql("SELECT DISTINCT type FROM events WHERE media_id = %s", promise.media_id)
    if told != [("MEDIA_DELETED",)]:
        yield f"the events of deleted media {promise.media_id} still tell {told}"


def _living(promise: Promise, found: dict[str, str], runs: list[Run], weather: Weather) -> Iterator[str]:
    what = f"media {promise.media_id} ({promise.filename})"
    if found.get(promise.media_id) != promise.filename:
        yield f"{what} was accepted and is lost"
        return
    if not promise.runs <= len(runs) <= promise.runs + promise.perhaps:
        yield f"{what} has {len(runs)} runs; {promise.runs} were accepted and {promise.perhaps} not answered"
    if sum(run.cancel_noted for run in runs) < min(promise.cancels, 1):
        yield f"{what} was cancelled with 202 and no run knows"
    for run in runs:
        yield from _run(run, promise, weather)


def _run(run: Run, promise: Promise, weather: Weather) -> Iterator[str]:
    what = f"run {run.number} of {promise.filename} ({run.id})"
    if run.status not in TERMINAL or run.finished is None:
        yield f"{what} has not ended: {run.status}"
        return
    status = run_status(True, [AnalysisStatus(a.status) for a in run.answers])
    if run.status != status:
        yield f"{what} is {run.status} and its analyses say {status}"
    asked = any(at - SLACK <= run.finished and at >= run.created - SLACK for at in promise.asked)
    cancelled = run.reason == ErrorClass.CANCELLED
    if cancelled and not asked:
        yield f"{what} is cancelled and nobody asked for it"
    if run.cancel_noted and not cancelled and run.status != "ANALYZED":
        yield f"{what} was to be cancelled, and ended {run.status} for {run.reason}"
    if run.frozen is None or not run.answers:
        empty = frozenset[str]() in expected_sets(weather.told(run.created, run.finished), run.media_type)
        if not cancelled and not (run.reason == ErrorClass.NO_COMPATIBLE_MODEL and empty):
            yield f"{what} ended {run.status} for {run.reason} without a model"
        return
    reason = run_reason(status, cancelled, [ErrorClass(a.error) for a in run.answers if a.error])
    if run.reason != reason:
        yield f"{what} ended for {run.reason} and not for {reason}"
    chosen = frozenset(a.model for a in run.answers)
    # A look at the services is kept for a second, and a look under way is shared.
    sets = expected_sets(weather.told(run.created - 5.0, run.frozen), run.media_type)
    if chosen not in sets:
        yield f"{what} was frozen with {sorted(chosen)}; told were {[sorted(s) for s in sets]}"
    for answer in run.answers:
        for sentence in _answer(answer, cancelled, weather):
            yield f"{what}: {sentence}"


def _answer(answer: Answer, cancelled: bool, weather: Weather) -> Iterator[str]:
    for one in answer.tries:
        if one.error is not None and one.state == "FAILED" and not _excused(one, answer.model, weather):
            yield f"attempt {one.number} of {answer.model} failed as {one.error} ({one.reason}) for no reason that we gave"
    meaning = MEANING.get(str(MODELS[answer.model].get("do")))
    if answer.status == "COMPLETED":
        if meaning is not None:
            yield f"{answer.model} always fails, and is COMPLETED"
        elif answer.prediction != PREDICTION[answer.model]:
            yield f"{answer.model} said {PREDICTION[answer.model]}, and {answer.prediction} is stored"
    elif answer.error == ErrorClass.CANCELLED:
        if not cancelled:
            yield f"{answer.model} is cancelled and its run is not"
    elif answer.error != answer.tries[-1].error:
        yield f"{answer.model} failed as {answer.error}, its last attempt as {answer.tries[-1].error}"
    elif answer.error in ("CRASHED", "ML_UNAVAILABLE", "INTERNAL") and answer.attempt < answer.budget and not cancelled:
        yield f"{answer.model} was given up as {answer.error} after {answer.attempt} of {answer.budget} attempts"


def _excused(one: Try, model: str, weather: Weather) -> bool:
    """Whether what we did, or what the model does, explains how this attempt failed."""
    if one.error == ErrorClass.CRASHED:
        return weather.was(KILLS_PODS, one.began, one.ended)
    did = {does(script, model) for script in weather.told(one.began, one.ended)}
    if one.error == ErrorClass.ML_UNAVAILABLE:
        # A model that vanishes in the middle of a call breaks it.
        return "broken" in did or None in did or weather.was(AWAY, one.began, one.ended)
    if one.error == ErrorClass.ML_CONTRACT:
        return "other-model" in did or None in did
    if one.error == ErrorClass.BAD_MEDIA:
        return "bad-media" in did
    return one.error == ErrorClass.CANCELLED


def _ears(world: World, person: Customer, deleted: set[str]) -> Iterator[str]:
    """Each listener heard each event, once, in order, as the rows tell it."""
    rows: list[tuple[Any, ...]] = world.sql(
        "SELECT seq, type, media_id::text, run_id::text FROM events WHERE user_id = %s ORDER BY seq", person.id
    )
    if [seq for seq, *_ in rows] != list(range(1, len(rows) + 1)):
        yield f"the events of {person.email} have gaps"
    for number, ear in enumerate(person.ears):
        heard = [int(payload["seq"]) for payload in ear.heard]
        if heard != list(range(1, len(heard) + 1)):
            yield f"ear {number} of {person.email} heard {heard}"
        elif len(heard) != len(rows):
            yield f"ear {number} of {person.email} heard {len(heard)} of {len(rows)} events"
        for payload, (seq, kind, media_id, run_id) in zip(ear.heard, rows, strict=False):
            if payload["mediaId"] != media_id or (media_id not in deleted and payload["event"] != kind):
                yield f"ear {number} of {person.email} heard {payload['event']} as number {seq}, which is {kind}"
            elif media_id not in deleted and payload["runId"] != run_id:
                yield f"ear {number} of {person.email} heard number {seq} of another run"


def _runs(world: World, people: list[str]) -> dict[str, list[Run]]:
    """All runs of these people by media, whole."""
    answers: dict[str, Answer] = {}
    of_run: dict[str, list[Answer]] = {}
    for run_id, analysis_id, *rest in world.sql(_ANALYSES, people):
        answers[analysis_id] = answer = Answer(*rest)
        of_run.setdefault(run_id, []).append(answer)
    for analysis_id, *rest in world.sql(_ATTEMPTS, people):
        if analysis_id in answers:
            answers[analysis_id].tries.append(Try(*rest))
    by_media: dict[str, list[Run]] = {}
    for media_id, *rest in world.sql(_RUNS, people):
        run = Run(*rest)
        run.answers = of_run.get(run.id, [])
        by_media.setdefault(media_id, []).append(run)
    return by_media
