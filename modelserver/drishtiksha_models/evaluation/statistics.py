"""The statistics of an evaluation: ROC, AUC, EER, calibration, and their intervals. Pure; numpy only.

`figures.py` calls them. Scores are oriented before they come here: higher means more like a fake. Labels are True for fake.
Sources: AUC as the Mann-Whitney statistic with midranks (Hanley and McNeil, Radiology 143, 1982); score interval of a share
(Wilson, JASA 22, 1927); percentile bootstrap within the classes (Efron and Tibshirani, 1993); expected calibration error with
bins of equal width (Naeini, Cooper, Hauskrecht, AAAI 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Z95 = 1.959963984540054
"""The 97.5 % point of the normal distribution."""
RESAMPLES = 1000
BINS = 10
GRID = np.linspace(0.0, 1.0, 51)
"""False positive rates at which the band of a ROC is given."""


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a calibration curve: what was said on average, how often it was a fake, of how many, and its interval."""

    said: float
    fakes: float
    n: int
    low: float
    high: float


def wilson(successes: int, n: int) -> tuple[float, float] | None:
    """The 95 % interval of a share; None of nothing."""
    if n == 0:
        return None
    share, square = successes / n, Z95**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z95 * sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    return low, 1.0 if successes == n else min(1.0, middle + half)


def auc(scores: Floats, fake: Bools) -> float:
    """The chance that a fake scores above a genuine file, a tie counting half. Raises ValueError without both classes."""
    fakes, reals = int(fake.sum()), int((~fake).sum())
    if not fakes or not reals:
        raise ValueError("an AUC needs both classes")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    midranks = np.cumsum(counts) - (counts - 1) / 2
    return float((midranks[inverse][fake].sum() - fakes * (fakes + 1) / 2) / (fakes * reals))


def roc(scores: Floats, fake: Bools) -> tuple[Floats, Floats]:
    """False and true positive rates from (0, 0) to (1, 1), one point for each distinct score: ties make a slope."""
    values, inverse = np.unique(scores, return_inverse=True)
    fakes = np.bincount(inverse[fake], minlength=len(values))[::-1]
    reals = np.bincount(inverse[~fake], minlength=len(values))[::-1]
    tpr = np.concatenate([[0.0], np.cumsum(fakes) / max(1, fakes.sum())])
    fpr = np.concatenate([[0.0], np.cumsum(reals) / max(1, reals.sum())])
    return fpr, tpr


def eer(fpr: Floats, tpr: Floats) -> float:
    """The rate at which false alarms and misses are equally frequent, on the ROC with straight lines between its points."""
    gap = fpr - (1.0 - tpr)
    right = int(np.argmax(gap >= 0))
    if right == 0:
        return float(fpr[0])
    left = right - 1
    share = -gap[left] / (gap[right] - gap[left])
    return float(fpr[left] + share * (fpr[right] - fpr[left]))


def ece(said: Floats, fake: Bools) -> float:
    """Mean distance between the probability that was said and the share of fakes, over bins weighted by their size."""
    return sum(b.n * abs(b.said - b.fakes) for b in calibration(said, fake)) / len(said)


def brier(said: Floats, fake: Bools) -> float:
    """Mean squared distance between the probability and what was true (Brier 1950)."""
    return float(np.mean((said - fake) ** 2))


def calibration(said: Floats, fake: Bools) -> list[Bin]:
    """The calibration curve in bins of equal width, empty bins left out. A probability of 1 belongs to the last bin."""
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    found = []
    for index in np.unique(place):
        inside = place == index
        n, fakes = int(inside.sum()), int(fake[inside].sum())
        low, high = wilson(fakes, n) or (0.0, 1.0)
        found.append(Bin(float(said[inside].mean()), fakes / n, n, low, high))
    return found


def bootstrap(
    values: Floats, fake: Bools, measure: Callable[[Floats, Bools], float | Floats], seed: int, times: int = RESAMPLES
) -> tuple[Floats, Floats]:
    """Lower and upper 95 % limit of `measure`, from files drawn with replacement within each class."""
    random = np.random.default_rng(seed)
    fakes, reals = np.flatnonzero(fake), np.flatnonzero(~fake)
    drawn = []
    for _ in range(times):
        picked = np.concatenate([random.choice(group, len(group)) for group in (fakes, reals) if len(group)])
        drawn.append(measure(values[picked], fake[picked]))
    low, high = np.percentile(np.array(drawn), [2.5, 97.5], axis=0)
    return np.asarray(low), np.asarray(high)


def on_grid(scores: Floats, fake: Bools) -> Floats:
    """True positive rates of a ROC at the rates of GRID; where it rises upright, the upper end."""
    fpr, tpr = roc(scores, fake)
    last = np.append(np.diff(fpr) > 0, True)
    return np.asarray(np.interp(GRID, fpr[last], tpr[last]), dtype=np.float64)
