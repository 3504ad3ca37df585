"""What can go wrong, in our own words.

`ErrorClass` says why an analysis, an attempt or a run failed; every failure has exactly one.
The exceptions are what a verb of the core raises; HTTP codes and exit codes are chosen at the doors.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorClass(StrEnum):
    """Why an attempt, an analysis or a run failed. A class never changes its meaning."""

    BAD_MEDIA = "BAD_MEDIA"
    """The file itself cannot be examined. Permanent."""
    ML_UNAVAILABLE = "ML_UNAVAILABLE"
    """The ML service could not be reached, or answered 5xx. Retryable."""
    INTERNAL = "INTERNAL"
    """A bug or an exhausted neighbour of ours. Retryable."""
    ML_CONTRACT = "ML_CONTRACT"
    """A malformed answer, or the answer of another model. Permanent."""
    CANCELLED = "CANCELLED"
    """Cancelled, deleted or fenced. Permanent."""
    DEADLINE = "DEADLINE"
    """The running deadline passed. Permanent."""
    CRASHED = "CRASHED"
    """Out of memory, a signal, a lost node. Retryable."""
    UNSCHEDULABLE = "UNSCHEDULABLE"
    """No node took the pod before the pending deadline, or the run grew too old. Permanent."""
    CLUSTER_REJECTED = "CLUSTER_REJECTED"
    """Quota, admission or another refusal of the cluster. Permanent."""
    NO_COMPATIBLE_MODEL = "NO_COMPATIBLE_MODEL"
    """Of a run: no loaded model takes this kind of media."""
    NO_DISCOVERY = "NO_DISCOVERY"
    """Of a run: the models could not be discovered before the deadline."""
    MODELS_FAILED = "MODELS_FAILED"
    """Of a run: all analyses failed, for differing reasons."""


RETRYABLE = frozenset({ErrorClass.ML_UNAVAILABLE, ErrorClass.INTERNAL, ErrorClass.CRASHED})
"""Classes that end an attempt only; the operator decides about the next one."""

RUNNER_CLASSES = frozenset(
    {
        ErrorClass.BAD_MEDIA,
        ErrorClass.ML_UNAVAILABLE,
        ErrorClass.INTERNAL,
        ErrorClass.ML_CONTRACT,
        ErrorClass.CANCELLED,
    }
)
"""Classes that a runner may report about its own attempt."""

EXIT_CODES = {
    ErrorClass.BAD_MEDIA: 65,
    ErrorClass.ML_UNAVAILABLE: 69,
    ErrorClass.INTERNAL: 70,
    ErrorClass.ML_CONTRACT: 76,
    ErrorClass.CANCELLED: 77,
}
"""Exit codes of the runner (sysexits.h where it has a word for it). 0: handed in. 143: SIGTERM."""


class DrishtikshaError(Exception):
    """Base of every error that the core raises on purpose; its text may be shown to the caller."""


class NotFound(DrishtikshaError):
    """The thing does not exist, or belongs to somebody else: callers cannot tell which."""


class EmailTaken(DrishtikshaError):
    """Another account has this e-mail address."""


class RunActive(DrishtikshaError):
    """The media already has a run that is not final."""

    def __init__(self, run_id: str, run_number: int) -> None:
        super().__init__("An analysis run of this media is still active.")
        self.run_id = run_id
        self.run_number = run_number


class NotActive(DrishtikshaError):
    """The media has no active run that could be cancelled."""


class QuotaExceeded(DrishtikshaError):
    """The user's quota of bytes or media would be exceeded."""


class Fenced(DrishtikshaError):
    """This attempt may no longer write: another is current, or its run is final, cancelled or deleted."""


class InFlight(DrishtikshaError):
    """Another request with the same key is still at work."""


class Unavailable(DrishtikshaError):
    """A neighbour does not answer. `what` names it: postgres, objects, ml, redis or kubernetes."""

    def __init__(self, what: str, message: str, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.what = what
        self.retry_after = retry_after


class BadSettings(DrishtikshaError):
    """A setting has a bad value; the text names the setting, the value's fault, and the cure."""
