"""Pictures drawn from a seed: a landscape with hills, sky and grain, and photo-like clouds. Nothing is downloaded."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""Height x width x 3, sRGB."""


def noise(rng: np.random.Generator, height: int, width: int, slope: float) -> NDArray[np.float64]:
    """Noise whose amplitude spectrum falls as 1/f^slope, like that of photographs; zero mean, unit variance."""
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    radius = np.hypot(fy, fx)
    radius[0, 0] = np.inf
    spectrum = (rng.normal(size=radius.shape) + 1j * rng.normal(size=radius.shape)) / radius**slope
    field = np.fft.irfft2(spectrum, s=(height, width))
    scaled: NDArray[np.float64] = (field - field.mean()) / field.std()
    return scaled


def landscape(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Sky, hills and texture."""
    y = np.linspace(0, 1, height)[:, None]
    x = np.linspace(0, 1, width)[None, :]
    sky = np.stack([120 + 80 * y + 0 * x, 160 + 50 * y + 0 * x, 215 - 10 * y + 0 * x], axis=-1)
    picture = sky + 9 * noise(rng, height, width, 1.4)[..., None]
    for base, amplitude, colour in (
        (0.55, 0.07, (96, 116, 92)),
        (0.68, 0.05, (70, 96, 62)),
        (0.82, 0.04, (58, 74, 44)),
    ):
        phases = rng.uniform(0, 2 * np.pi, 4)
        ridge = base + amplitude * sum(
            np.sin(2 * np.pi * (k + 1) * x[0] * 1.3 + p) / (k + 1) for k, p in enumerate(phases)
        )
        hill = y >= ridge[None, :]
        texture = 14 * noise(rng, height, width, 0.9)
        picture = np.where(hill[..., None], np.array(colour) + texture[..., None] * np.array((1.0, 1.1, 0.8)), picture)
    sun = np.exp(-(((x - 0.78) / 0.05) ** 2 + ((y - 0.2) / 0.09) ** 2))
    picture = picture + sun[..., None] * np.array((90, 70, 20)) + rng.normal(0, 1.6, picture.shape)
    drawn: Pixels = np.clip(picture, 0, 255).astype(np.uint8)
    return drawn


def jpeg(picture: Pixels, quality: int, subsampling: int = 2) -> bytes:
    """Encoded; `subsampling` 0 keeps the colour whole, 2 halves it both ways as usual."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality, subsampling=subsampling)
    return out.getvalue()


def png(picture: Pixels) -> bytes:
    """Encoded without loss."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def decoded(data: bytes) -> Pixels:
    """The pixels of an encoded picture; the caller's own to change."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).copy()
