"""Mel spectrograms as `inputs.Mel` describes them, with numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import inputs

Floats = NDArray[np.float32]
_LEAST = 1e-6
"""Power that is added before the logarithm."""


class Spectrogram:
    """Sound in, [bands, frames] out. The filters are made once."""

    def __init__(self, said: inputs.Mel) -> None:
        self._said = said
        self._window = np.hanning(said.n_fft + 1)[:-1].astype(np.float32)
        self._filters = filters(said.rate, said.n_fft, said.bands, said.low, said.high or said.rate / 2)

    def __call__(self, samples: Floats) -> Floats:
        said = self._said
        padded = samples if len(samples) >= said.n_fft else np.pad(samples, (0, said.n_fft - len(samples)))
        frames = np.lib.stride_tricks.sliding_window_view(padded, said.n_fft)[:: said.step]
        power = np.abs(np.fft.rfft(frames * self._window, axis=1)) ** 2
        bands = (power @ self._filters.T).T
        return np.asarray(np.log(bands + _LEAST) if said.log else bands, np.float32)


def filters(rate: int, n_fft: int, bands: int, low: float, high: float) -> Floats:
    """[bands, n_fft // 2 + 1]: triangles on the scale of HTK, each of area one (Slaney's norm: 2 / width in Hz)."""
    edges = _hertz(np.linspace(_mel(low), _mel(high), bands + 2))
    at = np.linspace(0, rate / 2, n_fft // 2 + 1)
    rising = (at[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - at[None]) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None], np.float32)


def _mel(hertz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hertz / 700.0))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
