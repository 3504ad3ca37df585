"""How patient the runner is: pauses, timeouts and the attempt's clock. All in seconds, all by the monotonic clock.

`door` and `model` take a `Timing` and a `Clock`; tests hand in shorter ones.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Timing:
    """Defaults for a pod in a cluster."""

    connect: float = 5.0
    door_read: float = 30.0
    door_pause: float = 0.5
    door_pause_max: float = 15.0
    before_assignment: float = 1800.0
    """Nobody has told us the deadline yet: the usual running deadline, which the pod itself cannot outlive."""
    heartbeat: float = 8.0
    """The protocol wants 20; a call may take its own timeout of 10."""
    heartbeat_timeout: float = 10.0
    progress_gap: float = 0.25
    stats_read: float = 15.0
    ml_write: float = 60.0
    """For each piece of the upload, not for all of it."""
    ml_patience: float = 30.0
    """How long an ML service may refuse connections within one attempt. An analysis that broke is not asked again here:
    to repeat it from scratch is the operator's decision."""
    ml_pause: float = 0.5
    ml_pause_max: float = 5.0
    busy_pause: float = 2.0
    busy_pause_max: float = 30.0
    retry_after_max: float = 300.0
    starting: float = 60.0
    """A service up for less than this may still be loading its models."""
    look_again: float = 2.0
    picture_patience: float = 30.0
    """How long the pictures that an answer points to may take, all together."""
    artifact_patience: float = 60.0
    """How long a door that cannot store a picture is asked again, all pictures together: the result must not wait."""
    last_word: float = 5.0
    """Kept free before the deadline, so that a failure can still be handed in."""


class Clock:
    """Counts down what is left of the attempt."""

    def __init__(self, seconds_left: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._end = now() + seconds_left

    def left(self) -> float:
        """Seconds until the deadline, 0 when it has passed."""
        return max(0.0, self._end - self._now())


def pause(tries: int, first: float, longest: float) -> float:
    """Before try number `tries` + 1 (from 0): doubled each time, with jitter of half its length."""
    full = min(longest, first * 2 ** min(tries, 16))
    return random.uniform(full / 2, full)


def retry_after(header: str | None, longest: float) -> float | None:
    """Seconds that a Retry-After header asks for (a number or an HTTP date), at most `longest`; None if unreadable."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            then = parsedate_to_datetime(header)
        except ValueError:
            return None
        seconds = (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), longest)
