"""Reads hidden bits out of a picture: one vote per 8x8 pixels, counted for each place of a message.

The scheme is `dwtDct` of invisible-watermark (ShieldMnt, MIT), written anew from what its encoder does: one level of a
Haar wavelet of the U plane; of each 4x4 of its coarse half the strongest value but the first; it lies in the upper or the
lower half of a step of 36. No cosine transform takes part, whatever the name says.
Stripes bound the memory. Next to it: `messages.py`, `chance.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from .messages import LENGTHS, Bits

Picture = NDArray[np.uint8]

STEP = 36.0
"""The quantisation step of the scheme, as all known generators use it."""
BLOCK = 8
"""Pixels that one vote takes in each direction."""
STRIPE_ROWS = 256
"""Rows that are converted at once; a multiple of BLOCK."""
LEAST_PIXELS = 256 * 256
"""The encoder refuses smaller pictures, so none of them is marked."""

TURNS = tuple((quarter, mirrored) for mirrored in (False, True) for quarter in range(4))
"""Quarter turns to the left, then mirrored or not: the eight ways in which a picture can lie."""
READINGS = ("8-bit", "float", "8-bit, swapped", "float, swapped")
"""How the encoder may have seen the picture: as bytes (U is 128 without colour) or as floats (U is 0.5), and with red and
blue in their places or swapped; diffusers wrote floats, and for a time swapped."""


@dataclass
class Ballot:
    """Votes of one picture in one reading: for each length, votes for 1 and all votes per place of the message."""

    ones: dict[int, NDArray[np.int64]] = field(default_factory=lambda: {n: np.zeros(n, np.int64) for n in LENGTHS})
    votes: dict[int, NDArray[np.int64]] = field(default_factory=lambda: {n: np.zeros(n, np.int64) for n in LENGTHS})
    blocks: int = 0

    def add(self, scores: NDArray[np.bool_]) -> None:
        """The next blocks in reading order."""
        for length in LENGTHS:
            first = self.blocks % length
            rounds = -(-(first + scores.size) // length)
            padded = np.zeros(rounds * length, np.int64)
            padded[first : first + scores.size] = scores
            self.ones[length] += padded.reshape(rounds, length).sum(axis=0)
            padded[first : first + scores.size] = 1
            self.votes[length] += padded.reshape(rounds, length).sum(axis=0)
        self.blocks += scores.size

    def bits(self, length: int) -> Bits:
        """The majority at each place; a draw is a 1, as in the scheme's own decoder."""
        return self.shares(length) * 255 > 127

    def shares(self, length: int) -> NDArray[np.float64]:
        """Share of the votes for 1 at each place; one half where nobody voted."""
        votes = self.votes[length]
        return np.where(votes > 0, self.ones[length] / np.maximum(votes, 1), 0.5)


def turned(picture: Picture, turn: tuple[int, bool]) -> Picture:
    """A view of the picture, turned and then mirrored."""
    quarter, mirrored = turn
    view = np.rot90(picture, quarter)
    return view[:, ::-1] if mirrored else view


def ballots(picture: Picture, most_pixels: int, step: Callable[[], None]) -> dict[str, Ballot]:
    """Votes of an RGB picture in each of READINGS. Only the first rows with `most_pixels` are read; `step` per stripe."""
    found = {reading: Ballot() for reading in READINGS}
    width = picture.shape[1] // BLOCK * BLOCK
    rows = min(picture.shape[0], most_pixels // max(1, width)) // BLOCK * BLOCK
    for top in range(0, rows, STRIPE_ROWS):
        stripe = np.ascontiguousarray(picture[top : min(top + STRIPE_ROWS, rows), :width])
        for reading, plane in zip(READINGS, _planes(stripe), strict=True):
            found[reading].add(scores(plane))
        step()
    return found


def scores(plane: NDArray[np.float32]) -> NDArray[np.bool_]:
    """One vote per block of a U plane whose sides are multiples of BLOCK, in reading order."""
    coarse = np.abs(plane[0::2, 0::2] + plane[0::2, 1::2] + plane[1::2, 0::2] + plane[1::2, 1::2]) / 2
    coarse[0::4, 0::4] = 0.0
    rows, columns = coarse.shape
    strongest = coarse.reshape(rows // 4, 4, columns // 4, 4).max(axis=(1, 3))
    return np.asarray((strongest % STEP) > STEP / 2).ravel()


def _planes(stripe: Picture) -> Iterator[NDArray[np.float32]]:
    """U in the order of READINGS."""
    as_float = stripe.astype(np.float32)
    for code in (cv2.COLOR_RGB2YUV, cv2.COLOR_BGR2YUV):
        for source in (stripe, as_float):
            yield np.asarray(cv2.cvtColor(source, code)[..., 1], np.float32)
