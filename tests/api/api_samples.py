"""Small media drawn by code for the tests of the api: one of each accepted type, and the ones that must be refused."""

from __future__ import annotations

import io
import wave
from fractions import Fraction
from functools import cache

import av
import numpy as np
from PIL import Image


def picture(kind: str, *, frames: int = 1, **options: object) -> bytes:
    """A drawn picture of 64 × 48 pixels in a format of Pillow."""
    if kind == "HEIF":
        import pi_heif  # noqa: F401  reading only: HEIC samples cannot be drawn here
    out = io.BytesIO()
    drawn = [Image.fromarray(np.full((48, 64, 3), 40 * (i + 1), np.uint8)) for i in range(frames)]
    if frames > 1:
        options |= {"save_all": True, "append_images": drawn[1:]}
    drawn[0].save(out, kind, **options)
    return out.getvalue()


@cache
def clip(container: str, video: str | None = "libx264", audio: str | None = "aac", *, cover: bool = False) -> bytes:
    """Half a second of film and sound in a container of FFmpeg; a `cover` is an attached picture."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as film:
        streams = []
        if video:
            v = film.add_stream(video, rate=12)
            v.width, v.height, v.pix_fmt = 64, 48, "yuv420p"
            streams.append(v)
        if audio:
            rate = 48000 if audio == "libopus" else 44100
            a = film.add_stream(audio, rate=rate, layout="mono")
        if cover:
            c = film.add_stream("mjpeg", rate=1)
            c.width, c.height, c.pix_fmt = 64, 48, "yuvj420p"
            c.disposition = av.stream.Disposition.attached_pic
            picture_frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24").reformat(
                format="yuvj420p"
            )
            picture_frame.pts, picture_frame.time_base = 0, Fraction(1, 1)
            film.mux(c.encode(picture_frame))
            film.mux(c.encode(None))
        if video:
            for i in range(6):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 30 * i, np.uint8), "rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 12)
                film.mux(v.encode(frame))
            film.mux(v.encode(None))
        if audio:
            samples = (np.sin(np.arange(rate // 2) / 20) * 8000).astype(np.int16)
            for at in range(0, len(samples), 1024):
                sound = av.AudioFrame.from_ndarray(samples[None, at : at + 1024], "s16", "mono")
                sound.sample_rate, sound.pts, sound.time_base = rate, at, Fraction(1, rate)
                film.mux(a.encode(sound))
            film.mux(a.encode(None))
    return out.getvalue()


def tone_wav() -> bytes:
    """A tenth of a second of silence as WAV."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
    return out.getvalue()


def accepted() -> dict[str, tuple[bytes, str, str]]:
    """name → (bytes, stored type, media type) of every type that a library here can draw."""
    return {
        "mp4": (clip("mp4"), "video/mp4", "VIDEO"),
        "mp4 without sound": (clip("mp4", audio=None), "video/mp4", "VIDEO"),
        "mov": (clip("mov"), "video/quicktime", "VIDEO"),
        "mkv": (clip("matroska"), "video/x-matroska", "VIDEO"),
        "webm": (clip("webm", "libvpx", "libopus"), "video/webm", "VIDEO"),
        "avi": (clip("avi", "mpeg4", "libmp3lame"), "video/x-msvideo", "VIDEO"),
        "m4a": (clip("mp4", None), "audio/mp4", "AUDIO"),
        "mka": (clip("matroska", None), "audio/x-matroska", "AUDIO"),
        "weba": (clip("webm", None, "libopus"), "audio/webm", "AUDIO"),
        "ogg": (clip("ogg", None, "libopus"), "audio/ogg", "AUDIO"),
        "mp3": (clip("mp3", None, "libmp3lame"), "audio/mpeg", "AUDIO"),
        "flac": (clip("flac", None, "flac"), "audio/flac", "AUDIO"),
        "aac": (clip("adts", None, "aac"), "audio/aac", "AUDIO"),
        "aiff": (clip("aiff", None, "pcm_s16be"), "audio/aiff", "AUDIO"),
        "wav": (tone_wav(), "audio/wav", "AUDIO"),
        "m4a with a cover": (clip("mp4", None, cover=True), "audio/mp4", "AUDIO"),
        "jpeg": (picture("JPEG"), "image/jpeg", "IMAGE"),
        "png": (picture("PNG"), "image/png", "IMAGE"),
        "webp": (picture("WEBP"), "image/webp", "IMAGE"),
        "animated gif": (picture("GIF", frames=3), "image/gif", "IMAGE"),
        "avif": (picture("AVIF"), "image/avif", "IMAGE"),
    }


def png_claiming(width: int, height: int) -> bytes:
    """A tiny PNG whose header claims a huge picture."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def refused() -> dict[str, tuple[bytes, str]]:
    """name → (bytes, code) of what must not come in."""
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    return {
        "svg": (
            b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
            "UNSUPPORTED_TYPE",
        ),
        "html": (b"<!DOCTYPE html><html><body>hello</body></html>", "UNSUPPORTED_TYPE"),
        "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n", "UNSUPPORTED_TYPE"),
        "playlist": (playlist, "UNSUPPORTED_TYPE"),
        "concat list": (b"ffconcat version 1.0\nfile /etc/passwd\n", "UNSUPPORTED_TYPE"),
        "text": (b"just words, many words\n" * 20, "UNSUPPORTED_TYPE"),
        "zip": (b"PK\x03\x04" + bytes(60), "UNSUPPORTED_TYPE"),
        "tiff": (picture("TIFF"), "UNSUPPORTED_TYPE"),
        "bmp": (picture("BMP"), "UNSUPPORTED_TYPE"),
        "noise": (np.random.default_rng(1).bytes(5000), "UNSUPPORTED_TYPE"),
        "mpeg-ts": (clip("mpegts"), "UNSUPPORTED_TYPE"),
        "half an mp4": (clip("mp4")[:400], "UNDECODABLE"),
        "half a png": (picture("PNG")[:60], "UNDECODABLE"),
        "pixel bomb": (png_claiming(60_000, 60_000), "UNDECODABLE"),
        "jpeg head, then noise": (b"\xff\xd8\xff\xe0" + bytes(500), "UNDECODABLE"),
    }
