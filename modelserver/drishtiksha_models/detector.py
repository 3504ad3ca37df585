"""What a detector is and what it may say: the protocol that every file in `detectors/` fulfils.

`registry.py` finds the detectors, `worker.py` runs them in a child process, `answer.py` turns what they say into the
JSON of the ML contract. A module in `detectors/` offers one object named `DETECTOR`; heavy libraries are imported in
`load`, so that listing the detectors is quick and a missing library is a reason, never a crash.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from drishtiksha.domain.media import MediaType

Fact = str | float | int | bool | None
"""A value that an analyst may read; numbers are finite."""


class DetectorError(Exception):
    """Base of what a detector raises on purpose; its text is a plain sentence that a user may read."""


class Unloadable(DetectorError):
    """The detector cannot work here; the text says what is missing and how it is brought."""


class BadMedia(DetectorError):
    """The file itself is the cause: damaged, not what it claims, or beyond a limit of ours."""


class Unsupported(DetectorError):
    """The file may be fine, but this detector does not examine its kind."""


class DeadlinePassed(DetectorError):
    """The time given for this analysis is over."""


class Crashed(DetectorError):
    """A process that works for the detector has ended over this file."""


class Status(StrEnum):
    """How an examination ended. INCONCLUSIVE is a success: it was done and says nothing either way."""

    COMPLETED = "COMPLETED"
    INCONCLUSIVE = "INCONCLUSIVE"


class Finding(StrEnum):
    """What was found. NONE means "no evidence found", never "authentic"."""

    NONE = "NONE"
    SUSPICIOUS = "SUSPICIOUS"
    DECLARED_SYNTHETIC = "DECLARED_SYNTHETIC"
    SYNTHETIC_MARKED = "SYNTHETIC_MARKED"
    MANIPULATED_REGION = "MANIPULATED_REGION"
    TAMPERED_AFTER_SIGNING = "TAMPERED_AFTER_SIGNING"


@dataclass(frozen=True, slots=True)
class MediaFile:
    """The file to examine. `media_type` was decided by its content; `name` is the caller's, for people only."""

    path: Path
    media_type: MediaType
    mimetype: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` steps (frames, tiles, seconds); total is None when it is not known."""

    done: int
    total: int | None = None
    message: str = ""
    event: str = "FRAME_ANALYSIS_PROGRESS"


Report = Callable[[Progress], None]
"""Takes progress; cheap to call often, the service passes on at most four a second."""


class Deadline:
    """A moment on the monotonic clock; `check` is called between steps of the work."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - self._clock())

    def check(self) -> None:
        """Raises DeadlinePassed when no time is left."""
        if self._clock() >= self._end:
            raise DeadlinePassed("The time given for this analysis is over.")


@dataclass(frozen=True, slots=True)
class Score:
    """The detector's own statistic. It is no probability and is never averaged with another's."""

    value: float
    name: str
    kind: str = "uncalibrated-statistic"


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far a finding can be trusted.

    `bound` is the false-alarm bound of this very finding, 0..1 (a p-value after all corrections, or min(1, NFA));
    it is there exactly when kind is p-value or nfa. `source` says what data or theorem stands behind it.
    """

    kind: Literal["none", "nfa", "p-value", "empirical"] = "none"
    bound: float | None = None
    source: str = ""
    auc: float | None = None
    n: int | None = None

    def __post_init__(self) -> None:
        if (self.bound is not None) != (self.kind in ("nfa", "p-value")):
            raise ValueError("a bound is given exactly when the calibration is an NFA or a p-value")
        if self.bound is not None and not 0 <= self.bound <= 1:
            raise ValueError("a false-alarm bound lies between 0 and 1")


@dataclass(frozen=True, slots=True)
class Series:
    """A measured curve: `t` in seconds, `v` in `unit` ("1" for a ratio); a gap is None. At most 20,000 points."""

    name: str
    unit: str
    t: Sequence[float]
    v: Sequence[float | None]
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """A place in the picture: x, y, width, height in pixels of the media; `t` in seconds where time matters."""

    box: tuple[float, float, float, float]
    label: str = ""
    score: float | None = None
    t: float | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture for the analyst, encoded. `name` like `votes.png`; `kind` heatmap, spectrogram, overlay or chart."""

    kind: str
    name: str
    mimetype: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Of the encoded bytes, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the media was examined (seconds, frames); a still has one frame and no seconds."""

    analysed_s: float | None = None
    total_s: float | None = None
    frames: int | None = None


@dataclass(frozen=True, slots=True)
class AudioFigures:
    """Acoustic figures where they were measured (Hz, seconds, fractions 0..1); what was not measured is None."""

    duration_seconds: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    mean_pitch_hz: float | None = None
    pitch_stability_score: float | None = None
    rms_energy: float | None = None
    silence_ratio: float | None = None
    spectral_centroid: float | None = None
    spectral_contrast: float | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """All that a detector says about one file.

    `probability_fake` only with an empirical calibration; an INCONCLUSIVE one always gives its reason; `note` is one
    plain sentence for the user; `facts` are measured values by name; `metrics` are numbers worth comparing between
    files; `limits` say what this examination cannot see. `width`, `height` in pixels of a picture.
    """

    status: Status
    finding: Finding = Finding.NONE
    note: str = ""
    score: Score | None = None
    probability_fake: float | None = None
    calibration: Calibration = field(default_factory=Calibration)
    inconclusive_reason: str | None = None
    coverage: Coverage | None = None
    series: Sequence[Series] = ()
    regions: Sequence[Region] = ()
    images: Sequence[Picture] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    limits: Sequence[str] = ()
    audio: AudioFigures | None = None
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        if self.probability_fake is not None and self.calibration.kind != "empirical":
            raise ValueError("a probability needs an empirical calibration")
        if (self.inconclusive_reason is not None) != (self.status is Status.INCONCLUSIVE):
            raise ValueError("a reason is given exactly when the examination is inconclusive")
        if self.status is Status.INCONCLUSIVE and self.finding not in (Finding.NONE, Finding.SUSPICIOUS):
            raise ValueError("an inconclusive examination cannot decide")
        numbers = [v for v in [*self.facts.values(), *self.metrics.values()] if isinstance(v, float)]
        if not all(math.isfinite(v) for v in numbers):
            raise ValueError("facts and metrics are finite")


NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
"""What the operator accepts as a model's name."""


class Detector(Protocol):
    """One detector. Its attributes are known without loading it; `examine` runs in one thread of a worker process."""

    @property
    def name(self) -> str:
        """Like `JPEG-GRID-V1`; matches NAME."""

    @property
    def version(self) -> str:
        """Semantic version of what it measures; changes whenever the same file may give another answer."""

    @property
    def media_types(self) -> frozenset[MediaType]:
        """The kinds of media it examines."""

    @property
    def description(self) -> str:
        """One or two plain sentences: what it measures, and its source."""

    @property
    def limits(self) -> Sequence[str]:
        """What it cannot see, in plain sentences; never empty."""

    def load(self) -> None:
        """Import heavy libraries, read weights. Called once per worker process before `examine`.

        Raises Unloadable with the reason and the cure.
        """

    def examine(self, media: MediaFile, report: Report, deadline: Deadline) -> Examination:
        """Examine one file. Raises BadMedia, Unsupported or DeadlinePassed."""
