"""Photo-like pictures drawn by code from a seed: noise with a 1/f spectrum, soft shapes, sensor noise; and splices."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter


def photo(seed: int, width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    """A colour picture [height, width, 3] that never was JPEG; the caller's own to change."""
    return _photo(seed, width, height).copy()


@cache
def _photo(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    shapes = Image.new("RGB", (width, height), tuple(int(c) for c in random.integers(60, 190, 3)))
    draw = ImageDraw.Draw(shapes)
    for _ in range(14):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        w, h = int(random.integers(20, width // 3)), int(random.integers(20, height // 3))
        colour = tuple(int(c) for c in random.integers(20, 235, 3))
        (draw.ellipse if random.random() < 0.6 else draw.rectangle)((x, y, x + w, y + h), fill=colour)
    base = np.asarray(shapes.filter(ImageFilter.GaussianBlur(1.2)), dtype=np.float64)
    clouds = np.stack([_clouds(random, width, height) for _ in range(3)], axis=2)
    luminance = clouds.mean(axis=2, keepdims=True)
    grain = random.normal(0, 1.5, (height, width, 3))
    return np.clip(base + 22 * luminance + 6 * clouds + grain, 0, 255).round().astype(np.uint8)


def _clouds(random: np.random.Generator, width: int, height: int) -> NDArray[np.float64]:
    spectrum = np.fft.rfft2(random.normal(size=(height, width)))
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    radius = np.hypot(fy, fx)
    radius[0, 0] = 1.0
    field = np.fft.irfft2(spectrum / radius, s=(height, width))
    return (field - field.mean()) / field.std()


def jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    """Encoded, 4:2:0 as usual."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality)
    return out.getvalue()


def png(picture: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", compress_level=1)
    return out.getvalue()


def decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def spliced(seed: int, quality: int, size: int = 144) -> tuple[NDArray[np.uint8], tuple[int, int, int, int]]:
    """A JPEG picture with a part of another JPEG picture pasted off its grid, and the part's x, y, width, height."""
    random = np.random.default_rng(seed + 1000)
    host = decoded(jpeg(photo(seed), quality)).copy()
    guest = decoded(jpeg(photo(seed + 1), quality))
    x, y = 8 * int(random.integers(4, 50)) % (640 - size - 16), 8 * int(random.integers(4, 30)) % (480 - size - 16)
    dx, dy = int(random.integers(1, 8)), int(random.integers(0, 8))
    host[y : y + size, x : x + size] = guest[y + dy : y + dy + size, x + dx : x + dx + size]
    return host, (x, y, size, size)


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    left, top = max(a[0], b[0]), max(a[1], b[1])
    right, bottom = min(a[0] + a[2], b[0] + b[2]), min(a[1] + a[3], b[1] + b[3])
    common = max(0.0, right - left) * max(0.0, bottom - top)
    return common / (a[2] * a[3] + b[2] * b[3] - common)
