"""Odd, broken and hostile media, made on the spot: each function gives the bytes of one file. `CASES` is the table."""

from __future__ import annotations

import io
import math
import struct
import tempfile
import wave
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image

REFUSED, INCONCLUSIVE, EXAMINED = "refused", "inconclusive", "examined"
"""Refused: each detector, or the look at the content, says BadMedia or Unsupported. Inconclusive: every detector that
takes it gives a reason. Examined: each gives an examination, conclusive or not, and none decides."""


@dataclass(frozen=True)
class Case:
    """One file: how it is made, and what is due."""

    make: Callable[[], bytes]
    due: str


def scene(width: int = 320, height: int = 272, shift: int = 0) -> Any:
    """Coloured waves with grain."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 80 * np.sin((x + shift) / a + y / b) for a, b in ((17, 29), (31, 13), (23, 41))]
    grain = np.random.default_rng(1).normal(0, 3, (height, width, 3))
    return np.clip(np.stack(waves, axis=2) + grain, 0, 255).astype(np.uint8)


def saved(image: Any, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, kind, **options)
    return out.getvalue()


def half(make: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: make()[: len(make()) // 2]


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + head
        + struct.pack(">I", zlib.crc32(head))
        + b"\0\0\0\0IDAT\x35\xaf\x06\x1e"
    )


def film(
    frames: int = 12, suffix: str = "mp4", codec: str = "libx264", pixels: str = "yuv420p", rotation: int = 0,
    times: Iterable[float] | None = None, size: tuple[int, int] = (320, 272), **options: str,
) -> Callable[[], bytes]:  # fmt: skip
    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"a.{suffix}"
            with av.open(str(path), "w") as out:
                stream = out.add_stream(codec, rate=24, options=options)
                stream.width, stream.height = size
                stream.pix_fmt = pixels
                stream.codec_context.time_base = Fraction(1, 1000)
                if rotation:
                    stream.set_display_rotation(rotation)
                moments = list(times) if times is not None else [i / 24 for i in range(frames)]
                for i, at in enumerate(moments):
                    frame = av.VideoFrame.from_ndarray(scene(*size, shift=i), format="rgb24")
                    frame.pts, frame.time_base = round(at * 1000), Fraction(1, 1000)
                    out.mux(stream.encode(frame))
                out.mux(stream.encode(None))
            return path.read_bytes()

    return make


def many_streams() -> bytes:
    """One moving picture beside 499 streams of sound."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mov"
        with av.open(str(path), "w") as out:
            moving = out.add_stream("mpeg4", rate=24)
            moving.width, moving.height, moving.pix_fmt = 320, 272, "yuv420p"
            sounds = [out.add_stream("pcm_s16le", rate=8000) for _ in range(499)]
            out.mux(moving.encode(av.VideoFrame.from_ndarray(scene(), format="rgb24")))
            out.mux(moving.encode(None))
            for sound in sounds:
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 80), np.int16), format="s16", layout="mono")
                frame.sample_rate = 8000
                out.mux(sound.encode(frame))
        return path.read_bytes()


def sound(samples: Any, rate: int) -> Callable[[], bytes]:
    """16-bit mono WAV."""

    def make() -> bytes:
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        return out.getvalue()

    return make


def float_sound(samples: Any, rate: int = 16_000) -> bytes:
    """32-bit float WAV, which may hold what is no number."""
    data = np.asarray(samples, "<f4").tobytes()
    layout = struct.pack("<HHIIHH", 3, 1, rate, rate * 4, 4, 32)
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def tone(seconds: float, rate: int) -> Any:
    return 0.5 * np.sin(2 * math.pi * 440 * np.arange(int(seconds * rate)) / rate)


def strange_numbers() -> bytes:
    samples = tone(3, 16_000)
    samples[1000:2000], samples[5000], samples[6000], samples[7000] = np.nan, np.inf, -np.inf, 3e38
    return float_sound(samples)


def sixteen_bits(colours: int) -> bytes:
    picture = scene().astype(np.uint16) * 257
    return bytes(cv2.imencode(".png", picture if colours == 3 else picture[..., 0])[1])


def moving_still(kind: str) -> Callable[[], bytes]:
    frames = [Image.fromarray(scene(shift=9 * i)) for i in range(4)]
    return lambda: saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def jpeg() -> bytes:
    return saved(scene(), "JPEG", quality=90)


