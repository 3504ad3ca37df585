"""Maps of a picture for the eye: the noise of each block, what one more JPEG save changes; and their drawing.

Sources: noise by the median of the diagonal Haar band, Mahdian and Saic 2009; error level analysis, Krawetz 2007. Neither
tells an edit by itself: texture and edges show in both. Next to it: `tiles.py`, `peaks.py`.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .peaks import Deviations
from .tiles import Light

NOISE_BLOCK = 32
"""Pixels in each direction over which noise is measured."""
ELA_BLOCK = 8
"""Pixels over which the change of a save is averaged."""
ELA_QUALITY = 90
"""Of the save that is tried."""
LONGEST = 1024
"""Pixels of the longer side of a drawn map at most."""
STRIPE_ROWS = 512
"""Rows that are worked on at once; a multiple of both blocks."""

Map = NDArray[np.float32]


def noise(light: Light) -> Map:
    """Standard deviation of the noise of each block, in grey levels (median of the diagonal Haar band over 0.6745)."""
    rows, columns = (side // NOISE_BLOCK * NOISE_BLOCK for side in light.shape)
    found = np.zeros((rows // NOISE_BLOCK, columns // NOISE_BLOCK), np.float32)
    half = NOISE_BLOCK // 2
    for top in range(0, rows, NOISE_BLOCK):
        p = light[top : top + NOISE_BLOCK, :columns].astype(np.float32)
        diagonal = np.abs(p[0::2, 0::2] - p[0::2, 1::2] - p[1::2, 0::2] + p[1::2, 1::2]) / 2
        blocks = diagonal.reshape(half, columns // NOISE_BLOCK, half).transpose(1, 0, 2).reshape(-1, half * half)
        found[top // NOISE_BLOCK] = np.median(blocks, axis=1) / 0.6745
    return found


def resaved(picture: NDArray[np.uint8], step: Callable[[], None]) -> Map:
    """Mean change of each block of an RGB picture by a JPEG save, in grey levels. Saved in stripes to bound the memory."""
    rows, columns = (side // ELA_BLOCK * ELA_BLOCK for side in picture.shape[:2])
    found = np.zeros((rows // ELA_BLOCK, columns // ELA_BLOCK), np.float32)
    for top in range(0, rows, STRIPE_ROWS):
        stripe = np.ascontiguousarray(picture[top : min(top + STRIPE_ROWS, rows), :columns])
        done, data = cv2.imencode(".jpg", stripe, [cv2.IMWRITE_JPEG_QUALITY, ELA_QUALITY])
        if not done:
            raise RuntimeError("OpenCV could not write a JPEG")
        saved = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        change = np.asarray(cv2.absdiff(stripe, saved)).max(axis=2)
        blocks = change.reshape(len(stripe) // ELA_BLOCK, ELA_BLOCK, columns // ELA_BLOCK, ELA_BLOCK)
        found[top // ELA_BLOCK : top // ELA_BLOCK + len(blocks)] = blocks.mean(axis=(1, 3))
        step()
    return found


def heat(values: NDArray[np.floating], low: float, high: float, block: int = 1) -> bytes:
    """PNG of a map from dark (`low`) to bright (`high`); a value covers `block` pixels of the picture at most."""
    scale = min(float(block), LONGEST / max(values.shape))
    size = max(1, round(values.shape[1] * scale)), max(1, round(values.shape[0] * scale))
    shares = np.clip((values - low) / max(1e-9, high - low), 0, 1)
    small = cv2.resize(
        (shares * 255).astype(np.uint8), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    )
    coloured = cv2.applyColorMap(small, cv2.COLORMAP_INFERNO)[..., ::-1]
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(coloured)).save(out, "PNG", compress_level=4)
    return out.getvalue()


def spectrum(deviations: Deviations) -> bytes:
    """PNG of a spectrum, frequency 0 in the middle: what stands out of its surroundings is bright."""
    return heat(np.kron(np.fft.fftshift(deviations), np.ones((2, 2))), 0.0, 12.0)
