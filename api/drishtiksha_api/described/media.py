"""A media: the short object of an upload, the full one, its runs."""

from __future__ import annotations

from typing import Literal

from .analysis import Analysis, AnalysisOfRun, AnalysisWithAttempts, Basis, Prediction
from .values import Described, Finite, Id, Link, Moment, Sha256, Share

RunStatus = Literal["QUEUED", "PROCESSING", "ANALYZED", "PARTIALLY_ANALYZED", "FAILED"]


class Media(Described):
    """A media without its analyses: what an upload answers."""

    id: Id
    filename: str
    url: Link
    public_id: str
    mimetype: str
    size: int
    sha256: Sha256
    description: str | None
    status: RunStatus
    media_type: Literal["VIDEO", "IMAGE", "AUDIO"]
    has_audio: bool
    user_id: Id
    created_at: Moment
    updated_at: Moment
    latest_run_id: Id
    latest_analysis_run_id: Id


class Owner(Described):
    """Whose media it is."""

    id: Id
    first_name: str
    last_name: str
    email: str


class VideoMetadata(Described):
    """What the container and the first video stream say; seconds, pixels, bits per second, degrees."""

    duration: Finite | None
    width: int
    height: int
    fps: Finite | None
    codec: str | None
    bitrate: int | None
    rotation: int | None
    resolution: str


class ImageMetadata(Described):
    """What the picture's header says."""

    width: int
    height: int
    format: str | None
    color_space: str | None
    animated: bool | None
    file_size: int


class AudioMetadata(Described):
    """What the first audio stream says; seconds, kbit/s, Hz."""

    duration: Finite | None
    bitrate: Finite | None
    codec: str | None
    channels: int | None
    sample_rate: int | None


class Verdict(Described):
    """What the models say together; null until the run has ended, and when it FAILED. INCONCLUSIVE: no evidence was found."""

    label: Prediction
    basis: Basis
    score: Share | None
    models: list[str]


class Run(Described):
    """One run of all models."""

    id: Id
    media_id: Id
    run_number: int
    status: RunStatus
    reason: str | None
    requested_reason: str | None
    message: str | None
    verdict: Verdict | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    analyses: list[AnalysisOfRun]


class RunWithAttempts(Run):
    """The same with the attempts of each analysis."""

    analyses: list[AnalysisWithAttempts]  # type: ignore[assignment]


class FullMedia(Media):
    """A media with what was found; in a list with its latest run only."""

    user: Owner
    video_metadata: VideoMetadata | None
    image_metadata: ImageMetadata | None
    audio_metadata: AudioMetadata | None
    verdict: Verdict | None
    analyses: list[Analysis]
    analysis_runs: list[Run]
