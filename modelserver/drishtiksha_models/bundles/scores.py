"""From what a network answers to one score, and from that to a probability where one was earned: pure functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .manifest import BadBundle, Calibration, Decision, Output

_EDGE = 1e-6
"""Scores are kept so far from 0 and 1 before their log-odds are taken."""
Floats = NDArray[np.float64]


def scores_of(rows: Floats, output: Output) -> Floats:
    """The score of FAKE, 0..1, of each row of answers. Raises BadBundle when they are not what `output` says."""
    wanted = 1 if output.kind in ("probability", "logit") else len(output.classes)
    if rows.shape[1] != wanted:
        raise BadBundle(
            f"output: the network answers {rows.shape[1]} numbers per sample, {output.kind} needs {wanted}."
        )
    if not np.isfinite(rows).all():
        raise BadBundle(
            "output: the network answers NaN or infinity; it may need more precision or another input scale."
        )
    if output.kind == "logit":
        return _sigmoid(rows[:, 0])
    if output.kind == "logits":
        raised = np.exp(rows - rows.max(axis=1, keepdims=True))
        return np.asarray(raised[:, output.positive] / raised.sum(axis=1))
    if rows.min() < -_EDGE or rows.max() > 1 + _EDGE:
        raise BadBundle(
            f"output: the network answers {rows.min():.3g} to {rows.max():.3g}; is its kind logit or logits?"
        )
    return np.clip(rows[:, 0 if output.kind == "probability" else output.positive], 0, 1)


def together(scores: Floats, decision: Decision) -> float:
    """The one score of a file's samples."""
    if decision.aggregate == "max":
        return float(scores.max())
    return float(np.median(scores) if decision.aggregate == "median" else scores.mean())


def log_odds(score: float) -> float:
    """log(s / (1 - s)), finite for every score."""
    kept = min(max(score, _EDGE), 1 - _EDGE)
    return float(np.log(kept / (1 - kept)))


def probability(score: float, calibration: Calibration) -> float | None:
    """P(fake) of a score by Platt's scaling; None where the manifest has not earned one."""
    if not calibration.emit_probability or calibration.platt is None:
        return None
    return float(_sigmoid(np.array(-(calibration.platt.a * log_odds(score) + calibration.platt.b))))


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x)))))
