"""Checks of an analysis, its one result, its attempts and their artifacts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from uuid import UUID

from ..database.audit_facts import AnalysisFacts, AttemptFacts, MediaFacts, RunFacts
from ..domain.analysis import analysis_id, attempt_id
from ..domain.status import ENDED_ATTEMPT, TERMINAL_ANALYSIS, TERMINAL_RUN, AnalysisStatus, AttemptState
from . import catalogue as c
from .catalogue import Violation
from .limits import Limits


def of_media(media: MediaFacts, now: datetime, limits: Limits) -> Iterator[Violation]:
    """All analyses of a media's runs."""
    for run in media.runs:
        for analysis in run.analyses:
            yield from of_analysis(media, run, analysis, now, limits)


def places(in_flight: Counter[UUID], limits: Limits) -> Iterator[Violation]:
    """All attempts in flight, counted by user, against the caps."""
    total = in_flight.total()
    if limits.max_active is not None and total > limits.max_active:
        text = f"{total} attempts are in flight, and there are {limits.max_active} places."
        yield c.PLACES.broken("platform", "all", text)
    for user, count in sorted(in_flight.items()):
        if limits.max_active_per_user is not None and count > limits.max_active_per_user:
            text = f"{count} attempts are in flight, and a user has {limits.max_active_per_user} places."
            yield c.PLACES.broken("user", user, text)


def in_flight(media: MediaFacts) -> int:
    """Attempts of a media that hold a place."""
    return sum(t.job_ended_at is None for run in media.runs for a in run.analyses for t in a.attempts)


def of_analysis(
    media: MediaFacts, run: RunFacts, analysis: AnalysisFacts, now: datetime, limits: Limits
) -> Iterator[Violation]:
    """One analysis with everything below it."""
    above = {"run": run.id, "media": media.id}
    if analysis.id != analysis_id(run.id, analysis.model) or analysis.media_id != media.id:
        text = f"{analysis.model} has the id {analysis.id} and the media {analysis.media_id}, foreign to its run."
        yield c.ANALYSIS_ID.broken("analysis", analysis.id, text, **above)
    for check, text in (
        *_result(analysis),
        *_failure(analysis),
        *_numbers(analysis),
        *_flight(analysis),
        *_times(analysis),
    ):
        yield check.broken("analysis", analysis.id, f"{analysis.model}: {text}", **above)
    if media.deleted_at is None and run.status not in TERMINAL_RUN:
        yield from _moving(analysis, above)
    yield from _artifacts(analysis, above)
    for attempt in analysis.attempts:
        if attempt.id != attempt_id(analysis.id, attempt.number):
            text = f"{analysis.model}, attempt {attempt.number}: its id is another one's."
            yield c.ATTEMPT_ID.broken("attempt", attempt.id, text, **above)
        overdue = _overdue(attempt, now)
        if overdue > limits.deadline_slack:
            text = f"{analysis.model}, attempt {attempt.number}: its deadline passed {overdue:.0f} s ago."
            yield c.ATTEMPT_DEADLINE.broken("attempt", attempt.id, text, **above)


def _result(a: AnalysisFacts) -> Iterator[tuple[c.Check, str]]:
    there = {"prediction": a.prediction, "confidence": a.confidence, "score": a.score, "basis": a.basis}
    if a.status == AnalysisStatus.COMPLETED:
        missing = [name for name in ("prediction", "confidence", "basis") if there[name] is None]
        if missing or not a.has_model_info:
            yield (
                c.RESULT_ONLY_COMPLETED,
                f"it is COMPLETED without {', '.join(missing) or 'the record of its model'}.",
            )
    else:
        early = [name for name, value in there.items() if value is not None]
        if early or a.has_children:
            yield c.RESULT_ONLY_COMPLETED, f"it is {a.status} and has {', '.join(early) or 'evidence of a result'}."
    succeeded = [t.number for t in a.attempts if t.state == AttemptState.SUCCEEDED]
    due = [a.attempt] if a.status == AnalysisStatus.COMPLETED else []
    if succeeded != due:
        yield c.RESULT_OF_CURRENT, f"it is {a.status} at attempt {a.attempt}, and the attempts {succeeded} succeeded."


