"""Pictures made small for a page or a card: at most 480 pixels, JPEG. Pillow is imported when the first one is asked for."""

from __future__ import annotations

import io
from pathlib import Path

SIDE = 480
"""Pixels of the longer side."""


def small(source: Path | bytes, side: int = SIDE) -> bytes | None:
    """The picture as a small JPEG; None when Pillow cannot open it."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            image.thumbnail((side, side))
            out = io.BytesIO()
            image.convert("RGB").save(out, "JPEG", quality=82)
            return out.getvalue()
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
