"""One analysis, its parts, and `resultPayload`: the same in the ML service's own form."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from .values import Anything, Described, Finite, Id, Link, Moment, Sha256, Share

Prediction = Literal["FAKE", "REAL", "INCONCLUSIVE"]
Basis = Literal["DECLARED", "MEASURED", "CALIBRATED", "CLAIMED", "NONE"]
Status = Literal["PENDING", "PROCESSING", "COMPLETED", "FAILED"]
Maybe = Finite | None


class Measure(Described):
    """The model's own statistic; no probability unless its calibration says so."""

    value: Maybe
    kind: str | None
    name: str


class Calibration(Described):
    """How far a finding can be trusted; `bound` is the false-alarm bound of this very finding."""

    kind: str
    bound: Share | None
    source: str | None
    auc: Share | None
    n: int | None


class Coverage(Described):
    """How much of the media was examined."""

    analysed_seconds: Maybe
    total_seconds: Maybe
    frames: int | None


class Series(Described):
    """A measured curve: `t` in seconds, gaps are null."""

    name: str
    unit: str
    t: list[Finite]
    v: list[Maybe]
    threshold: Maybe


class Region(Described):
    """A place in the picture: x, y, width, height in its pixels."""

    t: Maybe
    box: Annotated[list[Finite], Field(min_length=4, max_length=4)]
    score: Maybe
    label: str | None


class Evidence(Described):
    """Empty in lists: ask for the media by its id."""

    series: list[Series]
    regions: list[Region]


class FrameRow(Described):
    """One frame of an analysis; `score` is P(fake)."""

    frame_number: int
    confidence: Share
    score: Share
    prediction: Prediction
    timestamp: Maybe


class Frame(FrameRow):
    """The same with whose it is."""

    model: str
    analysis_id: Id


class AnalysisDetails(Described):
    """Figures over the frames of a video."""

    frame_count: int | None
    avg_confidence: Maybe
    confidence_std: Maybe
    temporal_consistency: Maybe
    rolling_average: Maybe


class TemporalAnalysis(Described):
    """How the frames of a video follow each other."""

    consistency_score: Maybe
    pattern_detection: str | None
    anomaly_frames: Anything
    confidence_trend: str | None
    total_frames: int | None
    fake_frames: int | None
    real_frames: int | None
    avg_confidence: Maybe


class AudioAnalysis(Described):
    """Acoustic figures."""

    mean_pitch_hz: Maybe
    pitch_stability_score: Maybe
    rms_energy: Maybe
    silence_ratio: Maybe
    spectral_centroid: Maybe
    spectral_contrast: Maybe
    spectrogram_url: Link | None
    spectrogram_data: None


class ImageAnalysis(Described):
    """The picture's size as the model saw it."""

    width: int | None
    height: int | None


class ModelInfo(Described):
    """What the model said of itself."""

    model_name: str | None
    version: str | None
    architecture: str | None
    device: str | None
    batch_size: int | None
    num_frames: int | None
    model_size: str | None
    load_time: Maybe
    memory_usage: str | None


class SystemInfo(Described):
    """What the service said of its machine."""

    gpu_memory_used: Anything
    gpu_memory_total: Anything
    processing_device: str | None
    cuda_available: bool | None
    cuda_version: str | None
    system_memory_used: Anything
    system_memory_total: Anything
    cpu_usage: Anything
    server_version: str | None
    python_version: str | None
    torch_version: str | None
    node_name: str | None
    request_id: str | None


class AnalysisError(Described):
    """Why an attempt failed."""

    error_type: str
    error_message: str
    attempt: int | None
    retryable: bool | None
    server_response: Anything
    created_at: Moment


class Artifact(Described):
    """A file that the model made."""

    kind: str
    name: str
    mimetype: str
    size: int
    sha256: Sha256
    url: Link


class Attempt(Described):
    """One Job of an analysis."""

    number: int
    state: str
    reason: str | None
    node: str | None
    job_name: str | None
    started_at: Moment | None
    finished_at: Moment | None


class ResultPayload(Described):
    """An analysis in the ML service's own form, with its snake_case keys; by kind of media some of them."""

    model_config = ConfigDict(extra="allow", alias_generator=None)

    media_type: Literal["video", "image", "audio"]
    model_name: str
    prediction: Prediction
    confidence: Share
    processing_time: Maybe
    note: str | None
    system_info: dict[str, Any] | None


class Analysis(Described):
    """What one model says of one run; nothing of it is there before it is COMPLETED or FAILED."""

    id: Id
    media_id: Id
    run_id: Id
    model: str
    model_name: str
    model_version: str | None
    prediction: Prediction | None
    confidence: Share | None
    score: Maybe
    processing_time: Maybe
    analysis_type: str
    status: Status
    error_message: str | None
    error_class: str | None
    pending_reason: str | None
    pending_message: str | None
    timestamp: Moment
    created_at: Moment
    updated_at: Moment
    attempt: int
    basis: Basis | None
    finding: str | None
    measure: Measure | None
    calibration: Calibration | None
    inconclusive_reason: str | None
    coverage: Coverage | None
    note: str | None
    frames_total: int | None
    visualized_url: Link | None
    limits: list[str]
    facts: dict[str, Finite | bool | str | None]
    metrics: dict[str, Finite]
    evidence: Evidence
    analysis_details: AnalysisDetails | None
    frame_analysis: list[FrameRow]
    temporal_analysis: TemporalAnalysis | None
    audio_analysis: AudioAnalysis | None
    image_analysis: ImageAnalysis | None
    model_info: ModelInfo | None
    system_info: SystemInfo | None
    errors: list[AnalysisError]
    artifacts: list[Artifact]


class AnalysisOfRun(Analysis):
    """The same inside of a run: with its `resultPayload`."""

    result_payload: ResultPayload | None


class AnalysisWithAttempts(AnalysisOfRun):
    """The same where one run was asked for: with its attempts."""

    attempts: list[Attempt]
