"""Closings out of a curve: what is a blink, what is none, and what gaps do. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from drishtiksha_models.perception.blinks import closings, read_seconds


def curve(*stretches: tuple[int, float | None], step: float = 0.04) -> tuple[list[float], list[float | None]]:
    values = [value for count, value in stretches for _ in range(count)]
    return [round(i * step, 4) for i in range(len(values))], values


def test_a_short_whole_closing_is_a_blink_and_a_long_one_is_none() -> None:
    found = closings(*curve((25, 0.3), (5, 0.05), (25, 0.3), (20, 0.05), (25, 0.3)))
    assert [(c.start, c.end, c.whole, c.blink) for c in found] == [(1.0, 1.2, True, True), (2.2, 3.0, True, False)]
    assert found[0].lowest == 0.05


def test_trembling_between_the_thresholds_is_no_blink() -> None:
    assert closings(*curve((10, 0.3), (1, 0.16), (1, 0.17), (1, 0.16), (10, 0.3))) == []
    inside = closings(*curve((10, 0.3), (2, 0.1), (1, 0.17), (2, 0.1), (10, 0.3)))
    assert len(inside) == 1


def test_eyes_that_begin_or_end_shut_have_no_whole_closing() -> None:
    for stretches in [((5, 0.05), (20, 0.3)), ((20, 0.3), (5, 0.05))]:
        (found,) = closings(*curve(*stretches))
        assert (found.whole, found.blink) == (False, False)


@pytest.mark.parametrize(("gap", "whole"), [(2, True), (12, False)])
def test_a_closing_is_followed_over_a_short_gap_only(gap: int, whole: bool) -> None:
    found = closings(*curve((10, 0.3), (2, 0.05), (gap, None), (2, 0.05), (10, 0.3)))
    assert [c.whole for c in found] == ([True] if whole else [False, False])


def test_seconds_that_were_read_leave_gaps_out() -> None:
    stretches: Sequence[tuple[int, float | None]] = ((26, 0.3), (50, None), (26, 0.3))
    assert read_seconds(*curve(*stretches)) == pytest.approx(2.0)
    assert read_seconds([], []) == 0.0
