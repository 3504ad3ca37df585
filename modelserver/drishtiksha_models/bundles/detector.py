"""A bundle as a detector: samples are taken, the network answers, the manifest says what that is worth.

`registry` lists it beside the detectors of this project. It says FAKE or REAL only by a calibrated probability; without
one it raises suspicion at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drishtiksha.domain.media import MediaType

from ..decode.identify import identify
from ..detector import (
    BadMedia,
    Calibration,
    Deadline,
    DeadlinePassed,
    Examination,
    Finding,
    MediaFile,
    Progress,
    Region,
    Report,
    Score,
    Series,
    Status,
    Unsupported,
)
from ..perception.tracking import FaceTracker
from .folder import Bundle, checked
from .manifest import GRAPH, BadBundle, Manifest
from .network import Network
from .remote import RemoteNetwork
from .sampling import Taken, needs_faces, take
from .scores import probability, scores_of, together

GOLDEN_SECONDS = 60.0
"""For the golden file and for zeros, each, when a bundle is loaded."""


class Mingled(BadBundle):
    """The network's answer for a sample hangs on what else is in the run."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the network says of one file: its rows, and the samples they belong to."""

    taken: Taken
    rows: NDArray[np.float64]


class BundleDetector:
    """The protocol `Detector` on a bundle."""

    def __init__(self, bundle: Bundle, place: Path | None = None) -> None:
        """`place`: the socket of the process that runs the network; None: it is run in this one."""
        self._bundle, self._place = bundle, place
        self._network: Network | RemoteNetwork | None = None
        self._faces: FaceTracker | None = None

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self._bundle.manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def media_types(self) -> frozenset[MediaType]:
        return frozenset(MediaType(kind) for kind in self.manifest.media_types)

    @property
    def description(self) -> str:
        licence = self.manifest.license
        return f"{self.manifest.evidence.claims} Weights: {licence.source} ({licence.spdx})."

    @property
    def limits(self) -> Sequence[str]:
        return (*self.manifest.evidence.limits, "The weights were brought by whoever runs this service.")

    @property
    def device(self) -> str:
        """`cuda` or `cpu`, once it is loaded."""
        return self._network.device if self._network else "cpu"

    @property
    def memory_mb(self) -> float | None:
        """Of the process that runs the network, in MiB, where it has one of its own."""
        return self._network.memory_mb if self._network else None

    def load(self) -> None:
        """Read, check and try the bundle: the golden file must give its answer, zeros a finite one. Raises BadBundle."""
        self.prepare()
        self.try_golden()

    def prepare(self) -> None:
        """All of `load` but the golden file."""
        if self._place is None:
            self._network = Network(self._bundle.read(GRAPH), self.manifest)
        else:
            self._network = RemoteNetwork(self._place, self.manifest.input)
        if needs_faces(self.manifest.input.sampler):
            self._faces = FaceTracker()

    def answers(self, media: MediaFile, report: Report, deadline: Deadline) -> Answers:
        """What the network says of a file, before anything is made of it. Raises as `examine` does."""
        network = self._loaded()
        taken = take(media, self.manifest.input, self._faces, report, deadline)
        rows = np.zeros((0, 1))
        if taken.samples:
            report(Progress(0, len(taken.samples), "asking the network"))
            rows = network.answers([network.laid_out(sample.array) for sample in taken.samples], deadline)
            report(Progress(len(taken.samples), len(taken.samples), "asking the network"))
        return Answers(taken, rows)

    def examine(self, media: MediaFile, report: Report, deadline: Deadline) -> Examination:
        """Examine one file. Raises BadMedia, Unsupported, DeadlinePassed; BadBundle when the network fails on it."""
        found = self.answers(media, report, deadline)
        taken, decision = found.taken, self.manifest.decision
        if len(taken.samples) < decision.min_evidence:
            return self._too_little(taken)
        scores = scores_of(found.rows, self.manifest.output)
        score = together(scores, decision)
        p = probability(score, self.manifest.calibration)
        suspicious = score >= decision.suspect_above
        return Examination(
            status=Status.COMPLETED,
            finding=Finding.SUSPICIOUS if suspicious else Finding.NONE,
            note=self._note(score, p, suspicious),
            score=Score(score, f"{decision.aggregate}_score_of_fake"),
            probability_fake=p,
            calibration=self._calibration(),
            coverage=taken.coverage,
            series=_curve(taken, scores, decision.suspect_above),
            regions=[
                Region(sample.box, "face", float(one), sample.t)
                for sample, one in zip(taken.samples, scores, strict=True)
                if sample.box is not None
            ],
            facts={
                "samples": len(scores),
                "lowest_score": float(scores.min()),
                "highest_score": float(scores.max()),
                "device": self.device,
                "weights_sha256": self.manifest.files[GRAPH].sha256,
            },
            width=taken.width,
            height=taken.height,
        )

    def golden(self) -> NDArray[np.float64]:
        """What the network says of the first sample of the golden file. Raises BadBundle."""
        name = self.manifest.golden.file
        checked(self._bundle.path / name, self.manifest.files[name], len)
        try:
            media = identify(self._bundle.path / name, name)
            found = self.answers(media, lambda _progress: None, Deadline(GOLDEN_SECONDS))
        except (BadMedia, Unsupported) as error:
            raise BadBundle(f"golden.file: {name} cannot be examined: {error}") from None
        except DeadlinePassed:
            raise BadBundle(f"{GRAPH}: needs more than {GOLDEN_SECONDS:.0f} s for {name}; it may never end.") from None
        if len(found.rows) == 0:
            raise BadBundle(f"golden.file: {name} gives no sample; take one in which the sampler finds something.")
        self._try_zeros(found)
        self._try_company(found)
        return np.asarray(found.rows[0])

    def try_golden(self) -> None:
        """Compare what the golden file gives with what it should. Raises BadBundle."""
        expected, got = np.array(self.manifest.golden.expected), self.golden()
        if got.shape != expected.shape:
            raise BadBundle(f"golden.expected: has {len(expected)} numbers, the network answers {len(got)}.")
        off = float(np.max(np.abs(got - expected)))
        if not off <= self.manifest.golden.tolerance:
            raise BadBundle(
                f"golden: the network is off by {off:.3g} here, {self.manifest.golden.tolerance:g} is allowed. Other steps, "
                "another file or another machine: `drishtiksha-models bundle check` shows both answers."
            )

    def _try_zeros(self, found: Answers) -> None:
        network = self._loaded()
        zeros = network.laid_out(np.zeros_like(found.taken.samples[0].array))
        try:
            scores_of(network.answers([zeros], Deadline(GOLDEN_SECONDS)), self.manifest.output)
        except DeadlinePassed:
            raise BadBundle(f"{GRAPH}: needs more than {GOLDEN_SECONDS:.0f} s for zeros; it may never end.") from None

    def _try_company(self, found: Answers) -> None:
        """A sample's answer must not hang on what else is in the run: other files' samples are."""
        network = self._loaded()
        if network.most == 1:
            return
        sample = network.laid_out(found.taken.samples[0].array)
        try:
            rows = network.answers([np.zeros_like(sample), sample], Deadline(GOLDEN_SECONDS))
        except DeadlinePassed:
            raise BadBundle(f"{GRAPH}: needs more than {GOLDEN_SECONDS:.0f} s for two samples.") from None
        off = float(np.max(np.abs(rows[1] - found.rows[0])))
        if not off <= self.manifest.golden.tolerance:
            raise Mingled(
                f"{GRAPH}: its answer for a sample changes by {off:.3g} with what else is in the run; export it for inference, "
                "or set runtime.max_batch to 1."
            )

    def _loaded(self) -> Network | RemoteNetwork:
        if self._network is None:
            raise RuntimeError(f"{self.name} is not loaded")
        return self._network

    def _too_little(self, taken: Taken) -> Examination:
        what = "face was" if needs_faces(self.manifest.input.sampler) else "part of the file was"
        few = f"only {len(taken.samples)} samples" if taken.samples else f"no {what} found that it could examine"
        return Examination(
            status=Status.INCONCLUSIVE,
            inconclusive_reason=f"{self.name} needs {self.manifest.decision.min_evidence} sample(s): {few}.",
            coverage=taken.coverage,
            facts={"samples": len(taken.samples)},
            width=taken.width,
            height=taken.height,
        )

    def _note(self, score: float, p: float | None, suspicious: bool) -> str:
        said = f"Score {score:.2f}"
        if p is not None:
            return f"{said}: by its calibration {round(100 * p)} % likely to be fake."
        if suspicious:
            return f"{said}, above {self.manifest.decision.suspect_above:g}: worth a look. The score is no probability."
        if score <= self.manifest.decision.clear_below:
            return f"{said}: no evidence found. The score is no probability."
        return f"{said}: says nothing either way. The score is no probability."

    def _calibration(self) -> Calibration:
        said = self.manifest.calibration
        if said.status == "none":
            return Calibration(source=said.source)
        source = "; ".join(part for part in (said.set, said.source) if part)
        return Calibration("empirical", source=source, auc=said.auc, n=(said.n_real or 0) + (said.n_fake or 0))


def _curve(taken: Taken, scores: NDArray[np.float64], threshold: float) -> list[Series]:
    """The score over time, where samples have a time."""
    at = [(sample.t, float(score)) for sample, score in zip(taken.samples, scores, strict=True) if sample.t is not None]
    if not at:
        return []
    return [Series("score_of_fake", "1", [t for t, _ in at], [score for _, score in at], threshold)]
