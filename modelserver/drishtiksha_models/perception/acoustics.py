"""Measures what a recording is like: level, silence, runs of exact zeros, clipping, and the shape of its spectrum.

Fed block by block at the file's own rate; memory grows by one number per 100 ms only.
Next to it: `bandwidth.py` (where the spectrum ends), `pitch.py`, `spectrogram.py` (the same frames as a picture).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

FLOOR_DB = -120.0
"""dBFS written for digital silence, since a logarithm of zero is no number."""
SILENCE_DB = -50.0
"""dBFS; a tenth of a second under it counts as silence."""
LEVEL_STEP = 0.1
"""Seconds per point of the level curve."""
ZERO_RUN = 0.01
"""Seconds; shorter runs of exact zeros are ordinary."""
FULL_SCALE = 0.9999
"""The largest 16-bit sample is 32767/32768 = 0.99997."""
CLIPPED_RUN = 3
"""Consecutive samples at full scale that count as clipped; a single one may be a peak."""
KEPT_RUNS = 1000
"""Runs kept with their place; further ones are counted only."""


def decibels(power: Doubles | Floats) -> Doubles:
    """10 log10 of a power, not below FLOOR_DB."""
    level: Doubles = 10.0 * np.log10(np.maximum(power.astype(np.float64), 10.0 ** (FLOOR_DB / 10.0)))
    return level


class Runs:
    """Finds runs of True of at least `shortest` samples in masks that arrive one after the other."""

    def __init__(self, shortest: int) -> None:
        self.shortest = max(1, shortest)
        self.count = 0
        self.total = 0
        self.longest = 0
        self.places: list[tuple[int, int]] = []
        self._seen = 0
        self._open: int | None = None

    def feed(self, mask: NDArray[np.bool_]) -> None:
        """Take the next mask."""
        if mask.size == 0:
            return
        edges = np.flatnonzero(np.diff(np.concatenate(([self._open is not None], mask)).astype(np.int8)))
        for edge in edges.tolist():
            if self._open is None:
                self._open = self._seen + edge
            else:
                self._close(self._seen + edge)
        self._seen += mask.size

    def finish(self) -> None:
        """Close a run that reaches the end."""
        if self._open is not None:
            self._close(self._seen)

    def _close(self, end: int) -> None:
        start, self._open = self._open or 0, None
        length = end - start
        if length < self.shortest:
            return
        self.count += 1
        self.total += length
        self.longest = max(self.longest, length)
        if len(self.places) < KEPT_RUNS:
            self.places.append((start, end))


@dataclass(frozen=True, slots=True)
class Waveform:
    """What the samples themselves say: seconds, linear RMS (full scale 1.0), dBFS per LEVEL_STEP, fractions, runs."""

    seconds: float
    rms: float
    level_db: Doubles
    silence_ratio: float
    zero_runs: list[tuple[float, float]]
    zero_run_count: int
    zero_seconds: float
    longest_zero_seconds: float
    clipped_runs: int
    clipped_samples: int


class WaveformMeter:
    """Measures a waveform that arrives in blocks of channels x samples."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate = rate
        self._step = max(1, int(rate * LEVEL_STEP))
        self._samples = 0
        self._energy = 0.0
        self._levels: list[Doubles] = []
        self._rest = np.zeros(0, np.float32)
        self._zeros = Runs(int(rate * ZERO_RUN))
        self._clipped = [Runs(CLIPPED_RUN) for _ in range(channels)]

    def feed(self, block: Floats) -> None:
        """Take the next block."""
        power = np.mean(np.square(block, dtype=np.float64), axis=0)
        self._samples += power.size
        self._energy += float(power.sum())
        self._zeros.feed(np.all(block == 0.0, axis=0))
        for runs, channel in zip(self._clipped, block, strict=True):
            runs.feed(np.abs(channel) >= FULL_SCALE)
        waiting = np.concatenate([self._rest, power])
        whole = waiting.size // self._step * self._step
        self._levels.append(waiting[:whole].reshape(-1, self._step).mean(axis=1))
        self._rest = waiting[whole:]

    def finish(self) -> Waveform:
        """Everything measured."""
        self._zeros.finish()
        for runs in self._clipped:
            runs.finish()
        if not self._levels or not any(part.size for part in self._levels):
            self._levels = [np.array([self._rest.mean() if self._rest.size else 0.0])]
        level = decibels(np.concatenate(self._levels))
        return Waveform(
            seconds=self._samples / self._rate,
            rms=float(np.sqrt(self._energy / max(1, self._samples))),
            level_db=level,
            silence_ratio=float(np.mean(level < SILENCE_DB)),
            zero_runs=[(a / self._rate, b / self._rate) for a, b in self._zeros.places],
            zero_run_count=self._zeros.count,
            zero_seconds=self._zeros.total / self._rate,
            longest_zero_seconds=self._zeros.longest / self._rate,
            clipped_runs=sum(r.count for r in self._clipped),
            clipped_samples=sum(r.total for r in self._clipped),
        )


