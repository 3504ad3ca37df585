"""How attempts and runs end: the two decisions that the database's verbs carry out under their locks.

`status` says what a run's status is; the verbs of `drishtiksha.database.runs` ask here whether it ends at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import RETRYABLE, ErrorClass
from .status import TERMINAL_ANALYSIS, AnalysisStatus, RunStatus, run_reason, run_status


@dataclass(frozen=True)
class Ending:
    """How a run ends."""

    status: RunStatus
    reason: ErrorClass | None


def tries_again(error: ErrorClass, attempt: int, budget: int, *, cancelled: bool) -> bool:
    """Whether another attempt follows number `attempt` that failed with `error`; else the analysis has failed."""
    return error in RETRYABLE and attempt < budget and not cancelled


def fails_as(error: ErrorClass, *, cancelled: bool) -> ErrorClass:
    """The class of an analysis whose last attempt failed with `error`.

    In a cancelled run, what another attempt could have mended is CANCELLED: a runner that hears of the cancellation
    exits, and its Job may be seen to end before anybody has ended its analysis.
    """
    return ErrorClass.CANCELLED if cancelled and error in RETRYABLE else error


def ending(
    analyses: Sequence[tuple[AnalysisStatus, ErrorClass | None]],
    *,
    frozen: bool,
    cancelled: bool,
    unfrozen: ErrorClass | None,
) -> Ending | None:
    """How a run with this expected set ends now; None while it does not.

    `unfrozen` says why a run without a set ends; it is ignored once the set is frozen.
    """
    if not frozen and unfrozen is None and not cancelled:
        return None
    if any(status not in TERMINAL_ANALYSIS for status, _ in analyses):
        return None
    status = run_status(True, [status for status, _ in analyses])
    if analyses:
        return Ending(status, run_reason(status, cancelled, [error for _, error in analyses if error is not None]))
    return Ending(status, ErrorClass.CANCELLED if cancelled else (unfrozen or ErrorClass.NO_COMPATIBLE_MODEL))
