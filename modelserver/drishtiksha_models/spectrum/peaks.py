"""Reads an averaged spectrum: how far lattice points stand out, the strongest single peak, the slope. Pure.

Sources: lattices left by upsampling, Zhang, Karaman, Chang, WIFS 2019 (AutoGAN); slope of the high frequencies, Durall,
Keuper, Keuper, CVPR 2020; peaks of predictability, Kirchner 2008. Next to it: `tiles.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from .tiles import SIDE, Power

PERIODS = (2, 4, 8)
"""Pixels; generators double their size step by step, JPEG works in blocks of 8."""
AROUND = 11
"""Bins of the square whose median and spread a bin is compared with."""
SLOWEST = 0.06
"""Cycles per pixel under which no peak is looked for: there lies what the picture shows."""
SLOPE_FROM, SLOPE_TO = 0.1, 0.4
"""Cycles per pixel between which the slope is fitted."""
_LEAST = 1e-3
"""Power added everywhere, far below that of one level of noise, so that flat pictures have a logarithm."""

Deviations = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Peak:
    """The bin that stands out most: robust standard deviations above its surroundings, cycles per pixel in x and y."""

    z: float
    fx: float
    fy: float


def outstanding(power: Power) -> Deviations:
    """How far each bin's logarithm lies above its surroundings, in robust standard deviations (median and MAD)."""
    logs = np.log10(power + _LEAST)
    middle = median_filter(logs, AROUND, mode="wrap")
    away = logs - middle
    spread = 1.4826 * median_filter(np.abs(away), AROUND, mode="wrap")
    return np.asarray(np.where(spread > 1e-9, away / np.maximum(spread, 1e-9), 0.0), np.float64)


def lattice(deviations: Deviations, period: int) -> float:
    """Highest deviation at the points of a lattice of this period that are not points of a shorter one; 0,0 is none."""
    step = SIDE // period
    points = {(y, x) for y in range(0, SIDE, step) for x in range(0, SIDE, step)} - {(0, 0)}
    shorter = {(y, x) for y, x in points if period > 2 and y % (2 * step) == 0 and x % (2 * step) == 0}
    return float(max(deviations[point] for point in points - shorter))


def strongest(deviations: Deviations) -> Peak:
    """The highest bin above SLOWEST that is no multiple of 1/8 in both directions; of mirrored halves the upper one."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
    upper = (fy > 0) | (fy == -0.5) | ((fy == 0) & (fx > 0))
    searched = np.where((np.hypot(fy, fx) > SLOWEST) & upper & ~_of_blocks(), deviations, -np.inf)
    y, x = np.unravel_index(int(searched.argmax()), searched.shape)
    return Peak(float(searched[y, x]), float(fx[y, x]), float(abs(fy[y, x])))


def blocks(deviations: Deviations) -> float:
    """The highest bin at the multiples of 1/8, where the blocks of JPEG leave peaks in predictability."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
    return float(np.where((np.hypot(fy, fx) > SLOWEST) & _of_blocks(), deviations, -np.inf).max())


def _of_blocks() -> NDArray[np.bool_]:
    """Bins at most one beside a multiple of 1/8 cycle per pixel in both directions."""
    step = SIDE // 8
    near = np.abs((np.arange(SIDE) + step // 2) % step - step // 2) <= 1
    return np.asarray(near[:, None] & near[None, :])


def radial(power: Power) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(cycles per pixel, mean power in dB) over rings one bin wide, up to 0.5."""
    distance = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij"))
    ring = np.round(distance * SIDE).astype(int).ravel()
    sums, counts = np.bincount(ring, power.ravel()), np.bincount(ring)
    last = SIDE // 2 + 1
    return np.arange(1, last) / SIDE, 10 * np.log10(sums[1:last] / counts[1:last] + _LEAST)


def slope(power: Power) -> float:
    """Exponent of the power's fall over frequency between SLOPE_FROM and SLOPE_TO: about -2 for photographs."""
    frequency, decibels = radial(power)
    inside = (frequency >= SLOPE_FROM) & (frequency <= SLOPE_TO)
    return float(np.polyfit(np.log10(frequency[inside]), decibels[inside] / 10, 1)[0])
