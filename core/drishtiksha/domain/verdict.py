"""What a run says about a media: evidence is ranked, and unlike scores are never averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .analysis import Basis, Prediction, Thresholds


@dataclass(frozen=True)
class Vote:
    """One completed analysis as it counts in a verdict. `score` is P(fake) where there is one."""

    model: str
    prediction: Prediction
    basis: Basis
    score: float | None


@dataclass(frozen=True)
class Verdict:
    """`score`: the mean P(fake) where probabilities decided, else None. `models`: those that decided, by name."""

    label: Prediction
    basis: Basis
    score: float | None
    models: tuple[str, ...]


def verdict(
    votes: Sequence[Vote], thresholds: Thresholds = Thresholds(), weights: Mapping[str, float] | None = None
) -> Verdict | None:
    """The verdict over a run's completed analyses, in any order; None when there is none (a failed run has no verdict)."""
    if not votes:
        return None
    for basis in (Basis.DECLARED, Basis.MEASURED):
        deciding = sorted(v.model for v in votes if v.basis is basis and v.prediction is Prediction.FAKE)
        if deciding:
            return Verdict(Prediction.FAKE, basis, None, tuple(deciding))
    for basis in (Basis.CALIBRATED, Basis.CLAIMED):
        voting = sorted((v for v in votes if v.basis is basis and v.score is not None), key=lambda v: v.model)
        if basis is Basis.CLAIMED:  # a claimed INCONCLUSIVE has nothing to say
            voting = [v for v in voting if v.prediction is not Prediction.INCONCLUSIVE]
        weighed = [(v, (weights or {}).get(v.model, 1.0)) for v in voting]
        total = sum(w for _, w in weighed)
        if total > 0:
            mean = sum((v.score or 0.0) * w for v, w in weighed) / total
            return Verdict(thresholds.read(mean), basis, mean, tuple(v.model for v, w in weighed if w > 0))
    return Verdict(Prediction.INCONCLUSIVE, Basis.NONE, None, ())
