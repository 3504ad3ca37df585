"""The vote map as a PNG for an analyst: the main grid dark, no vote grey, every other grid a colour, places framed."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .regions import Place
from .votes import GRIDS

LONGEST = 1024
"""Pixels of the longer side at most; larger maps are thinned."""
_MAIN = (20, 30, 70)
_NO_VOTE = (120, 120, 120)
_FRAME = (255, 255, 255)
_FRAME_INDEX = GRIDS + 1


def vote_map(votes: NDArray[np.uint8], main: int | None, found: Sequence[Place]) -> bytes:
    """The map as palette PNG; `main` is the grid to draw dark, None when the picture has none."""
    from PIL import Image, ImageDraw

    step = max(1, -(-max(votes.shape) // LONGEST))
    thinned = np.ascontiguousarray(votes[::step, ::step])
    image = Image.fromarray(thinned).convert("L").copy()
    picture = Image.frombytes("P", image.size, image.tobytes())
    picture.putpalette([channel for colour in _palette(main) for channel in colour])
    draw = ImageDraw.Draw(picture)
    for place in found:
        box = (place.x, place.y, place.x + place.width, place.y + place.height)
        draw.rectangle([edge // step for edge in box], outline=_FRAME_INDEX, width=2)
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=False)
    return out.getvalue()


def _palette(main: int | None) -> list[tuple[int, int, int]]:
    """Neighbouring offsets get distant hues, so that two grids side by side are told apart."""
    colours = []
    for grid in range(GRIDS):
        red, green, blue = colorsys.hsv_to_rgb((grid * 0.618034) % 1.0, 0.75, 0.95)
        colours.append((int(red * 255), int(green * 255), int(blue * 255)))
    colours += [_NO_VOTE, _FRAME]
    if main is not None:
        colours[main] = _MAIN
    return colours
