"""Opening a video or sound container of a stranger, under an allow-list; `audio.py` and `video.py` decode from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..detector import BadMedia

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,wav,mp3,flac,ogg,aac,aiff"
"""Demuxers that may open a file. Without this list a playlist named .mp4 makes FFmpeg read other files and call URLs."""
_REFUSED = (
    "The file cannot be opened as a picture, a film or a recording: it is damaged, or of a kind that is not examined. "
    "Save it as JPEG, PNG, WebP, MP4, MOV, WebM, MKV, AVI, WAV, MP3, FLAC or OGG."
)


def open_container(path: Path) -> Any:
    """The file as an open PyAV input container; the caller closes it. Raises BadMedia."""
    import av
    import av.error

    try:
        return av.open(str(path), mode="r", options={"format_whitelist": FORMATS, "protocol_whitelist": "file"})
    except (av.error.FFmpegError, ValueError, OSError):
        raise BadMedia(_REFUSED) from None


def packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of one stream, the empty last one that flushes its decoder included. Raises FFmpegError.

    Streams may come up while a file is read (MPEG-TS); after the last packet PyAV looks for them among those that were there
    at the beginning. The stream asked for was flushed before that, so nothing is lost.
    A packet of no bytes that has a time says "the last frame again" (Theora); decoders refuse to be handed one.
    """
    try:
        yield from (packet for packet in container.demux(stream) if packet.size or packet.pts is None)
    except IndexError:
        return
