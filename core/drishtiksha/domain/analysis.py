"""One model's examination of one media: its ids, its findings, and what a result says when read honestly."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum

_NAMESPACE = uuid.UUID("5d0b6a2e-3d53-5c1b-9a53-7d1f0f3f6c11")
"""Root of our name-based ids (RFC 9562, version 5); any change makes every id another."""


def analysis_id(run_id: uuid.UUID, model: str) -> uuid.UUID:
    """The id of (run, model): the same after a lost commit."""
    return uuid.uuid5(_NAMESPACE, f"analysis/{run_id}/{model}")


def attempt_id(analysis: uuid.UUID, number: int) -> uuid.UUID:
    """The id of an analysis' n-th attempt, counted from 1."""
    return uuid.uuid5(_NAMESPACE, f"attempt/{analysis}/{number}")


class Prediction(StrEnum):
    """What a model or a run says about a media. INCONCLUSIVE is a successful answer."""

    REAL = "REAL"
    FAKE = "FAKE"
    INCONCLUSIVE = "INCONCLUSIVE"


class Basis(StrEnum):
    """What a prediction rests on, strongest first."""

    DECLARED = "DECLARED"
    """The file itself says, by signature, how it was made or that it was altered."""
    MEASURED = "MEASURED"
    """A statistic with a bounded false-alarm rate."""
    CALIBRATED = "CALIBRATED"
    """A probability from an empirically calibrated model."""
    CLAIMED = "CLAIMED"
    """A prediction and confidence that a service merely claims."""
    NONE = "NONE"
    """Nothing decides. "No evidence found", never "authentic"."""


class Finding(StrEnum):
    """What a detector found."""

    NONE = "NONE"
    SUSPICIOUS = "SUSPICIOUS"
    DECLARED_SYNTHETIC = "DECLARED_SYNTHETIC"
    SYNTHETIC_MARKED = "SYNTHETIC_MARKED"
    MANIPULATED_REGION = "MANIPULATED_REGION"
    TAMPERED_AFTER_SIGNING = "TAMPERED_AFTER_SIGNING"


_DECLARED = frozenset({Finding.DECLARED_SYNTHETIC, Finding.TAMPERED_AFTER_SIGNING})
_MEASURED = frozenset({Finding.SYNTHETIC_MARKED, Finding.MANIPULATED_REGION})


@dataclass(frozen=True)
class Thresholds:
    """Probabilities of FAKE: at or above `fake_from` FAKE, at or below `real_to` REAL, between them INCONCLUSIVE."""

    fake_from: float = 0.6
    real_to: float = 0.4

    def read(self, probability_fake: float) -> Prediction:
        """The prediction that a probability of FAKE stands for."""
        if probability_fake >= self.fake_from:
            return Prediction.FAKE
        if probability_fake <= self.real_to:
            return Prediction.REAL
        return Prediction.INCONCLUSIVE


@dataclass(frozen=True)
class Reading:
    """A result as it counts: `confidence` is in the stated prediction, `score` is P(fake) or None where there is none."""

    prediction: Prediction
    basis: Basis
    confidence: float
    score: float | None


def read_result(
    *,
    prediction: Prediction,
    confidence: float | None,
    finding: Finding | None,
    probability_fake: float | None,
    calibration_kind: str | None,
    bound: float | None,
    thresholds: Thresholds = Thresholds(),
) -> Reading:
    """What a model's answer says, by the table of findings; without a finding, what the service claims.

    `bound` is the false-alarm bound of this finding, there for calibration kinds `nfa` and `p-value`.
    """
    if finding in _DECLARED:
        return Reading(Prediction.FAKE, Basis.DECLARED, 1.0, None)
    if finding in _MEASURED and bound is not None and calibration_kind in ("nfa", "p-value"):
        return Reading(Prediction.FAKE, Basis.MEASURED, 1.0 - bound, None)
    if probability_fake is not None:
        stated = thresholds.read(probability_fake)
        basis = Basis.CALIBRATED if calibration_kind == "empirical" else Basis.CLAIMED
        return Reading(stated, basis, _confidence(stated, probability_fake), probability_fake)
    if finding is None and confidence is not None and prediction is not Prediction.INCONCLUSIVE:
        fake = confidence if prediction is Prediction.FAKE else 1.0 - confidence
        return Reading(prediction, Basis.CLAIMED, confidence, fake)
    return Reading(Prediction.INCONCLUSIVE, Basis.NONE, 0.5, None)


def _confidence(stated: Prediction, probability_fake: float) -> float:
    if stated is Prediction.INCONCLUSIVE:
        return 0.5
    return probability_fake if stated is Prediction.FAKE else 1.0 - probability_fake
