"""JPEG-GRID-V1 as a whole: what it finds, what it must not find, and when it says that it cannot tell."""

from __future__ import annotations

import importlib.util
import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import BadMedia, Deadline, DeadlinePassed, Examination, Finding, Status
from drishtiksha_models.detectors import jpeg_grid_v1

_spec = importlib.util.spec_from_file_location("jpeg_grid_photos", Path(__file__).with_name("photos.py"))
assert _spec is not None
assert _spec.loader is not None
photos = importlib.util.module_from_spec(_spec)
sys.modules["jpeg_grid_photos"] = photos
_spec.loader.exec_module(photos)

Examine = Callable[[bytes], Examination]
QUALITIES = (60, 75, 85, 90, 95)


def test_parts_pasted_off_the_grid_are_found_where_they_are(examine: Examine) -> None:
    found = 0
    for seed, quality in enumerate(QUALITIES * 2):
        picture, part = photos.spliced(seed, quality)
        result = examine(photos.png(picture))
        best = max((photos.overlap(region.box, part) for region in result.regions), default=0.0)
        found += result.finding is Finding.MANIPULATED_REGION and best > 0.3
    assert found >= 9


def test_pristine_pictures_raise_no_alarm(examine: Examine) -> None:
    for seed, quality in enumerate(QUALITIES * 2):
        result = examine(photos.png(photos.decoded(photos.jpeg(photos.photo(seed), quality))))
        assert (result.status, result.finding, result.regions) == (Status.COMPLETED, Finding.NONE, [])
        assert result.facts["main_grid"] == "0, 0"


def test_a_finding_states_its_false_alarm_bound(examine: Examine) -> None:
    result = examine(photos.png(photos.spliced(1, 75)[0]))
    assert result.calibration.kind == "nfa"
    assert result.calibration.bound is not None
    assert 0 < result.calibration.bound < 1e-3
    assert result.score is not None
    assert result.score.value < -3
    assert result.probability_fake is None


def test_a_picture_that_never_was_jpeg_shows_no_grid(examine: Examine) -> None:
    result = examine(photos.png(photos.photo(3)))
    assert result.status is Status.INCONCLUSIVE
    assert result.finding is Finding.NONE
    assert "no JPEG grid" in str(result.inconclusive_reason)


def test_a_jpeg_part_in_a_picture_without_a_grid_is_told_but_does_not_decide(examine: Examine) -> None:
    picture = photos.photo(3)
    picture[40:200, 80:240] = photos.decoded(photos.jpeg(photos.photo(9), 80))[:160, :160]
    result = examine(photos.png(picture))
    assert (result.status, result.finding) == (Status.INCONCLUSIVE, Finding.SUSPICIOUS)
    assert photos.overlap(result.regions[0].box, (80, 40, 160, 160)) > 0.3


@pytest.mark.parametrize("quality", [60, 90, 95])
def test_a_later_lossy_save_makes_it_inconclusive(examine: Examine, quality: int) -> None:
    result = examine(photos.jpeg(photos.spliced(2, 75)[0], quality))
    assert (result.status, result.finding) == (Status.INCONCLUSIVE, Finding.NONE)
    assert "recompressed" in str(result.inconclusive_reason)


def test_a_later_save_of_very_high_quality_keeps_the_traces(examine: Examine) -> None:
    picture, part = photos.spliced(2, 75)
    result = examine(photos.jpeg(picture, 98))
    assert result.finding is Finding.MANIPULATED_REGION
    assert max(photos.overlap(region.box, part) for region in result.regions) > 0.3


def test_cropping_and_saving_again_is_no_pasted_part(examine: Examine) -> None:
    for first, second in ((60, 90), (95, 98), (85, 75), (90, 95)):
        cropped = photos.decoded(photos.jpeg(photos.photo(7), first))[3:, 5:]
        assert (
            examine(photos.png(photos.decoded(photos.jpeg(cropped, second)))).finding is not Finding.MANIPULATED_REGION
        )
        assert examine(photos.jpeg(cropped, 98)).finding is not Finding.MANIPULATED_REGION


def test_a_lossy_webp_is_inconclusive_and_a_lossless_one_is_examined(examine: Examine) -> None:
    picture = Image.fromarray(photos.spliced(4, 80)[0])
    lossy, lossless = io.BytesIO(), io.BytesIO()
    picture.save(lossy, "WEBP", quality=95)
    picture.save(lossless, "WEBP", lossless=True, method=0)
    assert examine(lossy.getvalue()).status is Status.INCONCLUSIVE
    assert examine(lossless.getvalue()).finding is Finding.MANIPULATED_REGION


def test_the_vote_map_is_a_png_of_the_pictures_shape(examine: Examine) -> None:
    (image,) = examine(photos.png(photos.spliced(1, 75)[0])).images
    opened = Image.open(io.BytesIO(image.data))
    assert (image.name, image.mimetype, opened.format, opened.size) == ("votes.png", "image/png", "PNG", (640, 480))
    assert len(np.unique(np.asarray(opened.convert("RGB")).reshape(-1, 3), axis=0)) > 2


def test_of_a_large_picture_the_middle_is_examined_and_boxes_stay_those_of_the_picture(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg_grid_v1, "MAX_EXAMINED", 200_000)
    picture = photos.decoded(photos.jpeg(photos.photo(5), 80)).copy()
    picture[200:328, 256:384] = photos.decoded(photos.jpeg(photos.photo(6), 80))[13:141, 21:149]
    result = examine(photos.png(picture))
    assert photos.overlap(result.regions[0].box, (256, 200, 128, 128)) > 0.3
    assert result.facts["examined_share"] < 0.7
    assert "middle" in result.limits[0]


def test_boxes_of_a_turned_picture_are_told_to_be_as_stored(examine: Examine) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.fromarray(photos.photo(1)).save(out, "PNG", exif=exif)
    assert "as stored" in examine(out.getvalue()).limits[0]
    assert not examine(photos.png(photos.photo(1))).limits


def test_a_tiny_picture_is_inconclusive(examine: Examine) -> None:
    result = examine(photos.png(photos.photo(1, 96, 96)[:40, :40]))
    assert "smaller than" in str(result.inconclusive_reason)


def test_a_picture_that_ends_early_is_bad_media(examine: Examine) -> None:
    for data in (photos.png(photos.photo(1, 128, 128)), photos.jpeg(photos.photo(1, 128, 128), 98)):
        with pytest.raises(BadMedia):
            examine(data[: len(data) // 2])


def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded(examine: Examine) -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(BadMedia, match="50 million"):
        examine(bomb + b"\x00\x00\x00\x00IDAT\x35\xaf\x06\x1e\x00\x00\x00\x00IEND\xae\x42\x60\x82")


def test_text_is_no_picture(examine: Examine) -> None:
    with pytest.raises(BadMedia):
        examine(b"just some words, " * 40)


def test_a_passed_deadline_ends_the_examination(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(photos.png(photos.photo(1)))
    with pytest.raises(DeadlinePassed):
        jpeg_grid_v1.DETECTOR.examine(identify(path), lambda _progress: None, Deadline(0))
