"""What a media is: its kinds, the types we accept, and the one name each type is stored under."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class MediaType(StrEnum):
    """Decided by the streams inside the file, never by its name or declared type."""

    VIDEO = "VIDEO"
    AUDIO = "AUDIO"
    IMAGE = "IMAGE"
    DOCUMENT = "DOCUMENT"
    """Reserved."""


@dataclass(frozen=True)
class FileType:
    """One accepted type: the name under which it is stored and served, and its usual extension."""

    mimetype: str
    extension: str
    media_type: MediaType


FILE_TYPES: dict[str, FileType] = {
    t.mimetype: t
    for t in (
        FileType("video/mp4", ".mp4", MediaType.VIDEO),
        FileType("video/webm", ".webm", MediaType.VIDEO),
        FileType("video/quicktime", ".mov", MediaType.VIDEO),
        FileType("video/x-msvideo", ".avi", MediaType.VIDEO),
        FileType("video/x-matroska", ".mkv", MediaType.VIDEO),
        FileType("image/jpeg", ".jpg", MediaType.IMAGE),
        FileType("image/png", ".png", MediaType.IMAGE),
        FileType("image/webp", ".webp", MediaType.IMAGE),
        FileType("image/gif", ".gif", MediaType.IMAGE),
        FileType("image/heic", ".heic", MediaType.IMAGE),
        FileType("image/avif", ".avif", MediaType.IMAGE),
        FileType("audio/mpeg", ".mp3", MediaType.AUDIO),
        FileType("audio/wav", ".wav", MediaType.AUDIO),
        FileType("audio/ogg", ".ogg", MediaType.AUDIO),
        FileType("audio/mp4", ".m4a", MediaType.AUDIO),
        FileType("audio/flac", ".flac", MediaType.AUDIO),
        FileType("audio/aac", ".aac", MediaType.AUDIO),
        FileType("audio/webm", ".weba", MediaType.AUDIO),
        FileType("audio/x-matroska", ".mka", MediaType.AUDIO),
        FileType("audio/aiff", ".aiff", MediaType.AUDIO),
    )
}
"""Every type that can be accepted, by its stored name."""

FOLDERS = {MediaType.VIDEO: "videos", MediaType.IMAGE: "images", MediaType.AUDIO: "audios"}
"""The first part of a media's publicId and object key."""

MAX_FILENAME = 255
MAX_DESCRIPTION = 2000

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def clean_filename(raw: str | None) -> str:
    """The last path component without control and direction characters, at most 255 characters.

    A name that is empty after that becomes `upload`. The result is shown to people and never used as a path.
    """
    name = _CONTROL.sub("", (raw or "").replace("\\", "/").rsplit("/", 1)[-1]).strip()
    if len(name) > MAX_FILENAME:
        stem, dot, ext = name.rpartition(".")
        name = stem[: MAX_FILENAME - len(ext) - 1] + dot + ext if dot and len(ext) < 16 else name[:MAX_FILENAME]
    return name if name not in ("", ".", "..") else "upload"


@dataclass(frozen=True)
class VideoFacts:
    """What the probe saw in a video: seconds, pixels, frames per second, bit/s, degrees."""

    duration: float | None
    width: int
    height: int
    fps: float | None
    codec: str
    bitrate: int | None
    rotation: int


@dataclass(frozen=True)
class ImageFacts:
    """What the probe saw in a picture: pixels, format name, colour mode."""

    width: int
    height: int
    format: str
    color_space: str
    animated: bool


@dataclass(frozen=True)
class AudioFacts:
    """What the probe saw in an audio stream: seconds, kbit/s, Hz."""

    duration: float | None
    bitrate: float | None
    codec: str
    channels: int
    sample_rate: int


@dataclass(frozen=True)
class Probe:
    """What a file is, as seen by decoding it. Exactly the facts of its media type are set; audio facts also with video."""

    mimetype: str
    media_type: MediaType
    has_audio: bool
    video: VideoFacts | None = None
    image: ImageFacts | None = None
    audio: AudioFacts | None = None
