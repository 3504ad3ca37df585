"""Opening a stranger's picture: whatever it is, it opens or it is bad media."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drishtiksha_models.decode.image import BAND, opened, pixels
from drishtiksha_models.detector import BadMedia


@pytest.mark.parametrize("head", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP"])
def test_a_picture_that_ends_after_its_first_bytes_is_bad_media(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "picture"
    path.write_bytes(head)
    with pytest.raises(BadMedia), opened(path):
        pass


def test_two_pictures_in_one_jpeg_open_as_the_first(tmp_path: Path) -> None:
    first, second, out = Image.new("RGB", (32, 16), (200, 0, 0)), Image.new("RGB", (32, 16)), io.BytesIO()
    first.save(out, "MPO", save_all=True, append_images=[second])
    path = tmp_path / "two.jpg"
    path.write_bytes(out.getvalue())
    with opened(path) as image:
        assert image.format == "MPO"
        assert pixels(image)[0, 0, 0] > 150


def test_an_avif_whose_pixels_are_broken_is_bad_media(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(out, "AVIF")
    data = bytearray(out.getvalue())
    start = data.index(b"mdat") + 4
    data[start : start + 64] = b"\xff" * 64
    path = tmp_path / "broken.avif"
    path.write_bytes(data)
    with pytest.raises(BadMedia), opened(path) as image:
        pixels(image)


def test_sixteen_bits_are_scaled_to_eight_in_bands_as_in_one_piece(tmp_path: Path) -> None:
    grey = np.random.default_rng(1).integers(0, 65_536, (2 * BAND + 9, 31)).astype("<u2")
    path = tmp_path / "grey.png"
    Image.fromarray(grey).save(path)
    with opened(path) as image:
        found = pixels(image)
    assert found.shape == (*grey.shape, 3)
    assert (found[..., 1] == (grey / 257.0).astype(np.uint8)).mean() > 0.999
    assert (np.abs(found.astype(int) - (grey / 257.0)[..., None]) <= 1.0).all()
