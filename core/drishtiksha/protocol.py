"""The runner protocol, version 1: what travels between a runner and the internal door (see docs/runner-protocol.md).

Any image that speaks it can be a runner. The door validates everything with these models: a runner was handed
hostile media and is not trusted. Keys on the wire are camelCase; times are seconds; scores are P(fake), 0..1.
The runner itself writes plain dictionaries of this shape and imports only the standard-library part of the core.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic.alias_generators import to_camel

PROTOCOL_VERSION = 1
MAX_RESULT_BYTES = 16 * 1024 * 1024
"""Of a result's JSON after decompression."""
MAX_FRAMES = 200_000
MAX_ARTIFACTS = 32
MAX_ARTIFACT_BYTES = 64 * 1024 * 1024
MAX_PROGRESS_BYTES = 4096
HEARTBEAT_SECONDS = 20.0
"""A runner calls the door at least this often."""

ARTIFACT_TYPES = frozenset(
    {"image/png", "image/jpeg", "image/webp", "application/gzip", "application/json", "text/plain", "text/csv"}
)
ARTIFACT_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
ARTIFACT_KINDS = r"^[a-z][a-z0-9-]{0,39}$"

Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Short = Annotated[str, StringConstraints(max_length=200)]
Text = Annotated[str, StringConstraints(max_length=4000)]
Prediction = Literal["REAL", "FAKE", "INCONCLUSIVE"]
FindingName = Literal[
    "NONE", "SUSPICIOUS", "DECLARED_SYNTHETIC", "SYNTHETIC_MARKED", "MANIPULATED_REGION", "TAMPERED_AFTER_SIGNING"
]


class Wire(BaseModel):
    """Base of all messages: camelCase, unknown keys refused, NUL characters and lone surrogates refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _storable(cls, value: object) -> object:
        if isinstance(value, str) and ("\x00" in value or any("\ud800" <= c <= "\udfff" for c in value)):
            raise ValueError("text holds a NUL character or a lone surrogate, which cannot be stored")
        return value


class AssignedAttempt(Wire):
    """The attempt that the token stands for."""

    id: str
    number: int


class AssignedAnalysis(Wire):
    """What to do: which model has to examine the media."""

    id: str
    model: str
    model_version: str


class AssignedRun(Wire):
    """The run it belongs to."""

    id: str


class AssignedMedia(Wire):
    """What to examine. `size` in bytes; `type` VIDEO, AUDIO or IMAGE."""

    id: str
    user_id: str
    type: str
    mimetype: str
    size: int
    sha256: str
    has_audio: bool


class Assignment(Wire):
    """Answer of `GET /internal/v1/attempt`. `deadline` is ISO 8601 UTC; `seconds_left` until it, by the door's clock."""

    attempt: AssignedAttempt
    analysis: AssignedAnalysis
    run: AssignedRun
    media: AssignedMedia
    deadline: str
    seconds_left: float


class Measure(Wire):
    """The detector's own statistic, which is no probability."""

    value: Finite | None
    kind: Short
    name: Short


class Calibration(Wire):
    """How far the statistic can be trusted. `bound`: the false-alarm bound of this very finding."""

    kind: Literal["none", "nfa", "p-value", "empirical"]
    bound: Score | None = None
    source: Text | None = None
    auc: Score | None = None
    n: int | None = Field(default=None, ge=0)


class Series(Wire):
    """A measured curve: `t` in seconds, `v` in `unit`; a gap is null."""

    name: Short
    unit: Short = "1"
    t: list[Finite] = Field(max_length=20_000)
    v: list[Finite | None] = Field(max_length=20_000)
    threshold: Finite | None = None


class Region(Wire):
    """A place in the media: box is x, y, width, height in pixels; `t` in seconds where time matters."""

    t: Finite | None = None
    box: Annotated[list[Finite], Field(min_length=4, max_length=4)]
    score: Finite | None = None
    label: Short = ""


