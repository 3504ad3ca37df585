"""The manifest of a bundle: one JSON file, closed at every level. A key that is not known here refuses the bundle.

The published JSON Schema (`docs/detectors/bundle.schema.json`) is made from these classes.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from ..detector import NAME, Unloadable
from .inputs import KINDS, Finite, Input, Part, Share

SCHEMA = "drishtiksha.io/bundle/v1"
MANIFEST = "manifest.json"
GRAPH = "model.onnx"
MAX_MANIFEST = 256 * 1024
"""Bytes of a manifest."""
ENOUGH = 200
"""Media per class below which a calibration gives no probability."""

_FILE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


class BadBundle(Unloadable):
    """The bundle cannot be served; the text names the file or key, what is wrong with it, and the cure."""


class Licence(Part):
    """Under which licence the weights may be used, and where they come from."""

    spdx: str = Field(min_length=1, max_length=100)
    source: str = Field(min_length=1, max_length=500)


class File(Part):
    """A file of the bundle: sha256 of its bytes in lower-case hexadecimal, and how many they are."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=1, le=8 * 1024**3)


class Runtime(Part):
    """How the network runs. `threads`: of one run; `max_batch`: samples in one run; `device`: `auto` takes a GPU where there is one."""

    threads: int = Field(default=1, ge=1, le=64)
    max_batch: int = Field(default=8, ge=1, le=256)
    device: Literal["auto", "cpu"] = "auto"


class Output(Part):
    """What the network answers. `kind`: `probability` of FAKE, `logit` of it, `probabilities` or `logits` over classes, of which
    `positive` (from 0) is FAKE."""

    tensor: str = Field(min_length=1, max_length=200)
    kind: Literal["probability", "logit", "probabilities", "logits"]
    classes: list[str] = Field(default_factory=list, max_length=1000)
    positive: int = Field(default=0, ge=0, le=999)

    @model_validator(mode="after")
    def _named(self) -> Output:
        if self.kind in ("probabilities", "logits") and not (
            len(self.classes) >= 2 and self.positive < len(self.classes)
        ):
            raise ValueError("classes: name each class, at least two, and let positive be the place of FAKE among them")
        return self


class Platt(Part):
    """P(fake) = 1 / (1 + exp(a * s + b)), with s the score's log-odds. Platt, "Probabilistic outputs for support vector machines", 1999."""

    a: Finite
    b: Finite


class Calibration(Part):
    """How scores relate to truth. `set`: names the media it was made with; `ece`: expected calibration error over ten bins, by media
    that had no part in the fit."""

    status: Literal["none", "empirical"] = "none"
    set: str | None = Field(default=None, min_length=1, max_length=200)
    source: str = Field(default="", max_length=500)
    n_real: int | None = Field(default=None, ge=0)
    n_fake: int | None = Field(default=None, ge=0)
    auc: Share | None = None
    ece: Share | None = None
    platt: Platt | None = None
    emit_probability: bool = False

    @model_validator(mode="after")
    def _earned(self) -> Calibration:
        if not self.emit_probability:
            return self
        enough = min(self.n_real or 0, self.n_fake or 0) >= ENOUGH
        if self.status != "empirical" or not self.set or not enough or self.ece is None or self.platt is None:
            raise ValueError(
                "emit_probability: a probability needs status empirical, the id of the set, at least "
                f"{ENOUGH} media of each class, an ECE and the Platt parameters; see: drishtiksha-models bundle calibrate"
            )
        return self


class Decision(Part):
    """How the scores of the samples become one, and when that is worth a look. Nothing here says FAKE: that needs a probability."""

    aggregate: Literal["mean", "median", "max"] = "mean"
    suspect_above: Share = 0.8
    clear_below: Share = 0.2
    min_evidence: int = Field(default=1, ge=1, le=512)
    """Samples below which nothing is said."""

    @model_validator(mode="after")
    def _ordered(self) -> Decision:
        if self.clear_below > self.suspect_above:
            raise ValueError("clear_below: lies above suspect_above")
        return self


class Evidence(Part):
    """What the network claims to measure, and what it cannot see; both are shown to people."""

    claims: str = Field(min_length=10, max_length=1000)
    limits: list[Annotated[str, Field(min_length=5, max_length=500)]] = Field(min_length=1, max_length=20)


class Golden(Part):
    """A file of the bundle, and what the network answers for its first sample: it must do so here, within `tolerance` of each number."""

    file: str
    expected: list[Finite] = Field(min_length=1, max_length=1000)
    tolerance: float = Field(default=1e-3, gt=0, le=0.5, allow_inf_nan=False)


class Manifest(Part):
    """All of it."""

    schema_: Literal["drishtiksha.io/bundle/v1"] = Field(alias="schema")
    name: str
    version: str = Field(pattern=r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.-]+)?$", max_length=60)
    media_types: list[Literal["IMAGE", "VIDEO", "AUDIO"]] = Field(min_length=1, max_length=3)
    license: Licence
    files: dict[str, File] = Field(min_length=2, max_length=16)
    runtime: Runtime = Field(default_factory=Runtime)
    input: Input
    output: Output
    calibration: Calibration = Field(default_factory=Calibration)
    decision: Decision = Field(default_factory=Decision)
    evidence: Evidence
    golden: Golden

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError(
                "letters, digits, dots, dashes and underscores, at most 63, beginning with a letter or digit"
            )
        return value

    @model_validator(mode="after")
    def _whole(self) -> Manifest:
        bad = [name for name in self.files if not _FILE.fullmatch(name) or name == MANIFEST]
        if bad:
            raise ValueError(f"files: {bad[0]!r} is no plain file name")
        for needed in (GRAPH, self.golden.file):
            if needed not in self.files:
                raise ValueError(f"files: {needed} is not listed")
        beyond = sorted(set(self.media_types) - {str(kind) for kind in KINDS[self.input.sampler.kind]})
        if beyond:
            raise ValueError(
                f"media_types: the sampler {self.input.sampler.kind} takes nothing out of {beyond[0]} files"
            )
        return self


def parse(text: bytes) -> Manifest:
    """The manifest in these bytes. Raises BadBundle with the first thing that is wrong."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadBundle(f"{MANIFEST}: is no JSON ({error}).") from None
    try:
        return Manifest.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BadBundle(f"{MANIFEST}: {where}: {_in_words(first['type'], first['msg'])}.") from None


def _in_words(kind: str, said: str) -> str:
    if kind == "extra_forbidden":
        return "this key is not known; `drishtiksha-models bundle schema` prints those that are"
    if kind == "missing":
        return "is missing"
    return said.removeprefix("Value error, ").rstrip(".")


def schema() -> str:
    """The published JSON Schema, as text."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema(by_alias=True)}
    return json.dumps(made | {"title": SCHEMA}, indent=2) + "\n"
