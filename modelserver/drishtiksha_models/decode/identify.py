"""Which kind of media a file is, by its content and never by its name; the worker asks before it runs a detector."""

from __future__ import annotations

from pathlib import Path

from drishtiksha.domain.media import MediaType

from ..detector import BadMedia, MediaFile
from .container import open_container

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_CONTAINERS = {
    "matroska": ("video/x-matroska", "audio/x-matroska"),
    "webm": ("video/webm", "audio/webm"),
    "avi": ("video/x-msvideo", "video/x-msvideo"),
    "wav": ("audio/wav", "audio/wav"),
    "mp3": ("audio/mpeg", "audio/mpeg"),
    "flac": ("audio/flac", "audio/flac"),
    "ogg": ("video/ogg", "audio/ogg"),
    "aac": ("audio/aac", "audio/aac"),
    "aiff": ("audio/aiff", "audio/aiff"),
    "mpegts": ("video/mp2t", "audio/mp2t"),
}


def identify(path: Path, name: str = "") -> MediaFile:
    """The file with its media type and MIME type. Streams decide: a cover picture makes no video. Raises BadMedia."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise BadMedia("The file is empty.")
    if image := _image_type(head):
        return MediaFile(path, MediaType.IMAGE, image, name)
    with open_container(path) as container:
        moving = [s for s in container.streams.video if not int(s.disposition) & _ATTACHED_PICTURE]
        if not moving and not container.streams.audio:
            raise BadMedia("The file holds neither a picture, nor moving pictures, nor sound.")
        kind = MediaType.VIDEO if moving else MediaType.AUDIO
        return MediaFile(path, kind, _container_type(str(container.format.name), head, bool(moving)), name)


_ATTACHED_PICTURE = 0x0400
"""AV_DISPOSITION_ATTACHED_PIC of FFmpeg: a cover, no moving picture."""


def _image_type(head: bytes) -> str | None:
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        if head[8:12] in _AVIF_BRANDS:
            return "image/avif"
        if head[8:12] in _HEIF_BRANDS:
            return "image/avif" if any(brand in head[16:] for brand in _AVIF_BRANDS) else "image/heic"
    return None


def _container_type(formats: str, head: bytes, moving: bool) -> str:
    names = formats.split(",")
    if "mp4" in names:
        if head[8:12] == b"qt  ":
            return "video/quicktime"
        return "video/mp4" if moving else "audio/mp4"
    if "matroska" in names and b"webm" in head:
        names = ["webm"]
    for known in names:
        if known in _CONTAINERS:
            return _CONTAINERS[known][0 if moving else 1]
    return "application/octet-stream"
