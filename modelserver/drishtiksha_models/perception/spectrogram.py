"""Draws the spectrogram of a recording of any length into one picture, with plain axes, by numpy and Pillow.

Next to it: `acoustics.py`, whose frames it collects. Neighbouring columns are averaged as the recording grows.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from drishtiksha_models.perception.acoustics import Floats, decibels
from drishtiksha_models.perception.speech import Segment

WIDTH, HEIGHT = 960, 320
"""Pixels of the plot; the axes stand around it."""
LEFT, TOP, RIGHT, BOTTOM = 64, 28, 16, 64
"""Pixels around the plot."""
QUIET_DB, LOUD_DB = -100.0, 0.0
"""dBFS drawn darkest and brightest."""
MOST_COLUMNS = 1920
"""Columns kept; at this number, pairs become one."""

_STOPS = (
    (0.0, (4, 6, 20)),
    (0.3, (52, 28, 104)),
    (0.55, (168, 50, 100)),
    (0.8, (240, 140, 48)),
    (1.0, (252, 250, 190)),
)
_INK, _PAPER, _SPEECH = (32, 32, 40), (255, 255, 255), (20, 120, 200)


class Spectrogram:
    """Collects power spectra; `draw` makes the PNG."""

    def __init__(self, bins: int) -> None:
        self._columns: Floats = np.zeros((0, bins), np.float32)
        self._per_column = 1
        self._waiting: Floats = np.zeros((0, bins), np.float32)

    def feed(self, power: Floats) -> None:
        """Take frames x bins."""
        waiting = np.concatenate([self._waiting, power])
        whole, bins = len(waiting) // self._per_column, waiting.shape[1]
        grouped = waiting[: whole * self._per_column].reshape(whole, self._per_column, bins).mean(axis=1)
        self._waiting = waiting[whole * self._per_column :]
        self._columns = np.concatenate([self._columns, grouped])
        while len(self._columns) >= MOST_COLUMNS:
            even = len(self._columns) // 2 * 2
            self._waiting = np.concatenate([np.repeat(self._columns[even:], self._per_column, axis=0), self._waiting])
            self._columns = self._columns[:even].reshape(even // 2, 2, bins).mean(axis=1)
            self._per_column *= 2

    def draw(self, seconds: float, rate: int, speech: Sequence[Segment]) -> bytes:
        """PNG: time to the right in seconds, frequency upwards in kHz, speech as a bar under the plot."""
        columns = self._columns if len(self._columns) else np.zeros((1, self._columns.shape[1]), np.float32)
        level = (decibels(columns.T[::-1]) - QUIET_DB) / (LOUD_DB - QUIET_DB)
        plot = Image.fromarray(np.round(np.clip(level, 0, 1) * 255).astype(np.uint8)).resize(
            (WIDTH, HEIGHT), Image.Resampling.BOX
        )
        picture = Image.new("RGB", (LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM), _PAPER)
        picture.paste(Image.fromarray(_colours()[np.asarray(plot)]), (LEFT, TOP))
        pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
        bottom = TOP + HEIGHT
        pen.text((LEFT, 7), f"Level by time and frequency, {QUIET_DB:.0f} to {LOUD_DB:.0f} dBFS", _INK, font)
        for hertz in ticks(rate / 2, 6):
            y = bottom - round(hertz / (rate / 2) * HEIGHT)
            pen.line((LEFT - 5, y, LEFT - 1, y), _INK)
            pen.text((LEFT - 8, y), f"{hertz / 1000:g} kHz", _INK, font, anchor="rm")
        for second in ticks(seconds, 10):
            x = LEFT + round(second / max(seconds, 1e-9) * WIDTH)
            pen.line((x, bottom + 12, x, bottom + 16), _INK)
            pen.text((x, bottom + 18), f"{second:g} s", _INK, font, anchor="mt")
        for segment in speech:
            a, b = (LEFT + t / max(seconds, 1e-9) * WIDTH for t in (segment.start, min(segment.end, seconds)))
            pen.rectangle((a, bottom + 3, max(a + 1, b), bottom + 9), _SPEECH)
        words = "blue bar: speech" if speech else "no speech was heard"
        pen.text((LEFT, bottom + 42), f"time in seconds; {words}", _INK, font)
        out = io.BytesIO()
        picture.save(out, "PNG", compress_level=4)
        return out.getvalue()


def ticks(end: float, most: int) -> list[float]:
    """Round values from 0 to `end`, at most about `most` of them."""
    if end <= 0:
        return [0.0]
    rough = end / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(next(m * power for m in (1, 2, 5, 10) if m * power >= rough))
    return [round(i * step, 6) for i in range(int(end / step + 1e-9) + 1)]


def _colours() -> NDArray[np.uint8]:
    """256 x 3: dark blue by violet and orange to pale yellow, rising in brightness throughout."""
    at = np.linspace(0, 1, 256)
    where = [p for p, _ in _STOPS]
    return np.stack([np.interp(at, where, [c[i] for _, c in _STOPS]) for i in range(3)], axis=1).astype(np.uint8)
