"""Finds the brick wall of a spectrum: the frequency above which a codec, a resampler or a synthesiser left nothing.

Next to it: `acoustics.py`, whose frames it averages per stretch of speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drishtiksha_models.perception.acoustics import Doubles, Floats, decibels
from drishtiksha_models.perception.speech import Segment

BAND = 500.0
"""Hz on either side of the edge over which the spectrum is averaged."""
EDGE = 200.0
"""Hz that the edge itself may take."""
DROP = 15.0
"""dB; a smaller step is no wall. Voices lose about 12 dB per octave by themselves, which is less within 1.2 kHz."""
LOWEST = 2000.0
"""Hz; under it, steps are formants."""


@dataclass(frozen=True, slots=True)
class BrickWall:
    """An edge at `frequency` Hz with `drop` dB between the bands below and above it."""

    frequency: float
    drop: float


class MeanSpectra:
    """Mean power spectrum of the whole recording and of each segment."""

    def __init__(self, bins: int, segments: Sequence[Segment]) -> None:
        self._starts = np.array([s.start for s in segments])
        self._ends = np.array([s.end for s in segments])
        self._sums = np.zeros((len(segments), bins), np.float32)
        self._counts = np.zeros(len(segments), np.int64)
        self._sum = np.zeros(bins, np.float64)
        self._count = 0

    def feed(self, middles: Doubles, power: Floats) -> None:
        """Take frames x bins with the middle of each frame in seconds."""
        self._sum += power.sum(axis=0, dtype=np.float64)
        self._count += len(power)
        if self._starts.size == 0:
            return
        index = np.searchsorted(self._starts, middles, side="right") - 1
        inside = (index >= 0) & (middles < self._ends[np.maximum(index, 0)])
        for i in np.unique(index[inside]):
            mine = inside & (index == i)
            self._sums[i] += power[mine].sum(axis=0)
            self._counts[i] += int(mine.sum())

    @property
    def whole(self) -> Doubles:
        """bins"""
        return self._sum / max(1, self._count)

    def segment(self, i: int) -> Doubles | None:
        """bins; None when no frame lay in the segment."""
        return self._sums[i].astype(np.float64) / self._counts[i] if self._counts[i] else None


def brick_wall(power: Doubles, frequencies: Doubles) -> BrickWall | None:
    """The steepest fall of a mean power spectrum that nothing follows; None when the spectrum reaches the top.

    Monotonic under low-pass filters in our measurements. It reads low by up to the width of the filter's own slope.
    """
    level = decibels(power)
    spacing = float(frequencies[1])
    band = max(2, round(BAND / spacing))
    half = max(1, round(EDGE / 2 / spacing))
    sums = np.concatenate([[0.0], np.cumsum(level)])
    first, last = max(band + half, int(LOWEST / spacing)), level.size - half - 2
    best: BrickWall | None = None
    for i in range(first, last):
        top = min(level.size, i + half + band)
        below = (sums[i - half] - sums[i - half - band]) / band
        above = (sums[top] - sums[i + half]) / (top - i - half)
        drop = float(below - above)
        if drop < DROP or (best is not None and drop <= best.drop):
            continue
        # What rises again above the edge makes it a gap, not a wall.
        if np.percentile(level[i + half :], 90) < below - DROP / 2:
            best = BrickWall(float(frequencies[i]), drop)
    return best
