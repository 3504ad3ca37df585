"""From votes to places: the grid of the whole picture, and rectangles where another grid is significant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .nfa import log10_nfa, log10_tail, log10_tests
from .votes import BLOCK, GRIDS

LOG10_EPSILON = -3.0
"""A grid is significant when fewer than one in a thousand pictures would show it by chance."""
_CELL_VOTES = 24
"""Votes of the 64 in an 8x8 cell that make it part of a candidate place (chance would give one)."""
_GAP = 1
"""Cells that may lie between two parts of one place."""

_ENOUGH = 0.1
"""Share of the picture that must vote outside of the main grid's places before it is called confined to them."""


@dataclass(frozen=True)
class Grid:
    """One grid of the whole picture: its offset in pixels, its share of all pixels, log10 of its NFA."""

    number: int
    share: float
    log10_nfa: float

    @property
    def offset(self) -> tuple[int, int]:
        """x, y of its first full block, 0..7."""
        return self.number % BLOCK, self.number // BLOCK

    @property
    def significant(self) -> bool:
        """Whether it is more than chance."""
        return self.log10_nfa < LOG10_EPSILON


@dataclass(frozen=True)
class Place:
    """A rectangle in pixels that votes for a grid of its own."""

    x: int
    y: int
    width: int
    height: int
    grid: int
    log10_nfa: float

    @property
    def offset(self) -> tuple[int, int]:
        """x, y of the grid's first full block, 0..7."""
        return self.grid % BLOCK, self.grid // BLOCK


def main_grid(votes: NDArray[np.uint8]) -> Grid:
    """The grid with the most votes in the whole picture."""
    counts = _counts(votes)
    best = int(counts.argmax())
    tests = log10_tests(*votes.shape)
    return Grid(best, float(counts[best] / votes.size), log10_nfa(votes.size, int(counts[best]), tests))


def places(votes: NDArray[np.uint8], main: Grid, ignored: frozenset[int]) -> list[Place]:
    """Significant rectangles of grids other than `ignored`, the most significant first.

    The chance of a vote is 1/64, or the highest share that a mirrored grid has in the same rectangle, when the picture
    has a main grid: see `_mirrored`.
    """
    tests = log10_tests(*votes.shape)
    cells = _cells(votes)
    found = []
    for grid in range(GRIDS):
        if grid not in ignored:
            twins = sorted(_mirrored(grid, main.number)) if main.significant else []
            found += [p for p in _places_of(grid, cells, twins, tests) if p.log10_nfa < LOG10_EPSILON]
    return sorted(found, key=lambda p: p.log10_nfa)


def lies_in_parts(votes: NDArray[np.uint8], main: Grid) -> list[Place]:
    """The places of the main grid when it is confined to them, else nothing.

    So it is when a JPEG part was put into a picture that never was JPEG: outside of the places many pixels vote, and
    no more than chance for that grid.
    """
    tests = log10_tests(*votes.shape)
    own = [p for p in _places_of(main.number, _cells(votes), [], tests) if p.log10_nfa < LOG10_EPSILON]
    counts = _counts(votes[_outside(votes.shape, own)])
    voting = int(counts.sum())
    confined = voting > _ENOUGH * votes.size and log10_nfa(voting, int(counts[main.number]), tests) >= LOG10_EPSILON
    return sorted(own, key=lambda p: p.log10_nfa) if confined else []


def runs_everywhere(votes: NDArray[np.uint8], grid: int, found: list[Place]) -> bool:
    """Whether this second grid runs through the whole picture instead of lying in its places only.

    A picture that was cropped and compressed again carries its former grid everywhere; a pasted part carries its own
    grid inside the part. So: places over more than half of the picture, or significantly many votes outside of them,
    among the pixels that do not follow the main grid.
    """
    own = [p for p in found if p.grid == grid]
    if sum(p.width * p.height for p in own) > votes.size / 2:
        return True
    counts = _counts(votes[_outside(votes.shape, own)])
    main = int(_counts(votes).argmax())
    counts[main] = 0
    pixels = int(counts.sum())
    if not pixels:
        return False
    chance = max([1 / GRIDS, *(float(counts[g]) / pixels for g in _mirrored(grid, main))])
    return log10_tail(pixels / BLOCK**2, counts[grid] / BLOCK**2, min(chance, 0.99)) < LOG10_EPSILON


