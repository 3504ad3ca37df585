"""Recordings drawn by code: tones without speech, and a voice of pulses and resonances that says nothing."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 48_000
VOWELS = ((800, 1200, 2500), (280, 2250, 2900), (310, 870, 2250), (500, 1800, 2500), (450, 800, 2600))
"""First three formants in Hz of five vowels (Peterson and Barney 1952, rounded)."""
Sound = NDArray[np.float32]


def tones(rng: np.random.Generator, seconds: float, rate: int = RATE) -> Sound:
    """A slow melody of decaying tones over a little noise, mono, -1..1."""
    t = np.arange(int(seconds * rate)) / rate
    sound = rng.normal(0, 0.004, t.size)
    for start in np.arange(0, seconds, 0.75):
        pitch = 196.0 * 2 ** (rng.choice([0, 2, 4, 7, 9, 12]) / 12)
        age = np.clip(t - start, 0, None)
        envelope = np.where(t >= start, np.exp(-3 * age), 0.0)
        sound += 0.22 * envelope * (np.sin(2 * np.pi * pitch * age) + 0.3 * np.sin(4 * np.pi * pitch * age))
    mono: Sound = np.clip(sound, -1, 1).astype(np.float32)
    return mono


def voice(rng: np.random.Generator, seconds: float, pitch: float = 120.0, rate: int = RATE) -> Sound:
    """Syllables of a glottal pulse train through three resonances: enough of a voice to wake a speech network."""
    from scipy.signal import lfilter

    parts: list[Sound] = []
    done, phase = 0, 0.0
    while done < seconds * rate:
        n = int(rate * rng.uniform(0.12, 0.22))
        t = np.arange(n) / rate
        turns = phase + np.cumsum(pitch * (1 + 0.05 * np.sin(2 * np.pi * 1.3 * (done / rate + t)))) / rate
        phase = turns[-1] % 1
        sound = lfilter([1], [1, -0.96], np.diff(np.floor(np.concatenate([[turns[0]], turns]))))
        sound = sound + 0.01 * rng.standard_normal(n)
        for formant, width in zip(VOWELS[rng.integers(len(VOWELS))], (80, 100, 150), strict=True):
            r = np.exp(-np.pi * width / rate)
            sound = lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * formant / rate), r * r], sound)
        syllable = sound / np.abs(sound).max() * np.minimum(1, np.minimum(t / 0.03, (t[-1] - t) / 0.04)) * 0.4
        parts.append(np.asarray(syllable, np.float32))
        done += n
    return np.concatenate(parts)[: int(seconds * rate)]


def flac(path: Path, sound: Sound, rate: int = RATE) -> None:
    """Mono, 16 bits, without loss."""
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray((sound * 32767).astype(np.int16)[None, :], format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
