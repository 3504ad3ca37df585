"""The steps of ZERO over arrays, each against an independent calculation."""

from __future__ import annotations

import io
import math
from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image

from drishtiksha_models.grid import votes as voting
from drishtiksha_models.grid.lastsave import jpeg_quality
from drishtiksha_models.grid.nfa import log10_nfa, log10_tail, log10_tests
from drishtiksha_models.grid.regions import main_grid, places
from drishtiksha_models.grid.votes import NO_VOTE, luminance, votes, zero_counts


def _smooth(seed: int, height: int = 200, width: int = 264) -> np.ndarray:
    random = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(random.normal(0, 40, (height, width, 3)).astype(np.float32), (0, 0), 2.0)
    return np.clip(128 + 4 * noise + random.normal(0, 1.5, (height, width, 3)), 0, 255).astype(np.uint8)


def _jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(io.BytesIO(out.getvalue())).convert("RGB"))


def test_zero_counts_agree_with_a_direct_dct_of_each_block() -> None:
    light = luminance(_jpeg(_smooth(1, 64, 64), 80))
    counted = zero_counts(light)
    for y, x in ((0, 0), (8, 16), (3, 5), (41, 17), (56, 56)):
        direct = cv2.dct(np.ascontiguousarray(light[y : y + 8, x : x + 8], dtype=np.float64))
        assert counted[y, x] == int((np.abs(direct) < 0.5).sum())


def test_flat_and_striped_blocks_count_nothing() -> None:
    light = np.full((32, 32), 90, dtype=np.float32)
    light[:, 16:] = np.arange(16, dtype=np.float32) * 9
    assert zero_counts(light).max() == 0


@pytest.mark.parametrize(("left", "top"), [(0, 0), (3, 5), (7, 1), (4, 4)])
def test_the_grid_of_a_cropped_picture_is_where_the_crop_put_it(left: int, top: int) -> None:
    grid = main_grid(votes(_jpeg(_smooth(2), 80)[top:, left:]))
    assert grid.significant
    assert grid.offset == ((8 - left) % 8, (8 - top) % 8)


def test_without_jpeg_no_grid_is_significant() -> None:
    for seed in range(6):
        assert not main_grid(votes(_smooth(seed))).significant


def test_stripes_change_no_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = _jpeg(_smooth(3), 85)
    whole = votes(picture)
    monkeypatch.setattr(voting, "STRIPE_PIXELS", 264 * 24)
    seen: list[tuple[int, int]] = []
    assert np.array_equal(votes(picture, lambda done, total: seen.append((done, total))), whole)
    assert seen[-1] == (200, 200)
    assert len(seen) > 5


def test_pixels_at_the_border_do_not_vote() -> None:
    cast = votes(_jpeg(_smooth(4), 85))
    edges = np.concatenate([cast[:7].ravel(), cast[-7:].ravel(), cast[:, :7].ravel(), cast[:, -7:].ravel()])
    assert set(edges.tolist()) == {NO_VOTE}


def test_the_tail_bound_is_never_below_the_binomial_tail() -> None:
    for trials, successes in ((10, 1), (40, 3), (100, 9), (300, 30), (64, 64)):
        chance = 1 / 64
        tail = sum(
            math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(successes, trials + 1)
        )
        assert log10_tail(trials, successes) >= math.log10(tail) - 1e-9
        assert log10_tail(trials, successes) < 0


def test_more_votes_are_more_surprising_and_a_higher_chance_less() -> None:
    tests = log10_tests(480, 640)
    by_votes = [log10_nfa(16_384, 64 * n, tests) for n in (4, 20, 60, 200)]
    assert all(later < earlier for earlier, later in pairwise(by_votes[1:]))
    assert by_votes[0] == tests
    assert log10_nfa(16_384, 6400, tests, 0.2) > log10_nfa(16_384, 6400, tests)


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 96, 97, 98, 100])
def test_the_quality_of_the_last_save_is_read_from_its_table(quality: int) -> None:
    out = io.BytesIO()
    Image.fromarray(_smooth(5, 64, 64)).save(out, "JPEG", quality=quality)
    tables = Image.open(io.BytesIO(out.getvalue())).quantization  # type: ignore[attr-defined]
    assert jpeg_quality(tables[0]) == quality


def _cast(shares: dict[int, float]) -> np.ndarray:
    """A vote map of the main grid 0, with a part of 160 x 160 pixels in which these grids have these shares of blocks."""
    random = np.random.default_rng(1)
    blocks = np.zeros((60, 80), dtype=np.uint8)
    grids, weights = list(shares), np.array(list(shares.values()))
    rest = [g for g in range(64) if g not in shares]
    drawn = random.random((20, 20))
    inside = random.choice(rest, size=(20, 20))
    inside[drawn < weights.sum()] = random.choice(grids, size=(drawn < weights.sum()).sum(), p=weights / weights.sum())
    blocks[20:40, 30:50] = inside
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


def test_a_grid_of_its_own_in_a_part_is_significant_there() -> None:
    cast = _cast({15: 0.3})
    found = places(cast, main_grid(cast), frozenset({0}))
    assert found[0].grid == 15
    assert found[0].log10_nfa < -20


def test_a_grid_that_its_mirror_image_matches_is_no_trace_of_a_paste() -> None:
    cast = _cast({15: 0.3, 57: 0.3})  # offsets (7, 1) and (1, 7): both lie beside the main grid alike
    assert [p for p in places(cast, main_grid(cast), frozenset({0})) if p.grid in (15, 57)] == []


def test_chance_votes_make_no_place() -> None:
    cast = np.random.default_rng(2).integers(0, 64, (60, 80), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    assert places(cast, main_grid(cast), frozenset()) == []