def _outside(shape: tuple[int, ...], found: list[Place]) -> NDArray[np.bool_]:
    """Which pixels lie outside of these places and one block around them (cells are coarse)."""
    outside = np.ones(shape, dtype=bool)
    for place in found:
        top, left = max(0, place.y - BLOCK), max(0, place.x - BLOCK)
        outside[top : place.y + place.height + BLOCK, left : place.x + place.width + BLOCK] = False
    return outside


def _mirrored(grid: int, main: int) -> set[int]:
    """The grids that lie to the main grid as this one does, seen in a mirror or turned; without this one.

    In smooth parts of any JPEG picture, grids beside the main grid get more than their share of votes, and their mirror
    images as many. A pasted part favours one of them alone.
    """
    dx, dy = (grid - main) % BLOCK, (grid // BLOCK - main // BLOCK) % BLOCK
    offsets = {(sx * a, sy * b) for a, b in ((dx, dy), (dy, dx)) for sx in (1, -1) for sy in (1, -1)}
    twins = {(main // BLOCK + b) % BLOCK * BLOCK + (main + a) % BLOCK for a, b in offsets}
    return twins - {grid, main}


def _counts(votes: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Votes for each of the 64 grids."""
    return np.bincount(votes.ravel(), minlength=GRIDS + 1)[:GRIDS]


def _cells(votes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Votes per 8x8 cell and grid: [rows, columns, 64]; a rest smaller than a cell is left out."""
    rows, columns = votes.shape[0] // BLOCK, votes.shape[1] // BLOCK
    counts = np.empty((rows, columns, GRIDS), dtype=np.uint8)
    slots = np.arange(columns, dtype=np.int64).repeat(BLOCK) * (GRIDS + 1)
    for row in range(rows):
        line = votes[row * BLOCK : (row + 1) * BLOCK, : columns * BLOCK]
        flat = np.bincount((slots + line).ravel(), minlength=columns * (GRIDS + 1))
        counts[row] = flat.reshape(columns, GRIDS + 1)[:, :GRIDS]
    return counts


def _places_of(grid: int, cells: NDArray[np.uint8], twins: list[int], tests: float) -> list[Place]:
    """Candidate places of one grid with their NFA: connected dense cells, as rectangles."""
    import cv2

    dense = (cells[:, :, grid] >= _CELL_VOTES).astype(np.uint8)
    if not dense.any():
        return []
    side = 2 * _GAP + 1
    joined = cv2.dilate(dense, np.ones((side, side), dtype=np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    places = []
    for label in range(1, count):
        x, y, width, height = (int(edge) for edge in boxes[label][:4])
        here = (slice(y, y + height), slice(x, x + width))
        ys, xs = np.nonzero((labels[here] == label) & (dense[here] == 1))
        top, bottom, left, right = y + ys.min(), y + ys.max() + 1, x + xs.min(), x + xs.max() + 1
        pixels = int(bottom - top) * int(right - left) * BLOCK * BLOCK
        box = cells[top:bottom, left:right]
        chance = max([1 / GRIDS, *(float(box[:, :, twin].sum()) / pixels for twin in twins)])
        votes = int(box[:, :, grid].sum())
        places.append(
            Place(
                int(left) * BLOCK, int(top) * BLOCK, int(right - left) * BLOCK, int(bottom - top) * BLOCK,
                grid, log10_nfa(pixels, votes, tests, chance),
            )
        )  # fmt: skip
    return places
