"""Which of the 64 possible JPEG grids each pixel belongs to, by the number of zero DCT coefficients.

JPEG sets DCT coefficients of 8x8 blocks to zero; a block that lies on the grid of an earlier compression keeps more of
those zeros than one that straddles it. Each pixel votes for the grid of the block with the most zeros among the 64
blocks that contain it. After ZERO: Nikoukhah, Colom, Morel, Grompone von Gioi, Image Processing On Line 11, 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

BLOCK = 8
GRIDS = 64
NO_VOTE = 64
"""A pixel whose best blocks tie, are flat, or reach over the border."""
ZERO = 0.5
"""A coefficient (orthonormal DCT-II of 0..255 luminance) smaller than this counts as zero."""
STRIPE_PIXELS = 1_000_000
"""Pixels handled at a time, so that memory stays bounded whatever the picture's size."""


def votes(rgb: NDArray[np.uint8], step: Callable[[int, int], None] = lambda done, total: None) -> NDArray[np.uint8]:
    """A vote per pixel, [height, width], for rgb [height, width, 3]: 8 * (y mod 8) + (x mod 8), or NO_VOTE.

    `step` is told (rows done, rows in all) after each stripe.
    """
    height, width = rgb.shape[:2]
    result = np.full((height, width), NO_VOTE, dtype=np.uint8)
    if height < 2 * BLOCK or width < 2 * BLOCK:
        return result
    rows = max(2 * BLOCK, STRIPE_PIXELS // width // BLOCK * BLOCK)
    for top in range(0, height, rows):
        # A pixel's blocks begin up to seven rows above it and end up to seven rows below it.
        first, last = max(0, top - BLOCK), min(height, top + rows + BLOCK)
        part = _stripe(rgb[first:last])
        end = min(height, top + rows)
        result[top:end] = part[top - first : end - first]
        step(end, height)
    border = BLOCK - 1
    result[:border] = result[-border:] = NO_VOTE
    result[:, :border] = result[:, -border:] = NO_VOTE
    return result


def luminance(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """ITU-R BT.601 luminance as JPEG uses it, not rounded: rounding again would blur the zeros."""
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.asarray(rgb.astype(np.float32) @ weights, dtype=np.float32)


def zero_counts(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """For each top-left corner of a whole 8x8 block, its number of zero coefficients: [height - 7, width - 7].

    Blocks that are constant along rows or along columns count 0: their zeros come from the content, not from JPEG.
    """
    import cv2

    height, width = light.shape
    inner = (slice(0, height - BLOCK + 1), slice(0, width - BLOCK + 1))
    count = np.zeros((height - BLOCK + 1, width - BLOCK + 1), dtype=np.uint8)
    basis = _dct_basis()
    for u in range(BLOCK):
        along_x = cv2.filter2D(light, cv2.CV_32F, basis[u][None, :], anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
        for v in range(BLOCK):
            both = cv2.filter2D(along_x, cv2.CV_32F, basis[v][:, None], anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
            both = both[inner]
            count += (both < ZERO) & (both > -ZERO)
    count[_constant(light, 1)[inner] | _constant(light, 0)[inner]] = 0
    return count


def _constant(light: NDArray[np.float32], axis: int) -> NDArray[np.bool_]:
    """Whether the block that begins at a pixel does not change along this axis."""
    import cv2

    changes = np.zeros(light.shape, dtype=np.uint8)
    if axis == 1:
        changes[:, :-1] = light[:, :-1] != light[:, 1:]
        window = np.ones((BLOCK, BLOCK - 1), dtype=np.uint8)
    else:
        changes[:-1] = light[:-1] != light[1:]
        window = np.ones((BLOCK - 1, BLOCK), dtype=np.uint8)
    return np.asarray(_maximum(cv2, changes, window) == 0)


def _maximum(cv2: object, values: NDArray[np.uint8], window: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The maximum over a window that begins at each pixel and reaches right and down."""
    grown: NDArray[np.uint8] = cv2.dilate(values, window, anchor=(0, 0))  # type: ignore[attr-defined]
    return grown


def _stripe(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Votes of one stripe whose first row is a multiple of eight from the picture's top."""
    height, width = rgb.shape[:2]
    winner = np.full((height, width), NO_VOTE, dtype=np.uint8)
    if height < BLOCK:
        return winner
    count = zero_counts(luminance(rgb))
    best = np.zeros((height, width), dtype=np.uint8)
    ties = np.zeros((height, width), dtype=np.uint8)
    for oy in range(BLOCK):
        for ox in range(BLOCK):
            blocks = count[oy::BLOCK, ox::BLOCK]
            if blocks.size == 0:
                continue
            spread = np.repeat(np.repeat(blocks, BLOCK, axis=0), BLOCK, axis=1)
            there = (slice(oy, oy + spread.shape[0]), slice(ox, ox + spread.shape[1]))
            high, vote, tied = best[there], winner[there], ties[there]
            more = spread > high
            tied[spread == high] = 1
            tied[more] = 0
            vote[more] = oy * BLOCK + ox
            np.maximum(high, spread, out=high)
    winner[(ties == 1) | (best == 0)] = NO_VOTE
    return winner


@cache
def _dct_basis() -> NDArray[np.float32]:
    """The eight orthonormal DCT-II vectors, [frequency, sample]."""
    k = np.arange(BLOCK)
    basis = np.cos(np.pi * (2 * k[None, :] + 1) * k[:, None] / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    basis[0] = np.sqrt(1 / BLOCK)
    return np.asarray(basis, dtype=np.float32)
