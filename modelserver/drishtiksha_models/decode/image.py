"""Opening the picture of a stranger under limits; metadata by `opened`, pixels by `pixels`."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..detector import BadMedia

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

MAX_PIXELS = 50_000_000
"""Width times height; a larger picture is refused before it is decoded."""
BAND = 256
"""Rows of a sixteen-bit picture that are scaled at a time."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF")
"""What Pillow may open. MPO (two JPEGs in one file) opens as JPEG; Pillow registers no opener under its own name."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The picture with its header read and its pixels not yet decoded. Raises BadMedia, also for faults in the block."""
    from PIL import Image, UnidentifiedImageError

    _register_heif()
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise BadMedia(_too_large())
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadMedia(_too_large()) from None
    except UnidentifiedImageError:
        raise BadMedia("The picture cannot be read: it is damaged or of another kind.") from None
    except (OSError, SyntaxError, ValueError, EOFError, OverflowError, RuntimeError) as error:
        # libavif's complaints come as RuntimeError.
        raise BadMedia("The picture is damaged: its data ends early or contradicts itself.") from error


def pixels(image: Image.Image, box: tuple[int, int, int, int] | None = None) -> NDArray[np.uint8]:
    """The first frame as stored, not turned by its orientation tag: [height, width, 3] RGB, 0..255; alpha is dropped.

    `box`: only this part (left, top, right, bottom). Sixteen-bit grey is scaled to eight bits.
    """
    import numpy as np

    image.seek(0)
    if box is not None:
        image = image.crop(box)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = np.asarray(image)
        scale = 255.0 / (65535.0 if grey.max(initial=0) > 255 else 255.0)
        flat = np.empty(grey.shape, np.uint8)
        for top in range(0, len(grey), BAND):  # numbers of eight bytes each would take 1.2 GB at once
            flat[top : top + BAND] = np.clip(grey[top : top + BAND] * scale, 0, 255)
        return np.repeat(flat[:, :, None], 3, axis=2)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)


def _too_large() -> str:
    return f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels."


def _register_heif() -> None:
    with contextlib.suppress(ImportError):  # without the library HEIC files are told to be unreadable
        import pi_heif

        pi_heif.register_heif_opener()