CASES = {
    "zero-bytes": Case(lambda: b"", REFUSED),
    "one-byte": Case(lambda: b"\xff", REFUSED),
    "text": Case(lambda: b"just some words, " * 99, REFUSED),
    "noise": Case(lambda: np.random.default_rng(0).bytes(9000), REFUSED),
    "archive": Case(lambda: b"PK\x03\x04" + bytes(5000), REFUSED),
    "playlist": Case(lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", REFUSED),
    "head-of-an-mp4-and-noise": Case(lambda: film()()[:64] + np.random.default_rng(2).bytes(9000), REFUSED),
    "jpeg-cut": Case(half(jpeg), REFUSED),
    "png-cut": Case(half(lambda: saved(scene(), "PNG")), REFUSED),
    "webp-cut": Case(half(lambda: saved(scene(), "WEBP")), REFUSED),
    "gif-cut": Case(half(lambda: saved(scene(), "GIF")), REFUSED),
    "jpeg-of-its-first-bytes": Case(lambda: jpeg()[:20], REFUSED),
    "mp4-cut": Case(half(film()), REFUSED),
    "mkv-cut": Case(half(film(48, "mkv")), EXAMINED),
    "wav-cut": Case(half(sound(tone(3, 16_000), 16_000)), INCONCLUSIVE),
    "png-of-ten-thousand-million-pixels": Case(lambda: png_header(100_000, 100_000), REFUSED),
    "12000-by-12000": Case(lambda: saved(Image.new("1", (12_000, 12_000)), "PNG"), REFUSED),
    "12000-by-300": Case(lambda: saved(np.tile(scene(400, 300), (1, 30, 1)), "PNG", compress_level=1), EXAMINED),
    "12000-by-1": Case(lambda: saved(scene(12_000, 1), "PNG"), INCONCLUSIVE),
    "1-pixel-png": Case(lambda: saved(scene(1, 1), "PNG"), INCONCLUSIVE),
    "1-pixel-jpeg": Case(lambda: saved(scene(1, 1), "JPEG"), INCONCLUSIVE),
    "1-pixel-gif": Case(lambda: saved(scene(1, 1), "GIF"), INCONCLUSIVE),
    "alpha": Case(lambda: saved(Image.fromarray(scene()).convert("RGBA"), "PNG"), EXAMINED),
    "grey-and-alpha": Case(lambda: saved(Image.fromarray(scene()).convert("LA"), "PNG"), EXAMINED),
    "palette": Case(lambda: saved(Image.fromarray(scene()).quantize(64), "PNG", transparency=3), EXAMINED),
    "one-bit": Case(lambda: saved(Image.fromarray(scene()).convert("1"), "PNG"), EXAMINED),
    "cmyk": Case(lambda: saved(Image.fromarray(scene()).convert("CMYK"), "JPEG"), EXAMINED),
    "16-bit-grey": Case(lambda: sixteen_bits(1), EXAMINED),
    "16-bit-colour": Case(lambda: sixteen_bits(3), EXAMINED),
    "animated-gif": Case(moving_still("GIF"), EXAMINED),
    "animated-webp": Case(moving_still("WEBP"), EXAMINED),
    "1-frame-video": Case(film(1), EXAMINED),
    "1-pixel-video": Case(film(3, "mkv", "ffv1", "bgr0", size=(1, 1)), INCONCLUSIVE),
    "500-streams": Case(many_streams, EXAMINED),
    "varying-rate": Case(film(suffix="mkv", times=[0, 0.01, 0.5, 0.52, 3.0, 3.001, 3.002, 9.0]), EXAMINED),
    "rotated": Case(film(rotation=90), EXAMINED),
    "interlaced": Case(film(24, flags="+ildct+ilme"), EXAMINED),
    "10-bit": Case(film(suffix="mkv", codec="ffv1", pixels="yuv420p10le"), EXAMINED),
    "alpha-video": Case(film(suffix="mkv", codec="ffv1", pixels="yuva420p"), EXAMINED),
    "silence": Case(sound(np.zeros(48_000), 16_000), INCONCLUSIVE),
    "no-samples": Case(sound(np.zeros(0), 16_000), REFUSED),
    "one-sample": Case(sound(np.zeros(1), 16_000), INCONCLUSIVE),
    "1-hertz": Case(sound(np.zeros(30), 1), REFUSED),
    "192-kilohertz": Case(sound(tone(3, 192_000), 192_000), INCONCLUSIVE),
    "nan-samples": Case(strange_numbers, INCONCLUSIVE),
}
"""Name of each file, and what is due. Nothing in its name tells a detector anything."""
