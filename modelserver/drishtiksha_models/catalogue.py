"""Families of models that people ask for by name, whose weights are not here: what each would need as a bundle.

Only told where somebody asks (`drishtiksha-models list --all`): discovery does not count what cannot run, and nothing here
ever answers under one of these names.
"""

from __future__ import annotations

from dataclasses import dataclass

from drishtiksha.domain.media import MediaType

REASON = "bundle required"


@dataclass(frozen=True, slots=True)
class Family:
    """A family by the beginning of its models' names, the media it examines, and the sampler that its networks need."""

    name: str
    media_types: tuple[MediaType, ...]
    sampler: str


FAMILIES = (
    Family("SIGLIP-LSTM", (MediaType.VIDEO,), "frame-sequence"),
    Family("COLOR-CUES-LSTM", (MediaType.VIDEO,), "frame-sequence with crop: face"),
    Family("EFFICIENTNET-B7", (MediaType.IMAGE, MediaType.VIDEO), "face-crop"),
    Family("EYEBLINK-CNN-LSTM", (MediaType.VIDEO,), "frame-sequence with crop: face"),
    Family("MEL-CNN", (MediaType.AUDIO, MediaType.VIDEO), "mel"),
    Family("SCATTERING-WAVE", (MediaType.AUDIO, MediaType.VIDEO), "audio-window, with the transform in the graph"),
    Family("DISTIL-DIRE", (MediaType.IMAGE,), "whole-image, with the transform in the graph"),
)


def missing(names: set[str]) -> list[Family]:
    """The families of which none of these names is a model."""
    return [family for family in FAMILIES if not any(name.startswith(family.name) for name in names)]
