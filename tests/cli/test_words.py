"""Every outcome has its words, with a cause and a cure, and none of them calls anything authentic."""

from __future__ import annotations

from typing import Any

import pytest
from cli_samples import analysis, media, verdict
from hypothesis import given
from hypothesis import strategies as st

from drishtiksha.domain import errors as domain_errors
from drishtiksha_cli import words

FAKE = {"prediction": "FAKE", "confidence": 1.0}
OUTCOMES: list[tuple[dict[str, Any], str]] = [
    (
        analysis(finding="DECLARED_SYNTHETIC", basis="DECLARED", **FAKE),
        "FAKE, declared: the file is signed as made by a generator",
    ),
    (
        analysis(finding="TAMPERED_AFTER_SIGNING", basis="DECLARED", **FAKE),
        "FAKE, declared: the file was altered after it was signed",
    ),
    (
        analysis(finding="SYNTHETIC_MARKED", basis="MEASURED", calibration={"bound": 1e-6}, **FAKE),
        "FAKE, measured: the file carries a generator's watermark (by chance: less than once in 1,000,000)",
    ),
    (
        analysis(finding="MANIPULATED_REGION", basis="MEASURED", calibration={"bound": 1e-40}, **FAKE),
        "FAKE, measured: a region of the picture was compressed on another grid than the rest: it was put there "
        "(by chance: less than once in a million million pictures)",
    ),
    (analysis(basis="CALIBRATED", score=0.81, prediction="FAKE"), "FAKE, calibrated: 81% likely to be fake"),
    (analysis(basis="CALIBRATED", score=0.02, prediction="REAL"), "REAL, calibrated: 2% likely to be fake"),
    (analysis(basis="CLAIMED", score=0.3, prediction="REAL"), "REAL, as the model claims: 30% likely to be fake"),
    (analysis(inconclusiveReason="no face was found"), "INCONCLUSIVE: no face was found"),
    (analysis(note="The file carries no C2PA manifest."), "INCONCLUSIVE: The file carries no C2PA manifest."),
    (analysis(finding="SUSPICIOUS"), "INCONCLUSIVE, suspicious: something is unusual, which is no proof of anything"),
    (analysis(), "INCONCLUSIVE: no evidence was found"),
    (analysis(status="PENDING"), "waiting"),
    (analysis(status="PROCESSING"), "being examined"),
    (
        analysis(status="FAILED", errorClass="DEADLINE", errorMessage="It ran for 30 minutes."),
        "failed: it took longer than its deadline (It ran for 30 minutes); raise DRISHTIKSHA_RUNNING_DEADLINE, or use a "
        "faster node",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("one", "said"), OUTCOMES)
def test_each_outcome_of_a_model_has_its_sentence(one: dict[str, Any], said: str) -> None:
    assert words.analysis(one) == said


@pytest.mark.parametrize("error_class", [c.value for c in domain_errors.ErrorClass])
def test_each_failure_class_has_a_cause_and_a_cure_of_its_own(error_class: str) -> None:
    why, cure = words.failure(error_class).split("; ", 1)
    assert (why, cure) != ("it failed", "run it again")
    assert why
    assert cure


def test_a_class_that_is_newer_than_this_client_still_says_something() -> None:
    assert words.failure("FROM_THE_FUTURE", "It went wrong.") == "it failed (It went wrong); run it again"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (verdict("FAKE", "DECLARED", None, "A-V1"), "FAKE. The file itself declares it (A-V1)."),
        (
            verdict("FAKE", "MEASURED", None, "A-V1", "B-V1"),
            "FAKE. Measured, with a bounded rate of false alarms (A-V1, B-V1).",
        ),
        (verdict("REAL", "CALIBRATED", 0.1, "A-V1"), "REAL. Calibrated models give 10% for fake (A-V1)."),
        (
            verdict("INCONCLUSIVE", "CLAIMED", 0.5, "A-V1"),
            "INCONCLUSIVE. Models claim 50% for fake; nobody has calibrated them (A-V1).",
        ),
        (verdict(), "INCONCLUSIVE. No evidence was found, which proves nothing either way."),
    ],
)
def test_each_basis_of_a_verdict_is_said(said: dict[str, Any], sentence: str) -> None:
    assert words.verdict(media("ANALYZED", verdict=said)) == sentence


