"""The verdict ranks evidence and never averages unlike scores; a reading never invents a probability."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drishtiksha.domain.analysis import Basis, Finding, Prediction, Thresholds, read_result
from drishtiksha.domain.verdict import Vote, verdict

FAKE, REAL, OPEN = Prediction.FAKE, Prediction.REAL, Prediction.INCONCLUSIVE


def vote(model: str, prediction: Prediction, basis: Basis, score: float | None = None) -> Vote:
    return Vote(model, prediction, basis, score)


@pytest.mark.parametrize(
    ("votes", "label", "basis", "score", "models"),
    [
        ([vote("a", OPEN, Basis.NONE)], OPEN, Basis.NONE, None, ()),
        ([vote("a", FAKE, Basis.MEASURED), vote("b", REAL, Basis.CALIBRATED, 0.1)], FAKE, Basis.MEASURED, None, ("a",)),
        ([vote("a", FAKE, Basis.DECLARED), vote("b", FAKE, Basis.MEASURED)], FAKE, Basis.DECLARED, None, ("a",)),
        (
            [vote("a", FAKE, Basis.CALIBRATED, 0.9), vote("b", REAL, Basis.CLAIMED, 0.0)],
            FAKE,
            Basis.CALIBRATED,
            0.9,
            ("a",),
        ),
        (
            [vote("a", FAKE, Basis.CLAIMED, 0.8), vote("b", REAL, Basis.CLAIMED, 0.2)],
            OPEN,
            Basis.CLAIMED,
            0.5,
            ("a", "b"),
        ),
        ([vote("a", REAL, Basis.CLAIMED, 0.4)], REAL, Basis.CLAIMED, 0.4, ("a",)),
        ([vote("a", FAKE, Basis.CLAIMED, 0.6)], FAKE, Basis.CLAIMED, 0.6, ("a",)),
        ([vote("a", OPEN, Basis.CLAIMED, 0.5), vote("b", FAKE, Basis.CLAIMED, 1.0)], FAKE, Basis.CLAIMED, 1.0, ("b",)),
        ([vote("a", OPEN, Basis.CLAIMED, 0.5)], OPEN, Basis.NONE, None, ()),
    ],
)
def test_the_ranking(votes, label, basis, score, models) -> None:
    said = verdict(votes)
    assert said is not None
    assert (said.label, said.basis, said.models) == (label, basis, models)
    assert said.score == (None if score is None else pytest.approx(score))


def test_no_votes_no_verdict() -> None:
    assert verdict([]) is None


def test_weights_shift_the_mean_and_zero_silences() -> None:
    votes = [vote("a", FAKE, Basis.CLAIMED, 1.0), vote("b", REAL, Basis.CLAIMED, 0.0)]
    heavier = verdict(votes, weights={"a": 3.0})
    silent = verdict(votes, weights={"a": 0.0})
    assert heavier is not None
    assert silent is not None
    assert (heavier.score, heavier.label) == (0.75, FAKE)
    assert (silent.score, silent.models) == (0.0, ("b",))


@given(
    st.lists(
        st.builds(
            vote,
            st.text("abc", min_size=1, max_size=3),
            st.sampled_from(Prediction),
            st.sampled_from(Basis),
            st.none() | st.floats(0, 1),
        ),
        max_size=6,
    ),
    st.randoms(),
)
def test_the_order_of_the_votes_does_not_matter(votes, shuffle) -> None:
    other = list(votes)
    shuffle.shuffle(other)
    first, second = verdict(votes), verdict(other)
    if first is None or second is None:
        assert first is second
    else:
        assert (first.label, first.basis, first.models) == (second.label, second.basis, second.models)
        assert first.score == (None if second.score is None else pytest.approx(second.score))


def read(**more):
    base = dict.fromkeys(("confidence", "finding", "probability_fake", "calibration_kind", "bound"))
    return read_result(**{"prediction": OPEN, **base, **more})


@pytest.mark.parametrize(
    ("given", "prediction", "basis", "confidence", "score"),
    [
        ({"finding": Finding.DECLARED_SYNTHETIC}, FAKE, "DECLARED", 1.0, None),
        ({"finding": Finding.TAMPERED_AFTER_SIGNING, "prediction": REAL}, FAKE, "DECLARED", 1.0, None),
        (
            {"finding": Finding.MANIPULATED_REGION, "calibration_kind": "nfa", "bound": 1e-6},
            FAKE,
            "MEASURED",
            1 - 1e-6,
            None,
        ),
        ({"finding": Finding.MANIPULATED_REGION, "prediction": FAKE, "confidence": 0.9}, OPEN, "NONE", 0.5, None),
        ({"finding": Finding.SYNTHETIC_MARKED, "calibration_kind": "none", "bound": 0.1}, OPEN, "NONE", 0.5, None),
        ({"finding": Finding.NONE, "prediction": REAL, "confidence": 0.99}, OPEN, "NONE", 0.5, None),
        ({"finding": Finding.SUSPICIOUS}, OPEN, "NONE", 0.5, None),
        (
            {"finding": Finding.NONE, "probability_fake": 0.8, "calibration_kind": "empirical"},
            FAKE,
            "CALIBRATED",
            0.8,
            0.8,
        ),
        ({"finding": Finding.NONE, "probability_fake": 0.8, "calibration_kind": "none"}, FAKE, "CLAIMED", 0.8, 0.8),
        (
            {"finding": Finding.NONE, "probability_fake": 0.5, "calibration_kind": "empirical"},
            OPEN,
            "CALIBRATED",
            0.5,
            0.5,
        ),
        ({"prediction": REAL, "confidence": 0.9}, REAL, "CLAIMED", 0.9, pytest.approx(0.1)),
        ({"prediction": FAKE, "confidence": 0.7}, FAKE, "CLAIMED", 0.7, 0.7),
        ({"prediction": OPEN, "confidence": 0.7}, OPEN, "NONE", 0.5, None),
        ({"prediction": FAKE}, OPEN, "NONE", 0.5, None),
    ],
)
def test_what_a_result_says(given, prediction, basis, confidence, score) -> None:
    said = read(**given)
    assert (said.prediction, said.basis, said.confidence, said.score) == (prediction, basis, confidence, score)


@given(
    st.floats(0, 1), st.sampled_from([None, *Finding]), st.sampled_from(["none", "nfa", "p-value", "empirical", None])
)
def test_confidence_is_always_a_fraction_and_the_fence_stays_the_fence(p, finding, kind) -> None:
    said = read(finding=finding, probability_fake=p, calibration_kind=kind, bound=p)
    assert 0 <= said.confidence <= 1
    if said.prediction is OPEN:
        assert said.confidence == 0.5
    elif said.score is not None:
        older_client = said.confidence if said.prediction is FAKE else 1 - said.confidence
        assert older_client == pytest.approx(said.score)


def test_thresholds_are_settings() -> None:
    assert Thresholds(0.9, 0.1).read(0.8) is OPEN
