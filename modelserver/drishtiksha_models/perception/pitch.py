"""Hears the pitch of a voice: the fundamental frequency of each frame, by normalised autocorrelation.

Source: Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a
sampled sound", IFA Proceedings 17, 1993, without its path finding. Next to it: `speech.py`, which says where to trust it.
"""

from __future__ import annotations

import numpy as np

from drishtiksha_models.perception.acoustics import Doubles, Floats
from drishtiksha_models.perception.speech import HOP, RATE

LOWEST, HIGHEST = 60.0, 400.0
"""Hz; the range of speaking voices."""
VOICED = 0.5
"""Normalised autocorrelation at which a frame counts as voiced."""
SIZE = 1024
"""Samples at 16 kHz: 64 ms, more than three periods of the lowest voice."""

_WINDOW = np.hanning(SIZE)
_LAGS = np.fft.irfft(np.abs(np.fft.rfft(_WINDOW, 2 * SIZE)) ** 2)[:SIZE]


class PitchMeter:
    """Pitch for each 32 ms of 16 kHz mono sound, fed block by block; the same steps as the speech network's."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._pitches: list[Doubles] = []

    def feed(self, samples: Floats) -> None:
        """Take samples of any number."""
        waiting = np.concatenate([self._rest, samples])
        count = 0 if waiting.size < SIZE else 1 + (waiting.size - SIZE) // HOP
        self._rest = waiting[count * HOP :]
        if count:
            part = waiting[: (count - 1) * HOP + SIZE]
            self._pitches.append(pitches(np.lib.stride_tricks.sliding_window_view(part, SIZE)[::HOP]))

    def finish(self) -> Doubles:
        """Hz per step, NaN where nothing periodic is heard."""
        return np.concatenate(self._pitches) if self._pitches else np.zeros(0)


def pitches(frames: Floats) -> Doubles:
    """Hz per frame of SIZE samples, NaN where the frame is not periodic between LOWEST and HIGHEST."""
    centred = (frames - frames.mean(axis=1, keepdims=True)).astype(np.float64) * _WINDOW
    spectra = np.abs(np.fft.rfft(centred, 2 * SIZE, axis=1)) ** 2
    raw = np.fft.irfft(spectra, axis=1)[:, :SIZE]
    shortest, longest = int(RATE / HIGHEST), int(RATE / LOWEST) + 1
    normalised = raw[:, : longest + 2] / np.maximum(raw[:, :1], 1e-9) / (_LAGS / _LAGS[0])[: longest + 2]
    inner = normalised[:, shortest : longest + 1]
    peaks = (inner > normalised[:, shortest - 1 : longest]) & (inner >= normalised[:, shortest + 1 : longest + 2])
    # Among equal peaks the shortest lag is the voice; the others are its octaves below.
    cost = np.where(peaks, inner, -np.inf) - 0.01 * np.log2(np.arange(shortest, longest + 1) / shortest)
    best = np.argmax(cost, axis=1)
    rows = np.arange(len(frames))
    left, mid, right = (normalised[rows, shortest + best + d] for d in (-1, 0, 1))
    bend = left - 2 * mid + right
    shift = np.where(np.abs(bend) > 1e-12, 0.5 * (left - right) / np.where(bend == 0, 1, bend), 0.0)
    found = peaks[rows, best] & (mid >= VOICED) & (raw[:, 0] > 1e-6)
    return np.where(found, RATE / (shortest + best + np.clip(shift, -0.5, 0.5)), np.nan)


def of_voice(voiced: Doubles) -> tuple[float, float] | None:
    """(mean pitch in Hz, stability 0..1) of the voiced steps of speech; None with fewer than ten of them.

    Stability is 1 - standard deviation / mean. Steps beyond a factor of 1.6 from the median are left out: they are
    octave errors of the autocorrelation, no movement of a voice.
    """
    if voiced.size < 10:
        return None
    middle = float(np.median(voiced))
    kept = voiced[(voiced > middle / 1.6) & (voiced < middle * 1.6)]
    return float(kept.mean()), float(max(0.0, 1.0 - kept.std() / kept.mean()))
