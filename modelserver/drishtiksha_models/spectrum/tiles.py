"""Averages the power spectra of a picture's tiles: of its light, of what a median leaves over, of how predictable it is.

Averaging over tiles (Welch 1967) keeps what repeats everywhere, as traces of upsampling do, and bounds the memory.
Sources: residuals, Corvi et al., CVPR workshops 2023; predictability, Kirchner, MM&Sec 2008 (fixed linear predictor).
Next to it: `peaks.py`, which reads the averages.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 256
"""Pixels of a tile: every period of 2, 4 and 8 falls on a whole bin."""

Light = NDArray[np.uint8]
Power = NDArray[np.float64]

_PREDICTOR = np.array([[-0.25, 0.5, -0.25], [0.5, 0.0, 0.5], [-0.25, 0.5, -0.25]], np.float32)
"""Kirchner's fixed predictor of a pixel from its eight neighbours."""


class Spectra:
    """Sums of power, SIDE x SIDE, frequency 0 first. Feed pictures, then read the means."""

    def __init__(self) -> None:
        self._window = np.outer(np.hanning(SIDE), np.hanning(SIDE)).astype(np.float32)
        self._light, self._residual, self._predictable = (np.zeros((SIDE, SIDE)) for _ in range(3))
        self.tiles = 0

    def feed(self, light: Light, step: Callable[[], None]) -> None:
        """Take every whole tile of a picture's luminance; `step` is called after each row of tiles."""
        for top in range(0, light.shape[0] - SIDE + 1, SIDE):
            rows = slice(max(0, top - 1), top + SIDE + 1)
            strip = np.ascontiguousarray(light[rows])
            inner = slice(top - rows.start, top - rows.start + SIDE)
            left_over = (strip.astype(np.float32) - cv2.medianBlur(strip, 3))[inner]
            error = (strip - cv2.filter2D(strip.astype(np.float32), -1, _PREDICTOR))[inner]
            likely = np.exp(-np.square(error))
            for left in range(0, light.shape[1] - SIDE + 1, SIDE):
                columns = slice(left, left + SIDE)
                self._light += self._power(strip[inner, columns].astype(np.float32))
                self._residual += self._power(left_over[:, columns])
                self._predictable += self._power(likely[:, columns])
                self.tiles += 1
            step()

    def light(self) -> Power:
        """Mean power of the luminance."""
        return self._light / max(1, self.tiles)

    def residual(self) -> Power:
        """Mean power of what a 3x3 median leaves over."""
        return self._residual / max(1, self.tiles)

    def predictable(self) -> Power:
        """Mean power of the map of how well pixels follow from their neighbours; resampling makes it periodic."""
        return self._predictable / max(1, self.tiles)

    def _power(self, tile: NDArray[np.float32]) -> Power:
        return np.asarray(np.abs(np.fft.fft2((tile - tile.mean()) * self._window)) ** 2, np.float64)
