"""Checks of a media and its runs against each other, and against the pure functions that they must equal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from ..database.audit_facts import AnalysisFacts, MediaFacts, RunFacts
from ..domain.analysis import Basis, Prediction
from ..domain.errors import ErrorClass
from ..domain.status import TERMINAL_ANALYSIS, TERMINAL_RUN, AnalysisStatus, RunStatus, run_reason, run_status
from ..domain.verdict import Vote, verdict
from . import catalogue as c
from .catalogue import Violation
from .limits import Limits

_OPEN_ATTEMPT = ("CREATED", "STARTED")
_EMPTY_REASONS = frozenset(
    {ErrorClass.NO_COMPATIBLE_MODEL, ErrorClass.NO_DISCOVERY, ErrorClass.CLUSTER_REJECTED, ErrorClass.CANCELLED}
)
"""Why a run without models may end."""


def of_media(media: MediaFacts, now: datetime, limits: Limits) -> Iterator[Violation]:
    """A media's own row, and its runs' rows."""
    yield from _tombstone(media, now, limits) if media.deleted_at is not None else _alive(media)
    numbers = [run.number for run in media.runs]
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        yield c.RUN_NUMBERS.broken("media", media.id, f"Its runs have the numbers {numbers}.")
    live = [run.number for run in media.runs[:-1] if run.status not in TERMINAL_RUN]
    if live:
        yield c.RUN_NUMBERS.broken("media", media.id, f"Run {live[0]} is not final, and a later one exists.")
    for run in media.runs:
        yield from of_run(media, run, now, limits)


def _alive(media: MediaFacts) -> Iterator[Violation]:
    if not media.has_metadata:
        yield c.MEDIA_METADATA.broken("media", media.id, "The metadata of its type is missing.")
    if media.erasure_wished:
        yield c.TOMBSTONE_WISH.broken("media", media.id, "Its erasure is wished for, but it is not deleted.")
    latest = media.runs[-1] if media.runs else None
    if latest is None or (latest.id, latest.number) != (media.latest_run_id, media.latest_run_number):
        last = "has none" if latest is None else f"is {latest.number} ({latest.id})"
        text = f"It follows run {media.latest_run_number} ({media.latest_run_id}), but its last one {last}."
        yield c.MEDIA_LATEST.broken("media", media.id, text)
    elif latest.status != media.status:
        text = f"It says {media.status}, its latest run says {latest.status}."
        yield c.MEDIA_LATEST.broken("media", media.id, text, run=latest.id)


def _tombstone(media: MediaFacts, now: datetime, limits: Limits) -> Iterator[Violation]:
    if media.personal:
        yield c.TOMBSTONE_BLANK.broken("media", media.id, f"It is deleted and still has {', '.join(media.personal)}.")
    if not media.erasure_wished:
        yield c.TOMBSTONE_WISH.broken("media", media.id, "It is deleted, and nothing in the outbox erases it.")
    for run in media.runs:
        for analysis in run.analyses:
            for attempt in analysis.attempts:
                if attempt.state in _OPEN_ATTEMPT:
                    text = f"{analysis.model}, attempt {attempt.number}: {attempt.state}, but the media is deleted."
                    yield c.TOMBSTONE_FENCED.broken("attempt", attempt.id, text, run=run.id, media=media.id)
    age = _seconds(now, media.deleted_at)
    if age > limits.erased_within:
        yield c.TOMBSTONE_AGE.broken("media", media.id, f"It was deleted {_words(age)} ago and is still there.")


def of_run(media: MediaFacts, run: RunFacts, now: datetime, limits: Limits) -> Iterator[Violation]:
    """One run against its analyses: status, completeness, freeze, reason, verdict, age."""
    yield from _frozen(media, run)
    yield from _status(media, run, now, limits)
    yield from _reason(media, run)
    yield from _verdict(media, run, limits)
    age = _seconds(now, run.created_at)
    if run.status not in TERMINAL_RUN and media.deleted_at is None and age > limits.run_age:
        text = f"It is {run.status} since {_words(age)}."
        yield c.RUN_SETTLES.broken("run", run.id, text, media=media.id)


def _frozen(media: MediaFacts, run: RunFacts) -> Iterator[Violation]:
    if run.frozen_at is None:
        if run.analyses:
            text = f"It has {len(run.analyses)} analyses and was never frozen."
            yield c.FROZEN_SET.broken("run", run.id, text, media=media.id)
        if run.status != RunStatus.QUEUED:
            yield c.FROZEN_SET.broken("run", run.id, f"It is {run.status} and was never frozen.", media=media.id)
        return
    if not run.analyses and run.status not in TERMINAL_RUN:
        yield c.FROZEN_SET.broken("run", run.id, "It is frozen with no model, and not final.", media=media.id)
    for analysis in run.analyses:
        if analysis.created_at != run.frozen_at:
            text = f"{analysis.model} was inserted at {analysis.created_at}, the set was frozen at {run.frozen_at}."
            yield c.FROZEN_SET.broken("analysis", analysis.id, text, run=run.id, media=media.id)
        if any(attempt.created_at < run.frozen_at for attempt in analysis.attempts):
            text = f"{analysis.model} has an attempt from before the freeze."
            yield c.FROZEN_SET.broken("analysis", analysis.id, text, run=run.id, media=media.id)


def _status(media: MediaFacts, run: RunFacts, now: datetime, limits: Limits) -> Iterator[Violation]:
    statuses = [AnalysisStatus(a.status) for a in run.analyses]
    due = run_status(run.frozen_at is not None, statuses)
    if run.status in TERMINAL_RUN:
        open_ones = [a.model for a in run.analyses if a.status not in TERMINAL_ANALYSIS]
        if open_ones:
            text = f"It is {run.status}, but not ended: {', '.join(open_ones)}."
            yield c.RUN_COMPLETE.broken("run", run.id, text, media=media.id)
        if run.status != due:
            text = f"It says {run.status}, its analyses say {due}."
            yield c.RUN_STATUS.broken("run", run.id, text, media=media.id)
        return
    if due in TERMINAL_RUN:
        # An analysis may fail without a start: only then does a run end out of QUEUED, as FAILED.
        if run.status == RunStatus.QUEUED and due is not RunStatus.FAILED:
            yield c.RUN_STATUS.broken("run", run.id, f"It says QUEUED, its analyses say {due}.", media=media.id)
        ended = max((a.finished_at for a in run.analyses if a.finished_at is not None), default=run.frozen_at)
        late = _seconds(now, ended)
        if media.deleted_at is None and late > limits.grace:
            text = f"All {len(run.analyses)} analyses have ended {_words(late)} ago, and it is still {run.status}."
            yield c.RUN_CONCLUDED.broken("run", run.id, text, media=media.id)
    elif run.status != due:
        yield c.RUN_STATUS.broken("run", run.id, f"It says {run.status}, its analyses say {due}.", media=media.id)


def _reason(media: MediaFacts, run: RunFacts) -> Iterator[Violation]:
    if run.status not in TERMINAL_RUN:
        told = {"reason": run.reason, "end": run.finished_at, "verdict": run.verdict}
        early = [name for name, value in told.items() if value is not None]
        if early:
            text = f"It is {run.status} and has already: {', '.join(early)}."
            yield c.RUN_REASON.broken("run", run.id, text, media=media.id)
        return
    if run.finished_at is None:
        yield c.RUN_REASON.broken("run", run.id, f"It is {run.status} and has no time of its end.", media=media.id)
    if not run.analyses:
        if run.reason not in _EMPTY_REASONS:
            text = f"It ended without models for the reason {run.reason}."
            yield c.RUN_REASON.broken("run", run.id, text, media=media.id)
        return
    classes = [ErrorClass(a.error_class) for a in run.analyses if a.error_class is not None]
    due = run_reason(RunStatus(run.status), run.cancel_requested, classes)
    if run.reason != due:
        text = f"Its reason is {run.reason}, its analyses say {due}."
        yield c.RUN_REASON.broken("run", run.id, text, media=media.id)


def _verdict(media: MediaFacts, run: RunFacts, limits: Limits) -> Iterator[Violation]:
    if run.status not in TERMINAL_RUN:
        return
    due = verdict([vote for a in run.analyses if (vote := _vote(a)) is not None], limits.thresholds)
    said = (run.verdict, run.verdict_basis, run.verdict_models)
    text: str | None = None
    if due is None:
        if said != (None, None, None) or run.verdict_score is not None:
            text = f"Nothing was examined, and it says {run.verdict} ({run.verdict_basis})."
    elif due.score is None or not limits.weighted:
        same = run.verdict_score is None if due.score is None else _close(run.verdict_score, due.score)
        if said != (due.label, due.basis, due.models) or not same:
            text = f"It says {_said(*said, run.verdict_score)}; its analyses say {_said(*_parts(due))}."
    else:
        scores = [a.score for a in run.analyses if a.model in due.models and a.score is not None]
        among = run.verdict_score is not None and min(scores) - 1e-9 <= run.verdict_score <= max(scores) + 1e-9
        label = limits.thresholds.read(run.verdict_score) if run.verdict_score is not None else None
        ours = set(run.verdict_models or ()) <= set(due.models)
        if not (among and ours and (run.verdict, run.verdict_basis) == (label, due.basis)):
            text = f"It says {_said(*said, run.verdict_score)}, which no weights make of its analyses."
    if text is not None:
        yield c.RUN_VERDICT.broken("run", run.id, text, media=media.id)


def _vote(a: AnalysisFacts) -> Vote | None:
    if a.prediction is None or a.basis is None:
        return None
    return Vote(a.model, Prediction(a.prediction), Basis(a.basis), a.score)


def _parts(due: object) -> tuple[object, ...]:
    return tuple(getattr(due, name) for name in ("label", "basis", "models", "score"))


def _said(label: object, basis: object, models: object, score: object) -> str:
    names = ", ".join(models) if isinstance(models, tuple) and models else "no model"
    return f"{label} ({basis}, {score}) by {names}"


def _close(a: float | None, b: float) -> bool:
    return a is not None and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def _seconds(now: datetime, then: datetime | None) -> float:
    return 0.0 if then is None else (now - then).total_seconds()


def _words(seconds: float) -> str:
    for unit, size in (("days", 172800), ("hours", 7200), ("minutes", 120)):
        if seconds >= size:
            return f"{seconds / (size / 2):.0f} {unit}"
    return f"{seconds:.0f} s"
