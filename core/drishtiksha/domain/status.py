"""Statuses, their legal changes, and the one function that says what a run's status is.

The same answer must be seen in SQL, REST, Socket.IO and kubectl; the database's triggers repeat the two
transition tables, and a test holds both to each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from .errors import ErrorClass


class AnalysisStatus(StrEnum):
    """Of one (run, model). A terminal status absorbs everything that comes late."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class RunStatus(StrEnum):
    """Of a run and of its media."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    ANALYZED = "ANALYZED"
    PARTIALLY_ANALYZED = "PARTIALLY_ANALYZED"
    FAILED = "FAILED"


class AttemptState(StrEnum):
    """Of one attempt. It holds its place (admission) until its Job has ended: `finished_at` is set then."""

    CREATED = "CREATED"
    """The row exists; the Job may or may not."""
    STARTED = "STARTED"
    """Its runner called the door."""
    SUCCEEDED = "SUCCEEDED"
    """It handed in the result."""
    FAILED = "FAILED"
    """It failed, by its own word or as seen from outside."""
    FENCED = "FENCED"
    """Its run was cancelled, deleted or concluded, or another attempt replaced it."""


TERMINAL_ANALYSIS = frozenset({AnalysisStatus.COMPLETED, AnalysisStatus.FAILED})
TERMINAL_RUN = frozenset({RunStatus.ANALYZED, RunStatus.PARTIALLY_ANALYZED, RunStatus.FAILED})
ENDED_ATTEMPT = frozenset({AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.FENCED})

ANALYSIS_CHANGES: dict[AnalysisStatus, frozenset[AnalysisStatus]] = {
    AnalysisStatus.PENDING: frozenset({AnalysisStatus.PROCESSING, AnalysisStatus.FAILED}),
    AnalysisStatus.PROCESSING: TERMINAL_ANALYSIS,
    AnalysisStatus.COMPLETED: frozenset(),
    AnalysisStatus.FAILED: frozenset(),
}
"""Legal changes of an analysis."""

RUN_CHANGES: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.QUEUED: frozenset({RunStatus.PROCESSING, RunStatus.FAILED}),
    RunStatus.PROCESSING: TERMINAL_RUN,
    RunStatus.ANALYZED: frozenset(),
    RunStatus.PARTIALLY_ANALYZED: frozenset(),
    RunStatus.FAILED: frozenset(),
}
"""Legal changes of a run. A media moves likewise, and back to QUEUED only with a higher run number."""


def run_status(frozen: bool, analyses: Iterable[AnalysisStatus]) -> RunStatus:
    """The status of a run whose expected set is `analyses` (any order), frozen or not."""
    seen = list(analyses)
    if not frozen:
        return RunStatus.QUEUED
    if all(s is AnalysisStatus.FAILED for s in seen):  # the empty set too: nothing was examined
        return RunStatus.FAILED
    if all(s is AnalysisStatus.COMPLETED for s in seen):
        return RunStatus.ANALYZED
    if all(s in TERMINAL_ANALYSIS for s in seen):
        return RunStatus.PARTIALLY_ANALYZED
    if any(s is not AnalysisStatus.PENDING for s in seen):
        return RunStatus.PROCESSING
    return RunStatus.QUEUED


def run_reason(status: RunStatus, cancelled: bool, classes: Iterable[ErrorClass]) -> ErrorClass | None:
    """Why a frozen run ended as it did: CANCELLED, the class that all failed analyses share, or MODELS_FAILED.

    `classes` are those of the failed analyses. None for a run that is neither FAILED nor cancelled.
    """
    if cancelled and status is not RunStatus.ANALYZED:
        return ErrorClass.CANCELLED
    if status is not RunStatus.FAILED:
        return None
    distinct = set(classes)
    return distinct.pop() if len(distinct) == 1 else ErrorClass.MODELS_FAILED
