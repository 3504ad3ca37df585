"""The statistics against values that were worked out by hand, and against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from drishtiksha_models.evaluation import statistics as st


def _arrays(real: list[float], fake: list[float]) -> tuple[st.Floats, st.Bools]:
    return np.array(real + fake, float), np.array([False] * len(real) + [True] * len(fake))


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        ([1, 2, 3], [4, 5], 1.0),
        ([4, 5], [1, 2, 3], 0.0),
        ([1, 1], [1, 1, 1], 0.5),
        ([1, 3], [2, 3], 0.625),  # pairs: 2>1, 2<3, 3>1, 3=3: (1 + 0 + 1 + 0.5) / 4
    ],
    ids=["apart", "turned", "all-tied", "one-tie"],
)
def test_auc_counts_a_tie_half(real: list[float], fake: list[float], expected: float) -> None:
    assert st.auc(*_arrays(real, fake)) == pytest.approx(expected)


def test_auc_is_the_u_statistic_of_scipy_and_the_area_under_our_own_curve() -> None:
    random = np.random.default_rng(3)
    for _ in range(20):
        real = random.integers(0, 8, 37).tolist()
        fake = (random.integers(0, 8, 23) + 1).tolist()
        values, labels = _arrays(real, fake)
        expected = stats.mannwhitneyu(fake, real).statistic / (len(real) * len(fake))
        assert st.auc(values, labels) == pytest.approx(expected)
        fpr, tpr = st.roc(values, labels)
        assert np.trapezoid(tpr, fpr) == pytest.approx(expected)


def test_auc_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="both classes"):
        st.auc(np.array([1.0, 2.0]), np.array([True, True]))


def test_a_tie_between_the_classes_makes_a_slope_in_the_curve_and_no_step() -> None:
    fpr, tpr = st.roc(*_arrays([1, 3], [2, 3]))
    assert fpr.tolist() == [0, 0.5, 0.5, 1]
    assert tpr.tolist() == [0, 0.5, 1, 1]


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [([1, 2], [3, 4], 0.0), ([3, 4], [1, 2], 1.0), ([1, 1], [1, 1], 0.5), ([1, 2, 3, 6], [4, 5, 7, 2.5], 0.25)],
    ids=["apart", "turned", "all-tied", "one-of-four"],
)
def test_equal_error_rate_is_where_false_alarms_and_misses_meet(
    real: list[float], fake: list[float], expected: float
) -> None:
    assert st.eer(*st.roc(*_arrays(real, fake))) == pytest.approx(expected)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (3, 250)])
def test_wilson_interval_is_that_of_scipy(k: int, n: int) -> None:
    expected = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert st.wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_interval_of_nothing_is_none() -> None:
    assert st.wilson(0, 0) is None


def test_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    said = np.array([0.05, 0.15, 0.15, 0.95, 1.0])
    fake = np.array([False, False, True, True, True])
    # bins: 0.05 -> 0 of 1; 0.15 -> 1 of 2; 0.975 -> 2 of 2: (1*0.05 + 2*0.35 + 2*0.025) / 5
    assert st.ece(said, fake) == pytest.approx(0.16)
    assert [(b.n, b.fakes) for b in st.calibration(said, fake)] == [(1, 0.0), (2, 0.5), (2, 1.0)]
    assert st.brier(said, fake) == pytest.approx((0.0025 + 0.0225 + 0.7225 + 0.0025 + 0) / 5)


def test_the_bootstrap_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = stats.norm.cdf(1 / np.sqrt(2))
    covered = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        values, labels = _arrays(random.normal(0, 1, 60).tolist(), random.normal(1, 1, 60).tolist())
        low, high = st.bootstrap(values, labels, st.auc, seed, times=200)
        covered += bool(low <= truth <= high)
    assert covered >= 51  # 57 of 60 expected; fewer than 51 happens once in 300 at 95 %


def test_the_same_seed_gives_the_same_interval_and_both_classes_stay_in_every_draw() -> None:
    values, labels = _arrays([1, 2, 3], [4])
    first, again = (st.bootstrap(values, labels, st.auc, 7) for _ in range(2))
    assert first == again
    assert first == (1.0, 1.0)


def test_the_band_of_a_curve_takes_the_upper_end_where_it_rises() -> None:
    on_grid = st.on_grid(*_arrays([1, 2], [3, 4]))
    assert on_grid[0] == 1.0
    assert len(on_grid) == len(st.GRID)
