"""How surprising a number of votes is: the number of false alarms (NFA) of the a-contrario method.

Background model: without a grid every pixel votes for one of 64 grids with equal chance. Votes of one 8x8 block hang
together, so counts are divided by 64 (Nikoukhah et al. 2021). The binomial tail is bounded by Hoeffding 1963, theorem 1,
which is never smaller than the tail: a stated NFA is an upper bound.
"""

from __future__ import annotations

import math

from .votes import BLOCK, GRIDS

CHANCE = 1.0 / GRIDS


def log10_tail(trials: float, successes: float, chance: float = CHANCE) -> float:
    """log10 of an upper bound of P[Binomial(trials, chance) >= successes]; 0 when that is not surprising at all."""
    if trials <= 0 or successes <= trials * chance:
        return 0.0
    share = min(1.0, successes / trials)
    divergence = share * math.log(share / chance)
    if share < 1.0:
        divergence += (1 - share) * math.log((1 - share) / (1 - chance))
    return -trials * divergence / math.log(10)


def log10_tests(height: int, width: int) -> float:
    """log10 of the number of tests: 64 grids in every rectangle of a picture of this size."""
    rectangles = (height * (height + 1) / 2) * (width * (width + 1) / 2)
    return math.log10(GRIDS) + math.log10(max(1.0, rectangles))


def log10_nfa(pixels: int, votes: int, log_tests: float, chance: float = CHANCE) -> float:
    """log10 of the expected number of rectangles that would show so many votes, each having this chance."""
    block = BLOCK * BLOCK
    return log_tests + log10_tail(pixels / block, votes // block, chance)
