"""Looks at the ML service, and how analyses ended, as clients see them. Names of models are data."""

from __future__ import annotations

from typing import Any

from drishtiksha.database.counts import Outcome, Outcomes
from drishtiksha.database.health import PastLook

from .values import moment


def past_look(past: PastLook) -> dict[str, Any]:
    """One row of the history; times in milliseconds."""
    look = past.look
    return {
        "id": str(past.id),
        "status": look.status,
        "responseTimeMs": look.response_time_ms,
        "responseTime": look.response_time_ms,
        "checkedAt": moment(past.checked_at),
        "version": look.version,
        "errorMessage": look.error,
        "statsPayload": look.stats,
    }


def outcomes(timeframe: str, seen: Outcomes) -> dict[str, Any]:
    """A period, all that ended in it, and the same figures of each model."""
    return {
        "timeframe": timeframe,
        "period": {"start": moment(seen.start), "end": moment(seen.end)},
        **_figures(sum(seen.models.values(), Outcome())),
        "models": {name: _figures(outcome) for name, outcome in seen.models.items()},
    }


def _figures(outcome: Outcome) -> dict[str, Any]:
    """Counts; the mean time of a success in seconds, and the share of successes, null where there is none to take."""
    total = outcome.successful + outcome.failed
    return {
        "total": total,
        "successful": outcome.successful,
        "failed": outcome.failed,
        "avgProcessingTime": outcome.seconds / outcome.timed if outcome.timed else None,
        "successRate": outcome.successful / total if total else None,
    }
