"""GEN-WATERMARK-V1 as a whole: marks that it must read, pictures in which it must read none, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import Deadline, DeadlinePassed, Examination, Finding, Status
from drishtiksha_models.detectors import gen_watermark_v1
from drishtiksha_models.watermark.messages import MESSAGES

Examine = Callable[[bytes], Examination]
SDXL, FLUX, SD1, SD2 = MESSAGES


@pytest.mark.parametrize("message", [SDXL, FLUX, SD1], ids=lambda m: m.name)
def test_each_mark_is_read_and_named(examine: Examine, maker: Any, message: Any) -> None:
    said = examine(maker.png(maker.marked(maker.photo(1), message.bits)))
    assert (said.status, said.finding) == (Status.COMPLETED, Finding.SYNTHETIC_MARKED)
    assert said.facts["best_message"] == message.name
    assert said.calibration.kind == "p-value"
    assert said.calibration.bound is not None
    assert 0 < said.calibration.bound < 1e-6
    assert said.probability_fake is None
    assert [picture.name for picture in said.images] == ["bits.png"]


@pytest.mark.parametrize("as_float", [True, False], ids=["floats", "bytes"])
@pytest.mark.parametrize("swapped", [False, True], ids=["rgb", "bgr"])
def test_a_mark_is_read_however_its_generator_handed_the_picture_over(
    examine: Examine, maker: Any, as_float: bool, swapped: bool
) -> None:
    said = examine(maker.png(maker.marked(maker.photo(2), SDXL.bits, as_float, swapped)))
    assert said.finding is Finding.SYNTHETIC_MARKED


def test_marks_survive_a_save_as_jpeg_95_but_not_as_jpeg_80(examine: Examine, maker: Any) -> None:
    pictures = [maker.marked(maker.photo(seed), SDXL.bits) for seed in range(3)]
    found = [[examine(maker.jpeg(picture, quality)).finding for picture in pictures] for quality in (95, 80)]
    assert found[0].count(Finding.SYNTHETIC_MARKED) >= 2
    assert found[1].count(Finding.SYNTHETIC_MARKED) == 0


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True], ids=["as-is", "mirrored"])
def test_a_mark_is_read_in_all_eight_ways_of_lying(examine: Examine, maker: Any, quarter: int, mirrored: bool) -> None:
    picture = np.rot90(maker.marked(maker.photo(3, 401, 337), SDXL.bits), quarter)
    said = examine(maker.png(np.ascontiguousarray(picture[:, ::-1] if mirrored else picture)))
    assert said.finding is Finding.SYNTHETIC_MARKED


def test_pictures_without_a_mark_are_inconclusive_and_never_called_genuine(examine: Examine, maker: Any) -> None:
    for seed in range(3):
        said = examine(maker.jpeg(maker.photo(seed), 95))
        assert (said.status, said.finding, said.calibration.bound) == (Status.INCONCLUSIVE, Finding.NONE, None)
        assert said.metrics["log10_p"] > -3
        assert "authentic" not in said.note


def _odd_pictures() -> list[Any]:
    """Flat colours, gradients, columns, and tiles whose period fits the messages: votes that are anything but fair."""
    random = np.random.default_rng(0)
    flat = [np.full((272, 384, 3), colour, np.uint8) for colour in ((255, 255, 255), (0, 0, 255), (120, 60, 200))]
    ramp = np.linspace(0, 255, 384)[None, :, None] * np.array([1.0, 0.5, 0.2])
    columns = np.kron(random.integers(0, 256, (1, 48, 3)), np.ones((272, 8, 1)))
    tiles = [
        np.tile(np.kron(random.integers(0, 256, (1, period, 3)), np.ones((8, 8, 1))), (34, -(-48 // period), 1))[
            :, :384
        ]
        for period in (1, 8, 17, 46)
    ]
    return [*flat, np.repeat(ramp, 272, axis=0), columns, *tiles]


def test_pictures_with_rhythm_and_plain_colours_raise_no_alarm(examine: Examine, maker: Any) -> None:
    for picture in _odd_pictures():
        said = examine(maker.png(picture.astype(np.uint8)))
        assert said.finding is Finding.NONE
        assert said.metrics["log10_p"] > -3


def test_a_picture_with_a_texts_rhythm_is_at_most_suspicious(examine: Examine, maker: Any) -> None:
    rhythm = np.tile(np.array(SD1.bits).reshape(17, 8).mean(axis=0) > 0.5, 17)
    said = examine(maker.png(maker.marked(maker.photo(5), rhythm)))
    assert said.status is Status.INCONCLUSIVE
    assert said.metrics["log10_p"] > -3


def test_a_short_text_that_fits_is_told_but_does_not_decide(examine: Examine, maker: Any) -> None:
    said = examine(maker.png(maker.marked(maker.photo(1), SD2.bits)))
    assert (said.status, said.finding) == (Status.INCONCLUSIVE, Finding.SUSPICIOUS)
    assert "text" in str(said.inconclusive_reason)


def test_resizing_erases_the_mark(examine: Examine, maker: Any) -> None:
    from PIL import Image

    marked = Image.fromarray(maker.marked(maker.photo(7), SDXL.bits)).resize((461, 346))
    assert examine(maker.png(np.asarray(marked))).status is Status.INCONCLUSIVE


def test_a_picture_smaller_than_the_encoder_takes_is_inconclusive(examine: Examine, maker: Any) -> None:
    said = examine(maker.png(maker.photo(8, 200, 200)))
    assert "256 x 256" in str(said.inconclusive_reason)
    assert said.score is None


def test_of_a_huge_picture_the_rows_where_the_bits_begin_are_read(
    examine: Examine, maker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gen_watermark_v1, "MAX_EXAMINED", 512 * 256)
    said = examine(maker.png(maker.marked(maker.photo(9), SDXL.bits)))
    assert said.finding is Finding.SYNTHETIC_MARKED
    assert "first" in said.limits[0]


def test_a_passed_deadline_ends_the_examination(tmp_path: Path, maker: Any) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(maker.png(maker.photo(1)))
    with pytest.raises(DeadlinePassed):
        gen_watermark_v1.DETECTOR.examine(identify(path), lambda _progress: None, Deadline(0))


def _film(path: Path, pictures: list[Any], codec: str, options: dict[str, str]) -> bytes:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=5, options=options)
        stream.width, stream.height, stream.pix_fmt = 512, 384, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 5)
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return path.read_bytes()


def test_a_marked_frame_of_a_video_is_found_and_its_time_told(examine: Examine, maker: Any, tmp_path: Path) -> None:
    clean = [maker.photo(1)] * 10
    marked = [maker.marked(maker.photo(2), SDXL.bits)] * 6
    said = examine(_film(tmp_path / "a.mkv", clean + marked, "ffv1", {}))
    assert said.finding is Finding.SYNTHETIC_MARKED
    assert said.facts["frame_s"] == pytest.approx(2.0, abs=0.3)
    assert said.coverage is not None
    assert said.coverage.frames == 4  # one each second of 3.2
    clean_only = examine(_film(tmp_path / "b.mkv", clean, "ffv1", {}))
    assert (clean_only.status, clean_only.finding) == (Status.INCONCLUSIVE, Finding.NONE)
