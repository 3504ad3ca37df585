"""The sandboxed child that decodes a stranger's file: a process of its own, started by `probe.py`.

It gets the file as standard input and knows no path; it may use little memory, little processor time, no network and
no new files. One JSON object goes to standard output: {"probe": {…}} or {"refused": "UNSUPPORTED" | "UNDECODABLE"}.
"""

from __future__ import annotations

import ctypes
import importlib
import io
import json
import os
import pkgutil
import resource
import sys
import warnings
from dataclasses import asdict
from typing import Any

from drishtiksha.domain.media import AudioFacts, ImageFacts, MediaType, Probe, VideoFacts

CPU_SECONDS = 20
MEMORY_BYTES = 2 * 1024**3
MAX_PIXELS = 50_000_000
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,wav,mp3,flac,ogg,aac,aiff"
"""Demuxers that may be used. Without the list PyAV opens playlists, which read other files and call addresses."""
PICTURES = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "HEIF", "AVIF")
_PICTURE_TYPES = {
    "JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif",
    "HEIF": "image/heic", "AVIF": "image/avif",
}  # fmt: skip
_PICTURE_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")


class Refused(Exception):
    """The file is none of ours, or does not decode."""


def main() -> None:
    """Close the doors, decode, say what was seen."""
    _leave_network()
    with open(0, "rb", buffering=0, closefd=False) as file:
        head = file.read(256)
        file.seek(0)
        look = _picture if is_picture(head) else _streams
        _import_decoders(look, head)
        _limit()
        try:
            answer: dict[str, Any] = {"probe": asdict(look(file, head))}
        except Refused as refused:
            answer = {"refused": str(refused)}
        except Exception:  # whatever a decoder throws about a hostile file means one thing
            answer = {"refused": "UNDECODABLE"}
    sys.stdout.write(json.dumps(answer, allow_nan=False))
    sys.stdout.flush()
    os._exit(0)


def is_picture(head: bytes) -> bool:
    """Whether the first bytes are those of a picture format that we take."""
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    return head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS


def _leave_network() -> None:
    """Enter an empty network of our own, where the kernel lets us; the allow-lists hold without it too."""
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    if unshare is not None:
        new_user, new_net = 0x10000000, 0x40000000
        if unshare(new_net) != 0:
            unshare(new_user | new_net)


def _import_decoders(look: Any, head: bytes) -> None:
    """Import before the limits: the loader needs files and memory that the decoding does not.

    Of the pictures' plug-ins only those that are needed: all of them take as long as the rest of the child.
    """
    if look is _picture:
        from PIL import Image

        Image.preinit()  # GIF, JPEG, PNG and two that are not asked
        for name in ("WebP", "Avif", "Mpo"):
            importlib.import_module(f"PIL.{name}ImagePlugin")
        if head[4:8] == b"ftyp":
            import pi_heif

            pi_heif.register_heif_opener()
    else:
        import av

        for module in pkgutil.walk_packages(av.__path__, "av."):  # PyAV imports its kinds of stream when it meets one
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))  # no file, no socket, no pipe beyond the three it has


def _picture(file: io.FileIO, head: bytes) -> Probe:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    known = [name for name in PICTURES if name in Image.OPEN]  # for another one Pillow would import all its plug-ins
    with Image.open(file, formats=known) as image:
        mimetype = _PICTURE_TYPES.get(image.format or "")
        if mimetype is None:
            raise Refused("UNSUPPORTED")
        image.load()
        facts = ImageFacts(
            width=image.width,
            height=image.height,
            format=mimetype.removeprefix("image/"),
            color_space=image.mode,
            animated=mimetype != "image/jpeg" and bool(getattr(image, "is_animated", False)),
        )
    return Probe(mimetype, MediaType.IMAGE, has_audio=False, image=facts)


