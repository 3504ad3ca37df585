"""The fit of a calibration: it finds what labels were drawn from, and its error is that of media outside of the fit."""

from __future__ import annotations

import numpy as np
import pytest

from drishtiksha_models.bundles.calibrating import Scored, fit, platt
from drishtiksha_models.bundles.scores import log_odds


def test_platt_finds_the_curve_that_labels_were_drawn_from() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(0, 2, 20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * scores - 0.7)))).astype(float)
    a, b = platt(scores, labels)
    assert (a, b) == pytest.approx((-1.5, 0.7), abs=0.08)


def test_the_error_is_that_of_media_outside_of_the_fit() -> None:
    """Labels that have nothing to do with the scores: a fit on all of them would look calibrated, and so must an honest one."""
    rng = np.random.default_rng(3)
    real, fake = (Scored(rng.random(200).tolist(), [f"{name}{i}" for i in range(200)], {}) for name in ("r", "f"))
    found = fit(real, fake)
    assert 0.4 < found.auc < 0.6
    assert found.ece < 0.15
    assert (found.n_real, found.n_fake) == (200, 200)
    assert found.set == fit(real, fake).set != fit(real, Scored(fake.scores, ["other", *fake.hashes[1:]], {})).set
    assert abs(found.a) < 0.2


def test_a_good_score_becomes_a_good_probability() -> None:
    rng = np.random.default_rng(4)
    odds = [*rng.normal(-2, 1, 200), *rng.normal(2, 1, 200)]
    scores = [1 / (1 + np.exp(-x)) for x in odds]
    found = fit(
        Scored(scores[:200], [str(i) for i in range(200)], {}),
        Scored(scores[200:], [str(i) for i in range(200, 400)], {}),
    )
    assert found.auc > 0.98
    assert found.ece < 0.05
    assert found.a < -1


def test_few_media_are_refused_with_how_many_there_are() -> None:
    with pytest.raises(ValueError, match="there are 4 real and 5 fake"):
        fit(Scored([0.1] * 4, [], {}), Scored([0.9] * 5, [], {}))


def test_log_odds_are_finite_at_both_ends() -> None:
    assert log_odds(0.0) == pytest.approx(-log_odds(1.0))
    assert log_odds(0.0) < -10
