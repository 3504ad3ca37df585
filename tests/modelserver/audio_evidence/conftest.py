"""Sound drawn by code for the tests of AUDIO-EVIDENCE-V1: a voice, noise, tones, and files of them."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import firwin, lfilter

Sound = NDArray[np.float32]
Write = Callable[[str, Sound, int], Path]

VOWELS = ((800, 1200, 2500), (280, 2250, 2900), (310, 870, 2250), (500, 1800, 2500), (450, 800, 2600))
"""First three formants in Hz of five vowels (Peterson & Barney 1952, rounded)."""


class Draw:
    """Draws one channel of sound as float samples."""

    @staticmethod
    def voice(seconds: float, pitch: float, rate: int = 16_000, seed: int = 5) -> Sound:
        """Syllables of a glottal pulse train through three resonances: enough of a voice to wake a speech network."""
        rng = np.random.default_rng(seed)
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
            parts.append(syllable.astype(np.float32))
            done += n
        return np.concatenate(parts)[: int(seconds * rate)]

    @staticmethod
    def noise(seconds: float, rate: int, seed: int = 1) -> Sound:
        """White noise at about -26 dBFS."""
        return (0.05 * np.random.default_rng(seed).standard_normal(int(seconds * rate))).astype(np.float32)

    @staticmethod
    def low_pass(sound: Sound, rate: int, edge: float) -> Sound:
        """A steep linear-phase low-pass."""
        return lfilter(firwin(801, edge, fs=rate), 1, sound).astype(np.float32)

    @staticmethod
    def band_stop(sound: Sound, rate: int, low: float, high: float) -> Sound:
        """Takes out what lies between two frequencies."""
        return lfilter(firwin(801, [low, high], fs=rate), 1, sound).astype(np.float32)


@pytest.fixture(scope="session")
def draw() -> Draw:
    """The pen."""
    return Draw()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes mono (n) or channels x n sound as 16-bit WAV; gives its path."""

    def _write(name: str, sound: Sound, rate: int) -> Path:
        channels = np.atleast_2d(sound)
        path = tmp_path / name
        with wave.open(str(path), "wb") as out:
            out.setnchannels(len(channels))
            out.setsampwidth(2)
            out.setframerate(rate)
            out.writeframes(
                np.round(np.clip(channels.T, -1, 32767 / 32768) * 32768).clip(-32768, 32767).astype("<i2").tobytes()
            )
        return path

    return _write