def _streams(file: io.FileIO, head: bytes) -> Probe:
    import av

    try:
        container = av.open(
            file,
            mode="r",
            options={"format_whitelist": FORMATS, "protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except av.error.FFmpegError:
        raise Refused("UNSUPPORTED" if not _looks_framed(head) else "UNDECODABLE") from None
    with container:
        disposition = av.stream.Disposition
        videos = [s for s in container.streams.video if not s.disposition & disposition.attached_pic]
        audios = list(container.streams.audio)
        family = _family(container.format.name, head)
        if family is None or not (videos or audios):
            raise Refused("UNSUPPORTED" if family is None else "UNDECODABLE")
        audio = _audio(container, audios[0]) if audios else None
        if videos:
            mimetype = _VIDEO_TYPES.get(family)
            if mimetype is None:
                raise Refused("UNSUPPORTED")
            return Probe(mimetype, MediaType.VIDEO, audio is not None, video=_video(container, videos[0]), audio=audio)
        if audio is None:
            raise Refused("UNDECODABLE")
        return Probe(_AUDIO_TYPES[family], MediaType.AUDIO, has_audio=True, audio=audio)


_VIDEO_TYPES = {
    "mp4": "video/mp4", "quicktime": "video/quicktime", "webm": "video/webm", "matroska": "video/x-matroska",
    "avi": "video/x-msvideo",
}  # fmt: skip
_AUDIO_TYPES = {
    "mp4": "audio/mp4", "quicktime": "audio/mp4", "webm": "audio/webm", "matroska": "audio/x-matroska",
    "mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg", "flac": "audio/flac", "aac": "audio/aac",
    "aiff": "audio/aiff",
}  # fmt: skip


def _looks_framed(head: bytes) -> bool:
    """Whether the first bytes promise one of our containers, so that a failure means damage and not another type."""
    return (
        head[4:8] == b"ftyp"
        or head.startswith((b"\x1aE\xdf\xa3", b"OggS", b"fLaC", b"ID3", b"FORM"))
        or (head[:4] == b"RIFF" and head[8:12] in (b"WAVE", b"AVI "))
    )


def _family(names: str, head: bytes) -> str | None:
    """One of our container families for FFmpeg's list of names, None for a container that we do not take."""
    listed = set(names.split(","))
    if "mp4" in listed:
        return "quicktime" if head[4:8] != b"ftyp" or head[8:12] == b"qt  " else "mp4"
    if "webm" in listed:
        return "webm" if b"\x42\x82\x84webm" in head else "matroska"
    return next((name for name in ("avi", "mp3", "wav", "ogg", "flac", "aac", "aiff") if name in listed), None)


def _video(container: Any, stream: Any) -> VideoFacts:
    context = stream.codec_context
    if context.width * context.height > MAX_PIXELS:
        raise Refused("UNDECODABLE")
    context.thread_count = 1
    container.seek(0)
    frame = next(container.decode(stream))
    rate = stream.average_rate or stream.guessed_rate
    return VideoFacts(
        duration=_duration(container, stream),
        width=frame.width,
        height=frame.height,
        fps=round(float(rate), 3) if rate else None,
        codec=context.codec.canonical_name,
        bitrate=stream.bit_rate or container.bit_rate or None,
        rotation=int(getattr(frame, "rotation", 0)) % 360,
    )


def _audio(container: Any, stream: Any) -> AudioFacts | None:
    """The facts of an audio stream that decodes; None for one that does not (beside a video it is no audio)."""
    import av

    context = stream.codec_context
    try:
        container.seek(0)
    except av.error.FFmpegError:
        pass  # a raw stream that cannot seek stands at its start
    try:
        next(container.decode(stream))
    except (av.error.FFmpegError, StopIteration):
        return None
    bitrate = stream.bit_rate or (container.bit_rate if not container.streams.video else None)
    return AudioFacts(
        duration=_duration(container, stream),
        bitrate=round(bitrate / 1000, 3) if bitrate else None,
        codec=context.codec.canonical_name,
        channels=context.channels,
        sample_rate=context.sample_rate,
    )


def _duration(container: Any, stream: Any) -> float | None:
    """Seconds, from the headers; a live recording that has none there is read to its last packet."""
    if stream.duration and stream.time_base:
        return round(float(stream.duration * stream.time_base), 3)
    if container.duration:
        return round(float(container.duration) / 1_000_000, 3)
    end: float = 0.0
    container.seek(0)
    for packet in container.demux(stream):
        if packet.pts is not None and packet.time_base:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return round(end, 3) if end > 0 else None


if __name__ == "__main__":
    main()