def _failure(a: AnalysisFacts) -> Iterator[tuple[c.Check, str]]:
    if (a.status == AnalysisStatus.FAILED) != (a.error_class is not None):
        yield c.FAILURE_CLASS, f"it is {a.status} with the class {a.error_class}."
    for t in a.attempts:
        if (t.state == AttemptState.FAILED) != (t.error_class is not None):
            yield c.FAILURE_CLASS, f"attempt {t.number} is {t.state} with the class {t.error_class}."
    unrecorded = sorted({t.number for t in a.attempts if t.state == AttemptState.FAILED} - a.recorded)
    if unrecorded:
        yield c.FAILURE_RECORDED, f"the failed attempts {unrecorded} have no record."


def _numbers(a: AnalysisFacts) -> Iterator[tuple[c.Check, str]]:
    numbers = [t.number for t in a.attempts]
    if numbers != list(range(1, a.attempt + 1)):
        yield c.ATTEMPT_NUMBERS, f"the current attempt is {a.attempt}, and there are {numbers}."
    if a.attempt > a.budget or len(numbers) > a.budget:
        yield c.ATTEMPT_NUMBERS, f"its budget is {a.budget}, and there are {max(a.attempt, len(numbers))} attempts."


def _flight(a: AnalysisFacts) -> Iterator[tuple[c.Check, str]]:
    flying = [t.number for t in a.attempts if t.job_ended_at is None]
    if len(flying) > 1:
        yield c.ONE_IN_FLIGHT, f"the attempts {flying} are in flight at once."
    may_write = [t.number for t in a.attempts if t.state not in ENDED_ATTEMPT]
    due = [] if a.status in TERMINAL_ANALYSIS else [a.attempt]
    foreign = [number for number in may_write if number not in due]
    if foreign:
        yield c.ATTEMPT_FENCED, f"it is {a.status} at attempt {a.attempt}, and the attempts {foreign} may write."


def _times(a: AnalysisFacts) -> Iterator[tuple[c.Check, str]]:
    if (a.status in TERMINAL_ANALYSIS) != (a.finished_at is not None):
        yield c.ATTEMPT_TIMES, f"it is {a.status}, its end is {a.finished_at}."
    started = a.status in (AnalysisStatus.PROCESSING, AnalysisStatus.COMPLETED)
    if (started and a.started_at is None) or (a.status == AnalysisStatus.PENDING and a.started_at is not None):
        yield c.ATTEMPT_TIMES, f"it is {a.status}, its start is {a.started_at}."
    for t in a.attempts:
        if (t.state in ENDED_ATTEMPT) != (t.finished_at is not None):
            yield c.ATTEMPT_TIMES, f"attempt {t.number} is {t.state}, its end is {t.finished_at}."
        if t.state == AttemptState.STARTED and t.started_at is None:
            yield c.ATTEMPT_TIMES, f"attempt {t.number} is STARTED and has no start."


def _moving(a: AnalysisFacts, above: Mapping[str, object]) -> Iterator[Violation]:
    """The end of a Job and the decision about the next attempt are one transaction."""
    if a.status in TERMINAL_ANALYSIS or not a.attempts or a.retry_at is not None:
        return
    current = a.attempts[-1]
    if current.state in ENDED_ATTEMPT and current.job_ended_at is not None:
        text = f"{a.model}: attempt {current.number} is over ({current.state}), and nothing follows."
        yield c.NEXT_STEP.broken("analysis", a.id, text, **above)


def _artifacts(a: AnalysisFacts, above: Mapping[str, object]) -> Iterator[Violation]:
    handed_in = {t.id for t in a.attempts if t.state == AttemptState.SUCCEEDED}
    own = {t.id for t in a.attempts}
    for artifact in a.artifacts:
        if artifact.attempt_id not in own or (artifact.listed and artifact.attempt_id not in handed_in):
            text = f"{a.model}: it is {'listed' if artifact.listed else 'kept'} for attempt {artifact.attempt_id}."
            yield c.ARTIFACT_OWNER.broken("artifact", artifact.id, text, **above)


def _overdue(t: AttemptFacts, now: datetime) -> float:
    """Seconds beyond the running deadline, while the attempt may still write."""
    if t.state in ENDED_ATTEMPT or t.started_at is None:
        return 0.0
    return (now - t.started_at).total_seconds() - t.running_deadline
