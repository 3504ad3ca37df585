"""Draws what the coherence of a face was measured from: one frame, where it trembled, and the curve over time.

Next to it: `coherence.py`. One picture for the analyst, by numpy and Pillow.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from drishtiksha_models.perception.coherence import SIDE
from drishtiksha_models.perception.spectrogram import ticks

TILE = 320
"""Pixels of each of the two tiles above the curve."""
MARGIN, GAP, CURVE = 56, 24, 160
"""Pixels around, between, and of the curve's height."""
TREMBLE = 1.0
"""Pixels of acceleration drawn brightest."""
HIGHEST = 3.0
"""acc_ratio at the top of the curve; higher values are drawn there."""

_INK, _PAPER, _LINE, _OVER = (32, 32, 40), (255, 255, 255), (20, 120, 200), (200, 40, 40)


def draw(
    frame: NDArray[np.uint8],
    box: tuple[float, float, float, float],
    acceleration: NDArray[np.float32],
    times: Sequence[float],
    ratios: Sequence[float | None],
    threshold: float,
) -> bytes:
    """PNG: an RGB frame with the face's box, the mean acceleration of the crop, acc_ratio over time."""
    width = MARGIN * 2 + TILE * 2 + GAP
    picture = Image.new("RGB", (width, MARGIN + TILE + GAP * 2 + CURVE + MARGIN), _PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    picture.paste(_framed(frame, box), (MARGIN, MARGIN))
    picture.paste(_heat(acceleration), (MARGIN + TILE + GAP, MARGIN))
    pen.text((MARGIN, MARGIN - 18), "The frame with the highest acc_ratio", _INK, font)
    pen.text(
        (MARGIN + TILE + GAP, MARGIN - 18), f"Acceleration around it, mean: dark 0, bright {TREMBLE:g} px", _INK, font
    )
    top, left = MARGIN + TILE + GAP * 2, MARGIN
    bottom, right = top + CURVE, width - MARGIN
    end = max(times[-1], 1e-6) if times else 1.0
    for value in (0.0, 1.0, 2.0, HIGHEST):
        y = bottom - round(value / HIGHEST * CURVE)
        pen.line((left - 5, y, left - 1, y), _INK)
        pen.text((left - 8, y), f"{value:g}", _INK, font, anchor="rm")
    for second in ticks(end, 10):
        x = left + round(second / end * (right - left))
        pen.line((x, bottom + 1, x, bottom + 5), _INK)
        pen.text((x, bottom + 8), f"{second:g} s", _INK, font, anchor="mt")
    limit = bottom - round(threshold / HIGHEST * CURVE)
    pen.line((left, limit, right, limit), (170, 170, 170))
    points: list[tuple[float, float]] = []
    for t, v in zip(times, ratios, strict=True):
        if v is None:
            _stroke(pen, points)
            points = []
        else:
            points.append((left + t / end * (right - left), bottom - min(v, HIGHEST) / HIGHEST * CURVE))
    _stroke(pen, points)
    words = f"acc_ratio of each frame over time in seconds; windows with a median over {threshold:g} count"
    pen.text((left, top - 18), words, _INK, font)
    pen.rectangle((left, top, right, bottom), outline=(210, 210, 210))
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=4)
    return out.getvalue()


def _framed(frame: NDArray[np.uint8], box: tuple[float, float, float, float]) -> Image.Image:
    tile = Image.fromarray(frame)
    scale = TILE / max(tile.size)
    tile = tile.resize((max(1, round(tile.width * scale)), max(1, round(tile.height * scale))))
    x, y, w, h = (v * scale for v in box)
    ImageDraw.Draw(tile).rectangle((x, y, x + max(1.0, w), y + max(1.0, h)), outline=_OVER, width=2)
    square = Image.new("RGB", (TILE, TILE), (245, 245, 245))
    square.paste(tile, ((TILE - tile.width) // 2, (TILE - tile.height) // 2))
    return square


def _heat(acceleration: NDArray[np.float32]) -> Image.Image:
    strength = np.clip(acceleration.reshape(SIDE, SIDE) / TREMBLE, 0, 1)[..., None]
    dark, middle, bright = np.array([10, 14, 40]), np.array([190, 60, 70]), np.array([255, 240, 160])
    colours = np.where(
        strength < 0.5, dark + (middle - dark) * strength * 2, middle + (bright - middle) * (strength * 2 - 1)
    )
    return Image.fromarray(colours.astype(np.uint8)).resize((TILE, TILE), Image.Resampling.BILINEAR)


def _stroke(pen: ImageDraw.ImageDraw, points: list[tuple[float, float]]) -> None:
    if len(points) > 1:
        pen.line(points, _LINE, 2)
    elif points:
        pen.point(points[0], _LINE)
