"""How a picture was saved last: without loss, as JPEG of some quality, or by another lossy codec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

_STANDARD = np.array(
    [16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
     14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
     49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99]
)  # fmt: skip
"""The luminance quantisation table of ITU-T T.81, annex K.1, row by row."""


@dataclass(frozen=True)
class LastSave:
    """`kind`: lossless, jpeg or lossy; `quality` is the nearest of the usual 1..100 scale, for JPEG only."""

    kind: str
    quality: int | None = None


def last_save(image: Image.Image, head: bytes) -> LastSave:
    """How this picture was saved; `head` are its first bytes, which say whether a WebP is lossless."""
    if image.format in ("JPEG", "MPO"):
        tables = getattr(image, "quantization", None) or {}
        return LastSave("jpeg", jpeg_quality(tables[0]) if 0 in tables else None)
    if image.format == "PNG" or (image.format == "WEBP" and b"VP8L" in head):
        return LastSave("lossless")
    return LastSave("lossy")


def jpeg_quality(table: object) -> int:
    """The quality, 1..100, whose standard table (libjpeg's scaling) is nearest to this one of 64 steps."""
    given = np.asarray(table, dtype=np.int64).ravel()
    best, nearest = 1, None
    for quality in range(1, 101):
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        expected = np.clip((_STANDARD * scale + 50) // 100, 1, 255)
        distance = int(np.abs(expected - given).sum())
        if nearest is None or distance < nearest:
            best, nearest = quality, distance
    return best
