"""How surprising it is that the votes of a picture lean the way a message does. Pure and exact, standard library and numpy.

The null: which places of a message are ones says nothing about the picture. Then any dealing out of its ones over the
places is as likely as the real one, and the sum of the ranks of the votes at its ones (Wilcoxon 1945, with midranks for
draws) has a law that can be counted. It holds whatever the picture, be it flat, striped or tinted: the chance lies in the
message. For text the ones are dealt out only among the same places of each letter, because letters share their upper bits
and a picture with a rhythm of eight blocks would resemble any text. Next to it: `votes.py`, `messages.py`.
"""

from __future__ import annotations

from math import comb, erfc, log10, sqrt

import numpy as np
from numpy.typing import NDArray

from .messages import Bits, Message

Shares = NDArray[np.float64]

DULL = 2.0
"""Standard deviations up to which the normal law is near enough; beyond it, every case is counted."""


def log10_chance(message: Message, shares: Shares) -> float:
    """log10 of the probability that votes lean at least so far towards a message by chance; at most 0.

    `shares`: share of the votes for 1 at each place of the message.
    """
    wanted = np.array(message.bits)
    strata = [(_doubled_ranks(shares[p :: message.period]), wanted[p :: message.period]) for p in range(message.period)]
    total = sum(int(ranks[ones].sum()) for ranks, ones in strata)
    mean = sum(float(ranks.mean()) * int(ones.sum()) for ranks, ones in strata)
    variance = sum(_variance(ranks, int(ones.sum())) for ranks, ones in strata)
    if variance <= 0 or total <= mean:
        return 0.0
    deviations = (total - mean) / sqrt(variance)
    if deviations < DULL:
        return log10(erfc(deviations / sqrt(2)) / 2)
    law = np.array([1.0])
    for ranks, ones in strata:
        law = np.convolve(law, _law(ranks, int(ones.sum())))
    return min(0.0, log10(max(float(law[total:].sum()), 1e-300)))


def log10_fair(message: Message, bits: Bits) -> float:
    """log10 of the binomial tail with chance one half: what one would say if the bits of pictures were fair and free."""
    n, agreeing = message.length, agreement(message, bits)
    return min(0.0, log10(sum(comb(n, k) for k in range(agreeing, n + 1))) - n * log10(2))


def agreement(message: Message, bits: Bits) -> int:
    """How many bits agree."""
    return int((np.array(message.bits) == bits).sum())


def _doubled_ranks(values: Shares) -> NDArray[np.int64]:
    """Ranks from 1 on, draws share the middle of theirs; doubled, so that all are whole numbers."""
    _, place, count = np.unique(values.round(12), return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((2 * last - count + 1)[place], np.int64)


def _variance(ranks: NDArray[np.int64], ones: int) -> float:
    """Of the sum of so many ranks that are drawn without putting back."""
    n = ranks.size
    return 0.0 if n < 2 else float(ranks.var()) * ones * (n - ones) / (n - 1)


def _law(ranks: NDArray[np.int64], ones: int) -> NDArray[np.float64]:
    """Probability of each sum of `ones` ranks drawn without putting back, from 0 to the sum of all."""
    ways = np.zeros((ones + 1, int(ranks.sum()) + 1))
    ways[0, 0] = 1.0
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    return np.asarray(ways[ones] / comb(ranks.size, ones))
