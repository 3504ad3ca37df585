"""Two small bounds of the door: how many results it holds in memory at once, and how often an attempt may speak."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from drishtiksha_api.problems import unavailable

MAX_RESULTS = 4
RESULT_SECONDS = 30.0
"""A result must have arrived so long after its place was taken: runners are near, and others wait."""
TICKS_PER_SECOND = 4.0
_REMEMBERED = 10_000


class Places:
    """At most `most` results in memory, one of each attempt; others are asked to come again."""

    def __init__(self, most: int = MAX_RESULTS) -> None:
        self._most = most
        self._taken: set[uuid.UUID] = set()

    @contextmanager
    def taken(self, attempt_id: uuid.UUID) -> Iterator[None]:
        """A place for the time of the block. Raises Problem UNAVAILABLE with Retry-After."""
        if len(self._taken) >= self._most or attempt_id in self._taken:
            raise unavailable("door", 1, "Other results are being handed in; please come again in a second.")
        self._taken.add(attempt_id)
        try:
            yield
        finally:
            self._taken.discard(attempt_id)


class Throttle:
    """Lets at most four ephemeral messages per second and attempt through; the others are dropped, not refused."""

    def __init__(self, per_second: float = TICKS_PER_SECOND) -> None:
        self._gap = 1.0 / per_second
        self._last: dict[uuid.UUID, float] = {}

    def allows(self, attempt_id: uuid.UUID) -> bool:
        """Whether this attempt may speak now."""
        now = time.monotonic()
        if now - self._last.get(attempt_id, -self._gap) < self._gap:
            return False
        if len(self._last) >= _REMEMBERED:
            self._last.clear()
        self._last[attempt_id] = now
        return True
