"""The files that the fuzzing begins with, drawn by code: `seeds` are small and many, each `bomb` is a small file that unpacks large.

They reuse the drawing of `tests/support/bad_media.py`. Next to it: `mutation.py` (changes them).
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, PngImagePlugin

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import bad_media as draw

os.environ.setdefault("SVT_LOG", "1")  # the encoder of AV1 tells only errors
SIZE = (64, 48)
RATE = 16_000
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description xmp:CreatorTool="pen" Iptc4xmpExt:DigitalSourceType='
    b'"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta>'
)


def seeds(*families: str) -> dict[str, bytes]:
    """Every kind of file that the service opens, and the variants whose decoding takes another way; or those of some families."""
    return {name: make() for family in families or FAMILIES for name, make in FAMILIES[family].items()}


def bomb(name: str) -> bytes:
    """A small file of one of the largest pictures or frames that are examined, or of a larger one; each takes a second or so."""
    return BOMBS[name]()


def _picture(kind: str, mode: str = "RGB", **options: Any) -> Callable[[], bytes]:
    return lambda: draw.saved(Image.fromarray(draw.scene(*SIZE)).convert(mode), kind, **options)


def _labelled(kind: str) -> Callable[[], bytes]:
    """With EXIF, XMP and, in a PNG, text."""

    def make() -> bytes:
        picture = Image.fromarray(draw.scene(*SIZE))
        exif = picture.getexif()
        exif[0x0131], exif[0x0112] = "pen", 6
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "Steps: 3, Sampler: Euler".encode("utf-16-be")
        text = PngImagePlugin.PngInfo()
        text.add_text("parameters", "a cat, Steps: 3")
        text.add_itxt("Title", "a title", zip=True)
        more = {"pnginfo": text} if kind == "PNG" else {"xmp": XMP}
        saved: bytes = draw.saved(picture, kind, exif=exif, **more)
        return saved

    return make


def _moving(kind: str, **options: Any) -> Callable[[], bytes]:
    frames = [Image.fromarray(draw.scene(*SIZE, shift=9 * i)) for i in range(3)]
    return lambda: draw.saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def _sound(
    suffix: str, codec: str, rate: int = RATE, layout: str = "mono", seconds: float = 0.6
) -> Callable[[], bytes]:
    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"a.{suffix}"
            with av.open(str(path), "w") as out:
                _add_sound(out, codec, rate, layout, seconds)()
            return path.read_bytes()

    return make


def _add_sound(out: Any, codec: str, rate: int, layout: str, seconds: float) -> Callable[[], None]:
    """A stream with a tone; what is returned writes it, after all streams are there."""
    stream = out.add_stream(codec, rate=rate, layout=layout)
    channels = stream.codec_context.channels

    def write() -> None:
        wave = np.tile(draw.tone(seconds, rate).astype(np.float32), (channels, 1))
        step = stream.codec_context.frame_size or 1024
        for at in range(0, wave.shape[1] - step + 1, step):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[:, at : at + step]), "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))

    return write


def _talkie(suffix: str, codec: str, sound: str, rate: int = 48_000, pixels: str = "yuv420p") -> Callable[[], bytes]:
    """Moving pictures with a tone."""

    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"a.{suffix}"
            with av.open(str(path), "w") as out:
                moving = out.add_stream(codec, rate=25)
                moving.width, moving.height, moving.pix_fmt = *SIZE, pixels
                write = _add_sound(out, sound, rate, "stereo", 0.5)
                for i in range(4):
                    out.mux(moving.encode(av.VideoFrame.from_ndarray(draw.scene(*SIZE, shift=i), "rgb24")))
                out.mux(moving.encode(None))
                write()
            return path.read_bytes()

    return make


def _film(suffix: str, codec: str, pixels: str = "yuv420p", **options: Any) -> Callable[[], bytes]:
    made: Callable[[], bytes] = draw.film(4, suffix, codec, pixels, size=SIZE, **options)
    return made


def _large_film(codec: str, size: tuple[int, int], pixels: str = "yuv420p", **options: str) -> Callable[[], bytes]:
    """Four grey frames."""

    def make() -> bytes:
        out = io.BytesIO()
        with av.open(out, "w", format="matroska") as film:
            stream = film.add_stream(codec, rate=24, options=options)
            stream.width, stream.height, stream.pix_fmt = *size, pixels
            frame = av.VideoFrame(*size, pixels)
            for plane in frame.planes:
                plane.update(b"\x80" * plane.buffer_size)
            for i in range(4):
                frame.pts, frame.time_base = i, Fraction(1, 24)
                film.mux(stream.encode(frame))
            film.mux(stream.encode(None))
        return out.getvalue()

    return make


def _flat(mode: str, side: int, kind: str, **options: Any) -> Callable[[], bytes]:
    return lambda: draw.saved(Image.new(mode, (side, side)), kind, **options)


_PICTURES: dict[str, Callable[[], bytes]] = {
    "jpeg": _picture("JPEG", quality=80),
    "jpeg-progressive": _picture("JPEG", progressive=True, subsampling=0),
    "jpeg-grey": _picture("JPEG", "L"),
    "jpeg-cmyk": _picture("JPEG", "CMYK"),
    "jpeg-labelled": _labelled("JPEG"),
    "mpo": _moving("MPO"),
    "png": _picture("PNG"),
    "png-alpha": _picture("PNG", "RGBA"),
    "png-palette": lambda: draw.saved(Image.fromarray(draw.scene(*SIZE)).quantize(32), "PNG", transparency=3),
    "png-16": _picture("PNG", "I;16"),
    "png-1": _picture("PNG", "1"),
    "png-labelled": _labelled("PNG"),
    "apng": _moving("PNG"),
    "gif": _picture("GIF", "P"),
    "gif-moving": _moving("GIF", duration=50),
    "webp": _picture("WEBP"),
    "webp-lossless": _picture("WEBP", "RGBA", lossless=True),
    "webp-labelled": _labelled("WEBP"),
    "webp-moving": _moving("WEBP", duration=50),
    "avif": _picture("AVIF"),
    "avif-moving": _moving("AVIF"),
}
_FILMS: dict[str, Callable[[], bytes]] = {
    "mp4-h264-aac": _talkie("mp4", "libx264", "aac"),
    "mp4-h264-turned": _film("mp4", "libx264", rotation=90),
    "mp4-h265": _film("mp4", "libx265", **{"x265-params": "log-level=none"}),
    "mp4-av1": _film("mp4", "libsvtav1"),
    "mov-mpeg4-pcm": _talkie("mov", "mpeg4", "pcm_s16le", 8000),
    "webm-vp8-opus": _talkie("webm", "libvpx", "libopus"),
    "webm-vp9": _film("webm", "libvpx-vp9"),
    "mkv-ffv1": _film("mkv", "ffv1", "yuv420p10le"),
    "avi-mjpeg-mp3": _talkie("avi", "mjpeg", "libmp3lame", pixels="yuvj420p"),
    "ts-mpeg2": _talkie("ts", "mpeg2video", "aac"),
}
_SOUNDS: dict[str, Callable[[], bytes]] = {
    "wav": draw.sound(draw.tone(0.3, RATE), RATE),
    "wav-float": lambda: draw.float_sound(draw.tone(0.2, RATE)),
    "wav-six-channels": _sound("wav", "pcm_s16le", layout="5.1", seconds=0.1),
    "mp3": _sound("mp3", "libmp3lame"),
    "flac": _sound("flac", "flac"),
    "ogg-opus": _sound("ogg", "libopus", 48_000),
    "m4a-aac": _sound("m4a", "aac", layout="stereo"),
    "m4a-alac": _sound("m4a", "alac"),
    "aac": _sound("aac", "aac"),
    "aiff": _sound("aiff", "pcm_s16be", seconds=0.2),
}
BOMBS: dict[str, Callable[[], bytes]] = {
    "png-of-49-million-pixels": _flat("1", 7000, "PNG"),
    "png-of-49-million-pixels-16-bit": _flat("I;16", 7000, "PNG", compress_level=9),
    "png-of-64-million-pixels": _flat("1", 8000, "PNG"),
    "gif-of-144-million-pixels": _flat("P", 12_000, "GIF"),
    "webp-of-49-million-pixels": _flat("RGB", 7000, "WEBP", lossless=True, quality=0, method=0),
    "jpeg-of-49-million-pixels": _flat("L", 7000, "JPEG", progressive=True),
    "mkv-of-36-million-pixels": _large_film("libx264", (6000, 6000), preset="ultrafast"),
    "mkv-of-49-million-pixels": _large_film("libx264", (7000, 7000), preset="ultrafast"),
}
FAMILIES = {"pictures": _PICTURES, "films": _FILMS, "sounds": _SOUNDS}
"""Seeds by the kind of media."""
