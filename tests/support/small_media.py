"""A film, a recording and a picture of a few kilobytes, drawn by code, for tests that need no more."""

from __future__ import annotations

import io
import wave
from functools import cache

import av
import numpy as np
from PIL import Image


def picture() -> bytes:
    """A grey PNG."""
    made = io.BytesIO()
    Image.radial_gradient("L").resize((320, 240)).convert("RGB").save(made, "PNG")
    return made.getvalue()


@cache
def film(frames: int = 12, size: tuple[int, int] = (320, 272)) -> bytes:
    """Moving stripes with grain, as MP4 of 24 frames a second."""
    made = io.BytesIO()
    x = np.arange(size[0])
    with av.open(made, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
        for n in range(frames):
            grain = np.random.default_rng(n).normal(0, 4, (size[1], size[0], 3))
            stripes = 127 + 80 * np.sin((x + 3 * n) / 9)[None, :, None]
            drawn = np.clip(stripes + grain, 0, 255).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(drawn, format="rgb24")))
        out.mux(stream.encode(None))
    return made.getvalue()


def recording(seconds: float = 2.5, rate: int = 16_000) -> bytes:
    """A wavering tone, as WAV."""
    t = np.arange(int(seconds * rate)) / rate
    tone = 0.4 * np.sin(2 * np.pi * 180 * t + 3 * np.sin(2 * np.pi * 2 * t))
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((tone * 32767).astype("<i2").tobytes())
    return made.getvalue()
