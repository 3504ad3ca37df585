"""Edited, marked and enlarged pictures, each beside the same kind of picture left alone."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .drawing import Pixels, decoded, jpeg, landscape, noise

STEP = 36.0
"""Quantisation step of the mark, that of the generators' own code."""


def scene(seed: int, height: int = 480, width: int = 640) -> Pixels:
    """A landscape that never was compressed."""
    return landscape(np.random.default_rng(seed), height, width)


def clouds(seed: int, height: int = 480, width: int = 640) -> Pixels:
    """Clouds of colour with a 1/f spectrum and a little grain."""
    rng = np.random.default_rng(seed)
    planes = np.stack([noise(rng, height, width, 1.0) for _ in range(3)], axis=2)
    colour = 120 + 30 * planes.mean(axis=2, keepdims=True) + 14 * planes + rng.normal(0, 2, planes.shape)
    drawn: Pixels = np.clip(colour, 0, 255).astype(np.uint8)
    return drawn


def spliced(picture: Pixels, quality: int = 80) -> Pixels:
    """Compressed, then a patch of it copied to a place off the 8 x 8 grid of the compression."""
    host = decoded(jpeg(picture, quality, 0))
    height, width = host.shape[0] // 4 // 8 * 8, host.shape[1] // 5 // 8 * 8
    top, left = host.shape[0] * 5 // 8 // 8 * 8, 64
    patch = host[top : top + height, left : left + width].copy()  # begins on the grid …
    down, right = top - 48 + 5, host.shape[1] * 11 // 20 // 8 * 8 + 3  # … and lies off it
    host[down : down + height, right : right + width] = patch
    return host


def marked(picture: Pixels, bits: Sequence[bool]) -> Pixels:
    """The picture with a hidden message: `dwtDct` of invisible-watermark, written from its published scheme.

    In the coarse half of a Haar transform of the U plane, the largest coefficient of each 4 x 4 block is moved to a quarter
    or to three quarters of a step, one bit a block. Encoder and message are public: anybody can write such a mark.
    """
    yuv = cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_RGB2YUV)
    height, width = (side // 8 * 8 for side in picture.shape[:2])
    plane = yuv[:height, :width, 1].astype(np.float64)
    coarse = plane.reshape(height // 2, 2, width // 2, 2).sum(axis=(1, 3)) / 2
    blocks = coarse.reshape(height // 8, 4, width // 8, 4).transpose(0, 2, 1, 3).reshape(-1, 16).copy()
    each = np.arange(len(blocks))
    place = np.abs(blocks[:, 1:]).argmax(axis=1) + 1
    value = blocks[each, place]
    size = (np.abs(value) // STEP + 0.25 + 0.5 * np.resize(np.array(bits, float), len(blocks))) * STEP
    blocks[each, place] = np.where(value < 0, -size, size)
    changed = blocks.reshape(height // 8, width // 8, 4, 4).transpose(0, 2, 1, 3).reshape(coarse.shape)
    plane += np.kron((changed - coarse) / 2, np.ones((2, 2)))
    yuv[:height, :width, 1] = plane
    written: Pixels = np.clip(cv2.cvtColor(yuv, cv2.COLOR_YUV2RGB), 0, 255).astype(np.uint8)
    return written


def resized(picture: Pixels, factor: float) -> Pixels:
    """Larger or smaller by cubic interpolation."""
    found: Pixels = np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8)
    return found


def upsampled(picture: Pixels) -> Pixels:
    """Four times the size with zeros between the pixels and one small kernel that does not quite fill them: a lattice, as
    transposed convolutions leave it (Odena, Dumoulin, Olah, Distill 2016)."""
    small = picture.astype(np.float64)
    wide = np.zeros((small.shape[0] * 4, small.shape[1] * 4, 3))
    wide[::4, ::4] = small * 16
    kernel = np.convolve(np.ones(4), [1, 2, 1.2]) / 4 / 4.2
    blurred = cv2.sepFilter2D(wide, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    found: Pixels = np.clip(blurred, 0, 255).astype(np.uint8)
    return found
