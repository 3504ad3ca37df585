"""Opening a stranger's picture: whatever it is, it opens or it is bad media."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from drishtiksha_models.decode.image import opened, pixels
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
