"""Closings of the eyes, read from how far they were open over time. Pure.

Next to it: `eyes.py`, which measures one frame; `eye_picture.py`, which draws both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

CLOSED = 0.15
"""Openness under which the eyes count as shut."""
OPEN = 0.18
"""Openness above which they count as open again; higher than CLOSED, so that trembling makes no blinks."""
LONGEST_BLINK = 0.5
"""Seconds; a longer closing is none: a spontaneous blink takes 0.1 to 0.4 s."""
LONGEST_GAP = 0.25
"""Seconds without a reading over which a closing is not followed."""


@dataclass(frozen=True, slots=True)
class Closing:
    """Eyes shut from `start` to `end` in seconds. `whole`: both the shutting and the opening were seen."""

    start: float
    end: float
    lowest: float
    whole: bool

    @property
    def blink(self) -> bool:
        """A whole closing that is short enough."""
        return self.whole and self.end - self.start <= LONGEST_BLINK


def closings(times: Sequence[float], openness: Sequence[float | None]) -> list[Closing]:
    """Every closing, in order. A frame without a reading is None; its neighbours must be close enough to bridge it."""
    found: list[Closing] = []
    start, lowest, whole = None, 1.0, False
    seen_open, last = False, None
    for at, value in zip(times, openness, strict=True):
        if value is None:
            continue
        if last is not None and at - last > LONGEST_GAP:
            if start is not None:
                found.append(Closing(start, last, lowest, False))
            start, seen_open = None, False
        if start is None and value < CLOSED:
            start, lowest, whole = at, value, seen_open
        elif start is not None and value > OPEN:
            found.append(Closing(start, at, lowest, whole))
            start = None
        if start is not None:
            lowest = min(lowest, value)
        seen_open = seen_open or value > OPEN
        last = at
    if start is not None and last is not None:
        found.append(Closing(start, last, lowest, False))
    return found


def read_seconds(times: Sequence[float], openness: Sequence[float | None]) -> float:
    """Seconds between readings that are close enough to follow the eyes from one to the next."""
    read = [at for at, value in zip(times, openness, strict=True) if value is not None]
    return sum(b - a for a, b in pairwise(read) if b - a <= LONGEST_GAP)
