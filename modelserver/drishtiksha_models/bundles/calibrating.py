"""Calibrates a bundle on labelled media: Platt's scaling, AUC, and the calibration error by media that had no part in the fit.

Source: Platt, "Probabilistic outputs for support vector machines", 1999 (targets (n+1)/(n+2) and 1/(n+2) against overfitting).
AUC and calibration error are those of `evaluation/statistics`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..decode.identify import identify
from ..detector import BadMedia, Deadline, DeadlinePassed, Unsupported
from ..evaluation.statistics import auc, ece
from .detector import BundleDetector
from .scores import log_odds, scores_of, together

FOLDS = 5
"""Parts of the media, each of which is judged by a fit on the others."""
SECONDS = 600.0
"""For one file."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """Media of one label with their scores; `left_out`: why a file has none, by its name."""

    scores: list[float]
    hashes: list[str]
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True)
class Fit:
    """What a manifest's `calibration` is made of."""

    a: float
    b: float
    auc: float
    ece: float
    n_real: int
    n_fake: int
    set: str


def scored(detector: BundleDetector, folder: Path, tell: Callable[[int, int], None]) -> Scored:
    """Score every file of a folder and its sub-folders, by name. `tell` hears how many of how many are done."""
    found = Scored([], [], {})
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    for done, path in enumerate(files, start=1):
        try:
            media = identify(path, path.name)
            if media.media_type not in detector.media_types:
                raise Unsupported(f"is {str(media.media_type).lower()}, which this model does not examine")
            answers = detector.answers(media, lambda _progress: None, Deadline(SECONDS))
            if len(answers.rows) < detector.manifest.decision.min_evidence:
                raise BadMedia("gives too few samples")
            scores = scores_of(answers.rows, detector.manifest.output)
            found.scores.append(together(scores, detector.manifest.decision))
            with path.open("rb") as file:
                found.hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
        except (BadMedia, Unsupported, DeadlinePassed) as error:
            found.left_out[str(path.relative_to(folder))] = str(error)
        tell(done, len(files))
    return found


def fit(real: Scored, fake: Scored, seed: int = 0) -> Fit:
    """Platt's parameters for P(fake), and how good they are. Raises ValueError with fewer than FOLDS media of a class."""
    if min(len(real.scores), len(fake.scores)) < FOLDS:
        raise ValueError(
            f"at least {FOLDS} usable media of each class are needed; there are {len(real.scores)} real and {len(fake.scores)} fake"
        )
    scores = np.array([log_odds(score) for score in (*real.scores, *fake.scores)])
    labels = np.array([0.0] * len(real.scores) + [1.0] * len(fake.scores))
    unseen = np.empty_like(scores)
    for part in _parts(labels, seed):
        a, b = platt(scores[~part], labels[~part])
        unseen[part] = _p(scores[part], a, b)
    a, b = platt(scores, labels)
    digest = hashlib.sha256("\n".join(sorted([*real.hashes, *fake.hashes])).encode()).hexdigest()
    return Fit(
        a, b, auc(scores, labels > 0), ece(unseen, labels > 0), len(real.scores), len(fake.scores), f"sha256:{digest}"
    )


def platt(scores: Floats, labels: Floats) -> tuple[float, float]:
    """(a, b) of 1 / (1 + exp(a s + b)) with the greatest likelihood."""
    from scipy.optimize import minimize

    fakes = labels.sum()
    targets = np.where(labels > 0, (fakes + 1) / (fakes + 2), 1 / (len(labels) - fakes + 2))

    def loss(at: Floats) -> float:
        z = at[0] * scores + at[1]
        return float(np.sum(np.logaddexp(0, z) - (1 - targets) * z))

    start = np.array([-1.0, np.log((len(labels) - fakes + 1) / (fakes + 1))])
    found = minimize(loss, start, method="BFGS").x
    return float(found[0]), float(found[1])


def _p(scores: Floats, a: float, b: float) -> Floats:
    return np.asarray(1 / (1 + np.exp(np.clip(a * scores + b, -500, 500))))


def _parts(labels: Floats, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Masks of FOLDS parts, in each of which both classes have their share."""
    order: Sequence[int] = np.random.default_rng(seed).permutation(len(labels)).tolist()
    part = np.empty(len(labels), int)
    for label in (0.0, 1.0):
        mine = [index for index in order if labels[index] == label]
        part[mine] = np.arange(len(mine)) % FOLDS
    for number in range(FOLDS):
        yield part == number
