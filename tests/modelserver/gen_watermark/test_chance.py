"""How surprising votes are: exact where every case can be counted, and never fooled by rhythm or colour."""

from __future__ import annotations

from itertools import product
from math import comb, log10

import numpy as np
import pytest

from drishtiksha_models.watermark.chance import log10_chance, log10_fair
from drishtiksha_models.watermark.messages import MESSAGES, Message
from drishtiksha_models.watermark.votes import Ballot, scores

SDXL, FLUX, SD1, SD2 = MESSAGES


def test_messages_have_the_length_that_their_generators_hide() -> None:
    assert [message.length for message in MESSAGES] == [48, 46, 136, 32]
    assert "".join("01"[b] for b in SD2.bits[:8]) == "01010011"  # "S"


def test_fair_bits_that_all_agree_are_one_in_two_to_the_length() -> None:
    assert log10_fair(SDXL, np.array(SDXL.bits)) == pytest.approx(-48 * log10(2))
    assert log10_fair(SDXL, ~np.array(SDXL.bits)) == 0.0


def test_votes_that_follow_the_message_are_as_rare_as_one_dealing_among_all() -> None:
    ones = sum(SDXL.bits)
    assert log10_chance(SDXL, np.array(SDXL.bits, float)) == pytest.approx(-log10(comb(48, ones)))
    assert log10_chance(SDXL, 1 - np.array(SDXL.bits, float)) == 0.0


@pytest.mark.parametrize("period", [1, 2])
def test_the_tail_agrees_with_dealing_out_the_ones_in_every_way(period: int) -> None:
    bits = (True, True, False, True, True, True, False, True, False, False, False, False)
    shares = np.array([0.9, 0.8, 0.2, 0.9, 0.7, 0.8, 0.4, 0.7, 0.6, 0.5, 0.1, 0.3])
    message = Message("x", bits, period, "")
    places = [np.arange(12)[p::period] for p in range(period)]
    ranks = np.zeros(12)
    for place in places:
        ranks[place] = [(shares[place] < v).sum() + ((shares[place] == v).sum() + 1) / 2 for v in shares[place]]
    ones = [sum(bits[i] for i in place) for place in places]
    dealt = [
        np.array(d) for d in product((False, True), repeat=12)
        if [sum(d[i] for i in place) for place in places] == ones
    ]  # fmt: skip
    ours = ranks[np.array(bits)].sum()
    expected = sum(ranks[d].sum() >= ours for d in dealt) / len(dealt)
    assert log10_chance(message, shares) == pytest.approx(log10(expected))


def test_a_picture_that_votes_the_same_everywhere_leans_towards_nothing() -> None:
    for message in MESSAGES:
        for value in (0.0, 0.3, 1.0):
            assert log10_chance(message, np.full(message.length, value)) == 0.0


def test_a_rhythm_of_eight_that_resembles_text_is_no_surprise() -> None:
    rhythm = np.tile(np.array(SD1.bits).reshape(17, 8).mean(axis=0), 17)
    assert log10_fair(SD1, rhythm > 0.5) < -6  # what a binomial tail would have believed
    assert log10_chance(SD1, rhythm) == 0.0


@pytest.mark.parametrize("message", [SDXL, FLUX, SD1], ids=lambda m: m.name)
def test_votes_of_chance_are_as_rarely_surprising_as_stated(message: Message) -> None:
    random = np.random.default_rng(4)
    drawn = np.array([log10_chance(message, random.random(message.length)) for _ in range(1000)])
    assert 0.06 <= (drawn <= -1.0).mean() <= 0.14
    assert (drawn <= -2.0).mean() <= 0.025


def test_votes_are_counted_at_their_place_whatever_the_stripes() -> None:
    votes = np.random.default_rng(1).random(1000) < 0.5
    whole, parts = Ballot(), Ballot()
    whole.add(votes)
    for first in range(0, 1000, 77):
        parts.add(votes[first : first + 77])
    assert (whole.ones[48] == parts.ones[48]).all()
    assert whole.ones[48][5] == votes[5::48].sum()
    assert whole.votes[48].sum() == parts.votes[48].sum() == 1000


def test_a_block_votes_by_its_strongest_coarse_value_but_the_first() -> None:
    plane = np.random.default_rng(7).uniform(-90, 90, (24, 40)).astype(np.float32)
    plane[0:2, 0:2] = 90  # the first value of the first block: 180, which would vote otherwise
    expected = []
    for top in range(0, 24, 8):
        for left in range(0, 40, 8):
            coarse = [
                abs(float(plane[top + y : top + y + 2, left + x : left + x + 2].sum()) / 2)
                for y in range(0, 8, 2) for x in range(0, 8, 2)
            ]  # fmt: skip
            expected.append(max(coarse[1:]) % 36 > 18)
    assert scores(plane).tolist() == expected
    assert (180 % 36 > 18) != expected[0]