class Frame(Wire):
    """One examined frame: `score` is P(fake), `timestamp` in seconds."""

    number: int = Field(ge=0)
    score: Score
    prediction: Literal["REAL", "FAKE", "INCONCLUSIVE"]
    timestamp: Finite | None = None


class AudioFigures(Wire):
    """Acoustic figures where the model measured them (Hz, fractions 0..1)."""

    mean_pitch_hz: Finite | None = None
    pitch_stability_score: Finite | None = None
    rms_energy: Finite | None = None
    silence_ratio: Finite | None = None
    spectral_centroid: Finite | None = None
    spectral_contrast: Finite | None = None
    duration_seconds: Finite | None = None
    sample_rate: Finite | None = None
    channels: int | None = None
    voice_quality: dict[Short, Finite | Short | None] = Field(default_factory=dict, max_length=50)


class ImageFigures(Wire):
    """Pixels of the picture as the model saw it."""

    width: int | None = None
    height: int | None = None


class Coverage(Wire):
    """How much of the media was examined."""

    analysed_seconds: Finite | None = None
    total_seconds: Finite | None = None
    frames: int | None = Field(default=None, ge=0)


class ModelFacts(Wire):
    """About the model that answered, from the service's `/stats` (memory in MB, load time in ms)."""

    description: Text | None = None
    class_name: Short | None = None
    device: Short | None = None
    memory_usage_mb: Finite | None = None
    load_time_ms: Finite | None = None


class SystemFacts(Wire):
    """About the service that answered."""

    server_version: Short | None = None
    python_version: Short | None = None
    processing_device: Short | None = None
    node_name: Short | None = None


class AttemptResult(Wire):
    """Body of `PUT /internal/v1/attempt/result`: one model's answer, normalised by the runner.

    `prediction` and `confidence` are what the service claimed; where `finding` is present the door derives both
    from the extension. `confidence` is in the stated prediction. `artifacts` lists names put before.
    """

    protocol: Literal[1]
    model: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    model_version: Short = ""
    prediction: Prediction
    confidence: Score | None = None
    processing_time: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    note: Text | None = None
    finding: FindingName | None = None
    probability_fake: Score | None = None
    measure: Measure | None = None
    calibration: Calibration | None = None
    inconclusive_reason: Text | None = None
    coverage: Coverage | None = None
    limits: list[Text] = Field(default_factory=list, max_length=50)
    facts: dict[Short, Finite | bool | Text | None] = Field(default_factory=dict, max_length=500)
    metrics: dict[Short, Finite] = Field(default_factory=dict, max_length=500)
    series: list[Series] = Field(default_factory=list, max_length=64)
    regions: list[Region] = Field(default_factory=list, max_length=5_000)
    frame_count: int | None = Field(default=None, ge=0)
    frames: list[Frame] = Field(default_factory=list, max_length=MAX_FRAMES)
    audio: AudioFigures | None = None
    image: ImageFigures | None = None
    model_info: ModelFacts | None = None
    system_info: SystemFacts | None = None
    artifacts: list[Annotated[str, StringConstraints(pattern=ARTIFACT_NAME)]] = Field(
        default_factory=list, max_length=MAX_ARTIFACTS
    )


class AttemptFailure(Wire):
    """Body of `PUT /internal/v1/attempt/failure`."""

    error_class: Literal["BAD_MEDIA", "ML_UNAVAILABLE", "INTERNAL", "ML_CONTRACT", "CANCELLED"] = Field(alias="class")
    message: Text
    server_response: Text | None = None


class Progress(Wire):
    """Body of `POST /internal/v1/attempt/progress`; an empty body is a heartbeat."""

    event: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
    message: Text = ""
    data: dict[Short, Finite | bool | Text | None] = Field(default_factory=dict, max_length=50)


class Accepted(Wire):
    """Answer to a result: false when this attempt already had one."""

    accepted: bool