def test_a_suspicion_is_not_called_no_evidence_and_decides_nothing() -> None:
    doubted = analysis("A-V1", finding="SUSPICIOUS", inconclusiveReason="the face trembles")
    seen = media("ANALYZED", doubted, analysis("B-V1", finding="NONE"), verdict=verdict())
    assert words.verdict(seen) == "INCONCLUSIVE. Something looks suspicious (A-V1), which alone decides nothing."
    assert words.analysis(doubted) == "INCONCLUSIVE, suspicious: the face trembles"


def test_a_verdict_of_some_models_names_those_that_gave_none() -> None:
    seen = media("PARTIALLY_ANALYZED", analysis("A-V1"), analysis("B-V1", "FAILED", errorClass="CRASHED"))
    assert words.verdict(seen).endswith("either way. No result from B-V1.")


def test_a_cancelled_run_says_so_whatever_it_had_found() -> None:
    partly = media("PARTIALLY_ANALYZED", analysis("A-V1"), analysis("B-V1", "FAILED"), reason="CANCELLED")
    assert "It was cancelled." in words.verdict(partly)
    assert words.verdict(media("FAILED", reason="CANCELLED")).startswith("FAILED: it was cancelled; ")


def test_a_failed_run_says_why_and_what_helps() -> None:
    assert words.verdict(media("FAILED", reason="NO_COMPATIBLE_MODEL")) == (
        "FAILED: no loaded model takes this kind of file; load one: ACTIVE_MODELS of the model service"
    )


def test_what_has_not_ended_has_no_verdict_but_a_state() -> None:
    assert words.verdict(media("QUEUED")) == "waiting"
    assert words.verdict(media("PROCESSING")) == "being examined"


@given(
    label=st.sampled_from(["REAL", "FAKE", "INCONCLUSIVE"]),
    basis=st.sampled_from(["DECLARED", "MEASURED", "CALIBRATED", "CLAIMED", "NONE"]),
    status=st.sampled_from(["QUEUED", "PROCESSING", "ANALYZED", "PARTIALLY_ANALYZED", "FAILED"]),
    score=st.floats(0, 1),
)
def test_nothing_is_ever_called_authentic_genuine_or_clean(label: str, basis: str, status: str, score: float) -> None:
    one = analysis(prediction=label, basis=basis, score=score)
    text = words.verdict(media(status, one, verdict=verdict(label, basis, score, "A-V1"))) + words.analysis(one)
    assert not [bad for bad in ("authentic", "genuine", "clean", "original", "unaltered") if bad in text.lower()]


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        (None, ""),
        (0.0, " (by chance: less than once in a million million pictures)"),
        (0.001, " (by chance: less than once in 1,000)"),
    ],
)
def test_a_bound_is_said_as_once_in_so_many(bound: float | None, said: str) -> None:
    assert words.chance(bound) == said


def test_ages_and_sizes_are_short() -> None:
    assert [words.age(s) for s in (0.4, 119, 120, 7199, 7200, 172800)] == ["0s", "119s", "2m", "120m", "2h", "2d"]
    assert [words.size(n) for n in (0, 1023, 1024, 1 << 20, 1 << 30)] == [
        "0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.0 GiB"
    ]  # fmt: skip


def test_colours_never_paint_a_failure_or_a_fake_green() -> None:
    assert words.colour(media("FAILED")) == "red"
    assert words.colour(media("ANALYZED", verdict=verdict("FAKE", "DECLARED"))) == "bold red"
    assert words.colour(media("ANALYZED")) == "yellow"
    assert words.colour(media("PROCESSING")) == "cyan"