def noise_floor(level_db: Doubles, window: int = 10) -> Doubles:
    """Tenth percentile of the level in windows of `window` points (one second), in dBFS, one value per window."""
    count = max(1, -(-level_db.size // window))
    return np.array([np.percentile(level_db[i * window : (i + 1) * window], 10) for i in range(count)])


class Framer:
    """Cuts mono sound into half-overlapping Hann frames and gives their power spectra.

    A full-scale sine has a peak of 0 dB. `size` is the power of two nearest to 46 ms.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.size = 2 ** round(np.log2(rate * 0.046))
        self.hop = self.size // 2
        self.frequencies: Doubles = np.asarray(np.fft.rfftfreq(self.size, 1 / rate), np.float64)
        self._window = np.hanning(self.size + 1)[:-1]
        self._gain = (2.0 / self._window.sum()) ** 2
        self._rest = np.zeros(0, np.float32)
        self._frames = 0

    def feed(self, mono: Floats) -> Iterator[tuple[Doubles, Floats]]:
        """(middle of each frame in seconds, frames x bins power), for the frames that became complete."""
        waiting = np.concatenate([self._rest, mono])
        count = 0 if waiting.size < self.size else 1 + (waiting.size - self.size) // self.hop
        self._rest = waiting[count * self.hop :]
        for first in range(0, count, 256):
            n = min(256, count - first)
            part = waiting[first * self.hop : first * self.hop + (n - 1) * self.hop + self.size]
            frames = np.lib.stride_tricks.sliding_window_view(part, self.size)[:: self.hop]
            power = np.abs(np.fft.rfft(frames * self._window, axis=1)) ** 2 * self._gain
            middles = ((np.arange(n) + self._frames) * self.hop + self.size / 2) / self.rate
            self._frames += n
            yield middles, power.astype(np.float32)


class SpectralShape:
    """Mean spectral centroid and contrast over the frames that are not silent.

    Centroid: magnitude-weighted mean frequency. Contrast: Jiang et al., "Music type classification by spectral
    contrast feature", ICME 2002: in each octave, the decibels between the strongest and the weakest 2 % of the bins.
    """

    def __init__(self, frequencies: Doubles) -> None:
        self._frequencies = frequencies
        edges = [0.0, *(200.0 * 2.0**i for i in range(16))]
        pairs = itertools.pairwise(edges)
        spans = [np.searchsorted(frequencies, pair) for pair in pairs]
        self._bands = [(int(a), int(b)) for a, b in spans if b - a >= 4]
        self._frames = 0
        self._centroid = 0.0
        self._contrast = 0.0

    def feed(self, power: Floats) -> None:
        """Take frames x bins."""
        # A sine's power spectrum sums to 1.5 times its peak under a Hann window, and its RMS power is half the peak.
        loud = power[power.sum(axis=1, dtype=np.float64) / 3.0 > 10.0 ** (SILENCE_DB / 10.0)]
        if loud.size == 0:
            return
        magnitude = np.sqrt(loud.astype(np.float64))
        self._centroid += float((magnitude @ self._frequencies / magnitude.sum(axis=1)).sum())
        contrasts = []
        for a, b in self._bands:
            ordered = np.sort(loud[:, a:b], axis=1)
            few = max(1, round(0.02 * (b - a)))
            contrasts.append(decibels(ordered[:, -few:].mean(axis=1)) - decibels(ordered[:, :few].mean(axis=1)))
        self._contrast += float(np.mean(contrasts, axis=0).sum())
        self._frames += len(loud)

    @property
    def centroid(self) -> float | None:
        """Hz; None when every frame was silent."""
        return self._centroid / self._frames if self._frames else None

    @property
    def contrast(self) -> float | None:
        """dB; None when every frame was silent."""
        return self._contrast / self._frames if self._frames else None
