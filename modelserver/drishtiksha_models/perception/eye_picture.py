"""Draws what blinks were read from: the eyes open and shut with the outline of their lids, and the curve over time.

Next to it: `eyes.py`, `blinks.py`. One picture for the analyst, by OpenCV and Pillow.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from drishtiksha_models.perception.blinks import CLOSED, OPEN, Closing
from drishtiksha_models.perception.eyes import Eye
from drishtiksha_models.perception.spectrogram import ticks

TILE = (320, 128)
"""Pixels of each of the two tiles above the curve."""
MARGIN, GAP, CURVE = 56, 24, 140
"""Pixels around, between, and of the curve's height."""
HIGHEST = 0.4
"""Openness at the top of the curve."""
_INK, _PAPER, _LINE, _SHUT = (32, 32, 40), (255, 255, 255), (20, 120, 200), (250, 222, 222)


@dataclass(frozen=True, slots=True)
class Look:
    """The eyes of one frame: when, how far open, and a tile cut out around them with the lids drawn in."""

    at: float
    openness: float
    tile: NDArray[np.uint8]


def look(image: NDArray[np.uint8], at: float, eyes: Sequence[Eye], openness: float) -> Look:
    """Cut the eyes out of an RGB frame and draw their lids."""
    points = np.concatenate([eye.lids for eye in eyes])
    low, high = points.min(axis=0), points.max(axis=0)
    width = max(24.0, 1.5 * float(high[0] - low[0]))
    scale = TILE[0] / width
    place = np.array([[scale, 0, 0], [0, scale, 0]], np.float64)
    place[:, 2] = np.array(TILE) / 2 - scale * (low + high) / 2
    tile = cv2.warpAffine(image, place, TILE, flags=cv2.INTER_LINEAR)
    for eye in eyes:
        outline = np.concatenate([eye.lids[:9], eye.lids[:8:-1]]) * scale + place[:, 2].astype(np.float32)
        cv2.polylines(tile, [np.round(outline).astype(np.int32)], True, (40, 230, 90), 1, cv2.LINE_AA)
    return Look(at, openness, np.asarray(tile, np.uint8))


def draw(
    widest: Look, narrowest: Look, times: Sequence[float], values: Sequence[float | None], shut: Sequence[Closing]
) -> bytes:
    """PNG: the widest and the narrowest eyes, and openness over time in seconds with closings shaded."""
    width = MARGIN * 2 + TILE[0] * 2 + GAP
    picture = Image.new("RGB", (width, MARGIN + TILE[1] + GAP * 2 + CURVE + MARGIN), _PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    for left, seen, words in ((MARGIN, widest, "widest"), (MARGIN + TILE[0] + GAP, narrowest, "narrowest")):
        picture.paste(Image.fromarray(seen.tile), (left, MARGIN))
        pen.text((left, MARGIN - 18), f"Eyes at their {words}: {seen.openness:.2f} at {seen.at:.2f} s", _INK, font)
    top, left = MARGIN + TILE[1] + GAP * 2, MARGIN
    bottom, right = top + CURVE, width - MARGIN
    end = max(times[-1], 1e-6) if times else 1.0

    def x(at: float) -> float:
        return left + at / end * (right - left)

    def y(value: float) -> float:
        return bottom - min(value, HIGHEST) / HIGHEST * CURVE

    for closing in shut:
        pen.rectangle((x(closing.start), top, max(x(closing.end), x(closing.start) + 1), bottom), _SHUT)
    for limit in (CLOSED, OPEN):
        pen.line((left, y(limit), right, y(limit)), (170, 170, 170))
    for mark in (0.0, 0.1, 0.2, 0.3, HIGHEST):
        pen.text((left - 8, y(mark)), f"{mark:g}", _INK, font, anchor="rm")
    for second in ticks(end, 10):
        pen.text((x(second), bottom + 8), f"{second:g} s", _INK, font, anchor="mt")
    points: list[tuple[float, float]] = []
    for at, value in [*zip(times, values, strict=True), (end, None)]:
        if value is not None:
            points.append((x(at), y(value)))
        elif points:
            pen.line([*points, points[-1]], _LINE, 2)
            points = []
    words = f"openness of the eyes over time; shut under {CLOSED:g}, open above {OPEN:g}; closings are shaded"
    pen.text((left, top - 18), words, _INK, font)
    pen.rectangle((left, top, right, bottom), outline=(210, 210, 210))
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=4)
    return out.getvalue()
