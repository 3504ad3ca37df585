"""What a manifest may say about the making of a network's input: a closed list of samplers and of steps.

`manifest` has the rest of the manifest; `sampling` and `steps` carry out what stands here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drishtiksha.domain.media import MediaType

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Part(BaseModel):
    """A part of a manifest: unknown keys are refused, values are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, ser_json_inf_nan="null")


class WholeImage(Part):
    """One sample: the picture as stored. Of a film: `frames` frames, evenly spread."""

    kind: Literal["whole-image"]
    frames: int = Field(default=16, ge=1, le=128)


class FaceCrop(Part):
    """One sample per face: its box grown by `margin` of its longer side on each side, as a square. Of a film: the largest face in each
    of `frames` frames, evenly spread."""

    kind: Literal["face-crop"]
    margin: Share = 0.3
    frames: int = Field(default=16, ge=1, le=128)
    smallest: int = Field(default=48, ge=8, le=1024)
    """Pixels of the longer side of a face below which it is passed over."""


class FrameSequence(Part):
    """Samples of `length` frames, `stride` frames apart, as [T, H, W, C]; at most `windows`, evenly spread. `crop`: `face` cuts the
    largest face out of each frame; a window in which one is missing is left out."""

    kind: Literal["frame-sequence"]
    length: int = Field(ge=2, le=256)
    stride: int = Field(default=1, ge=1, le=60)
    windows: int = Field(default=8, ge=1, le=128)
    crop: Literal["none", "face"] = "none"
    margin: Share = 0.3


class AudioWindow(Part):
    """Mono samples at `rate` Hz, full scale 1, in windows of `seconds`, a new one every `hop` seconds. A recording shorter than one
    window is filled up with zeros."""

    kind: Literal["audio-window"]
    rate: int = Field(ge=4000, le=48_000)
    seconds: float = Field(gt=0, le=60, allow_inf_nan=False)
    hop: float = Field(gt=0, le=60, allow_inf_nan=False)
    windows: int = Field(default=64, ge=1, le=1024)


class Mel(Part):
    """Windows as above, each as a mel spectrogram [bands, frames]: Hann window of `n_fft`, power, triangular filters on the scale of
    HTK (2595 log10(1 + f/700)) of area one, and with `log` the natural logarithm of power + 1e-6."""

    kind: Literal["mel"]
    rate: int = Field(ge=4000, le=48_000)
    seconds: float = Field(gt=0, le=60, allow_inf_nan=False)
    hop: float = Field(gt=0, le=60, allow_inf_nan=False)
    windows: int = Field(default=64, ge=1, le=1024)
    n_fft: int = Field(ge=64, le=8192)
    step: int = Field(ge=1, le=8192)
    """Samples between two frames of the spectrogram."""
    bands: int = Field(ge=4, le=512)
    low: Finite = Field(default=0.0, ge=0)
    high: Finite | None = Field(default=None, gt=0)
    log: bool = True


Sampler = Annotated[WholeImage | FaceCrop | FrameSequence | AudioWindow | Mel, Field(discriminator="kind")]


class Resize(Part):
    """To exactly this size, without keeping the aspect."""

    op: Literal["resize"]
    width: int = Field(ge=1, le=4096)
    height: int = Field(ge=1, le=4096)
    by: Literal["area", "linear", "cubic", "nearest"] = "linear"


class ResizeShort(Part):
    """The shorter side to `to` pixels, the aspect kept."""

    op: Literal["resize_short"]
    to: int = Field(ge=1, le=4096)
    by: Literal["area", "linear", "cubic", "nearest"] = "linear"


class CenterCrop(Part):
    """The middle; what is too small is filled up with black."""

    op: Literal["center_crop"]
    width: int = Field(ge=1, le=4096)
    height: int = Field(ge=1, le=4096)


class Pad(Part):
    """To a square with `value` (before scaling), the picture in its middle."""

    op: Literal["pad"]
    value: Finite = 0.0


class Scale(Part):
    """Times `by`."""

    op: Literal["scale"]
    by: Finite


class Normalize(Part):
    """Minus `mean`, divided by `std`: one number each, or one per channel."""

    op: Literal["normalize"]
    mean: list[Finite] = Field(min_length=1, max_length=3)
    std: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(min_length=1, max_length=3)


class ToGray(Part):
    """One channel by the weights of ITU-R BT.601."""

    op: Literal["to_gray"]


Step = Annotated[Resize | ResizeShort | CenterCrop | Pad | Scale | Normalize | ToGray, Field(discriminator="op")]

LAYOUTS = {
    "whole-image": ("NCHW", "NHWC"),
    "face-crop": ("NCHW", "NHWC"),
    "frame-sequence": ("NTCHW", "NTHWC", "NCTHW"),
    "audio-window": ("NS", "NCS"),
    "mel": ("NFT", "NCFT"),
}
"""By sampler the layouts that its samples can be given: N samples, T times, C channels, H, W, S of sound, F bands."""
KINDS = {
    "whole-image": {MediaType.IMAGE, MediaType.VIDEO},
    "face-crop": {MediaType.IMAGE, MediaType.VIDEO},
    "frame-sequence": {MediaType.VIDEO},
    "audio-window": {MediaType.AUDIO, MediaType.VIDEO},
    "mel": {MediaType.AUDIO, MediaType.VIDEO},
}
"""By sampler the media that it can take samples of."""


class Input(Part):
    """What the network is given: the name of its one input, how that is laid out, and what is done to make it."""

    tensor: str = Field(min_length=1, max_length=200)
    layout: Literal["NCHW", "NHWC", "NTCHW", "NTHWC", "NCTHW", "NS", "NCS", "NFT", "NCFT"]
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    color: Literal["RGB", "BGR"] = "RGB"
    sampler: Sampler
    steps: list[Step] = Field(default_factory=list, max_length=16)

    @model_validator(mode="after")
    def _fits(self) -> Input:
        possible = LAYOUTS[self.sampler.kind]
        if self.layout not in possible:
            raise ValueError(f"layout: the sampler {self.sampler.kind} gives {' or '.join(possible)}")
        odd = [step.op for step in self.steps if step.op not in ("scale", "normalize")]
        if self.sampler.kind in ("audio-window", "mel") and odd:
            raise ValueError(f"steps: {odd[0]} is for pictures; sound knows scale and normalize")
        return self
