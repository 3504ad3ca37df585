"""The derivation of prediction and confidence, and what an examination may not say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from drishtiksha.domain.media import MediaType
from drishtiksha_models import answer
from drishtiksha_models.detector import (
    AudioFigures,
    Calibration,
    Coverage,
    Examination,
    Finding,
    MediaFile,
    Picture,
    Series,
    Status,
)

DETECTOR: Any = SimpleNamespace(name="X-V1", version="1.0.0", limits=("It sees little.",))
EMPIRICAL = Calibration("empirical", source="a set", auc=0.9, n=400)


def _media(kind: MediaType = MediaType.IMAGE) -> MediaFile:
    return MediaFile(Path("x"), kind, "image/png")


@pytest.mark.parametrize(
    ("examination", "stated"),
    [
        (Examination(Status.COMPLETED, Finding.DECLARED_SYNTHETIC), ("FAKE", 1.0)),
        (Examination(Status.COMPLETED, Finding.TAMPERED_AFTER_SIGNING), ("FAKE", 1.0)),
        (
            Examination(Status.COMPLETED, Finding.MANIPULATED_REGION, calibration=Calibration("nfa", 0.001)),
            ("FAKE", 0.999),
        ),
        (
            Examination(Status.COMPLETED, Finding.SYNTHETIC_MARKED, calibration=Calibration("p-value", 0.25)),
            ("FAKE", 0.75),
        ),
        (Examination(Status.COMPLETED, Finding.MANIPULATED_REGION), ("INCONCLUSIVE", 0.5)),
        (Examination(Status.COMPLETED, Finding.NONE), ("INCONCLUSIVE", 0.5)),
        (Examination(Status.COMPLETED, Finding.SUSPICIOUS), ("INCONCLUSIVE", 0.5)),
        (Examination(Status.INCONCLUSIVE, inconclusive_reason="no face"), ("INCONCLUSIVE", 0.5)),
        (Examination(Status.COMPLETED, probability_fake=0.6, calibration=EMPIRICAL), ("FAKE", 0.6)),
        (Examination(Status.COMPLETED, probability_fake=0.25, calibration=EMPIRICAL), ("REAL", 0.75)),
        (Examination(Status.COMPLETED, probability_fake=0.5, calibration=EMPIRICAL), ("INCONCLUSIVE", 0.5)),
    ],
)
def test_prediction_and_confidence_follow_from_the_finding(examination: Examination, stated: tuple[str, float]) -> None:
    assert answer.prediction(examination) == stated


def test_a_probability_needs_an_empirical_calibration() -> None:
    for calibration in (Calibration(), Calibration("nfa", 0.1)):
        with pytest.raises(ValueError, match="empirical"):
            Examination(Status.COMPLETED, probability_fake=0.9, calibration=calibration)


def test_a_bound_stands_exactly_with_a_p_value_or_an_nfa() -> None:
    with pytest.raises(ValueError, match="bound"):
        Calibration("nfa")
    with pytest.raises(ValueError, match="bound"):
        Calibration("none", bound=0.1)
    with pytest.raises(ValueError, match="bound"):
        Calibration("p-value", bound=1.5)


def test_an_inconclusive_examination_gives_its_reason_and_cannot_decide() -> None:
    with pytest.raises(ValueError, match="reason"):
        Examination(Status.INCONCLUSIVE)
    with pytest.raises(ValueError, match="reason"):
        Examination(Status.COMPLETED, inconclusive_reason="why")
    with pytest.raises(ValueError, match="decide"):
        Examination(Status.INCONCLUSIVE, Finding.DECLARED_SYNTHETIC, inconclusive_reason="why")


def test_numbers_that_are_not_finite_never_leave() -> None:
    with pytest.raises(ValueError, match="finite"):
        Examination(Status.COMPLETED, facts={"x": float("nan")})
    examination = Examination(Status.COMPLETED, series=[Series("s", "1", [0.0], [float("inf")])])
    with pytest.raises(ValueError, match=r"evidence\.series"):
        answer.data(DETECTOR, _media(), examination, 0.1)


def test_numbers_of_numpy_become_plain_numbers() -> None:
    examination = Examination(Status.COMPLETED, facts={"a": np.float32(0.5), "b": np.int64(3), "c": True, "d": "x"})
    facts = answer.data(DETECTOR, _media(), examination, 0.1)["evidence"]["facts"]
    assert facts == {"a": 0.5, "b": 3, "c": True, "d": "x"}
    assert [type(v) for v in facts.values()] == [float, float, bool, str]


def test_a_long_curve_is_thinned_evenly_and_a_gap_stays_a_gap() -> None:
    n = 50_001
    examination = Examination(Status.COMPLETED, series=[Series("s", "dB", [i / 10 for i in range(n)], [None] * n)])
    (series,) = answer.data(DETECTOR, _media(), examination, 0.1)["evidence"]["series"]
    assert len(series["t"]) == len(series["v"]) <= answer.MAX_POINTS
    assert series["v"][0] is None
    assert series["t"][1] - series["t"][0] == pytest.approx(0.3)


def test_pictures_beyond_the_limits_stay_behind() -> None:
    small = [Picture("chart", f"{i}.png", "image/png", b"x") for i in range(20)]
    large = Picture("chart", "large.png", "image/png", bytes(answer.MAX_PICTURE_BYTES + 1))
    images = answer.data(DETECTOR, _media(), Examination(Status.COMPLETED, images=[large, *small]), 0.1)["evidence"][
        "images"
    ]
    assert len(images) == answer.MAX_PICTURES
    assert "large.png" not in {i["name"] for i in images}


def test_each_kind_of_media_has_the_fields_of_dialect_3() -> None:
    video = answer.data(
        DETECTOR, _media(MediaType.VIDEO), Examination(Status.COMPLETED, coverage=Coverage(1.0, 2.0, 24)), 0.1
    )
    assert (video["frame_count"], video["frames_analyzed"], video["frame_predictions"]) == (24, 24, [])
    figures = AudioFigures(rms_energy=0.2, mean_pitch_hz=120.0, sample_rate=16_000)
    audio = answer.data(DETECTOR, _media(MediaType.AUDIO), Examination(Status.COMPLETED, audio=figures), 0.1)
    assert audio["energy"]["rms_energy"] == 0.2
    assert audio["pitch"]["mean_pitch_hz"] == 120.0
    assert audio["properties"]["sample_rate"] == 16_000
    image = answer.data(DETECTOR, _media(), Examination(Status.COMPLETED, width=3, height=4), 0.1)
    assert image["dimensions"] == {"width": 3, "height": 4}
