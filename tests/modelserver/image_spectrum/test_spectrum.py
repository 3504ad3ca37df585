"""IMAGE-SPECTRUM-V1: each figure rises with what it measures, maps show where, and nothing is ever decided."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from drishtiksha_models.decode import video
from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import Deadline, DeadlinePassed, Examination, Finding, Status
from drishtiksha_models.detectors import image_spectrum_v1
from drishtiksha_models.spectrum import maps
from drishtiksha_models.spectrum.peaks import lattice, outstanding
from drishtiksha_models.spectrum.tiles import SIDE

Examine = Callable[[bytes], Examination]


def patterned(picture: Any, period: int) -> Any:
    """A picture with one grid point in each period x period pixels a little brighter, as uneven upsampling leaves it."""
    raised = picture.astype(np.int16)
    raised[::period, ::period] += period * period
    return np.clip(raised, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_lattice_stands_out_at_its_period(examine: Examine, photos: Any, period: int) -> None:
    picture = photos.photo(1)
    plain, raised = (examine(photos.png(p)) for p in (picture, patterned(picture, period)))
    name = f"lattice_z_1/{period}"
    assert raised.metrics[name] > 6
    assert raised.metrics[name] > plain.metrics[name] + 4
    for longer in (p for p in (4, 8) if p > period):
        assert raised.metrics[f"lattice_z_1/{longer}"] < plain.metrics[f"lattice_z_1/{longer}"] + 1.5


def test_lattices_of_different_periods_share_no_point() -> None:
    marked = np.zeros((SIDE, SIDE))
    marked[SIDE // 4, SIDE // 2] = 11.0
    marked[SIDE // 8, 0] = 48.0
    assert [lattice(marked, period) for period in (2, 4, 8)] == [0.0, 11.0, 48.0]


def test_a_flat_spectrum_stands_out_nowhere() -> None:
    assert np.abs(outstanding(np.full((SIDE, SIDE), 5.0))).max() == 0.0
    assert outstanding(np.random.default_rng(0).gamma(20, 1, (SIDE, SIDE))).std() < 1.3


def test_resampling_leaves_a_peak(examine: Examine, photos: Any) -> None:
    plain, larger = [], []
    for seed in range(3):
        picture = photos.photo(seed)
        plain.append(examine(photos.png(picture)).metrics["resampling_peak_z"])
        grown = cv2.resize(picture, None, fx=1.25, fy=1.25, interpolation=cv2.INTER_CUBIC)
        larger.append(examine(photos.png(np.asarray(grown))).metrics["resampling_peak_z"])
    assert min(larger) > max(plain) + 2


def test_jpeg_shows_at_multiples_of_an_eighth_and_not_as_resampling(examine: Examine, photos: Any) -> None:
    picture = photos.photo(3)
    plain, jpeg = examine(photos.png(picture)), examine(photos.jpeg(picture, 60))
    assert jpeg.metrics["jpeg_block_peak_z"] > plain.metrics["jpeg_block_peak_z"] + 5
    assert jpeg.metrics["resampling_peak_z"] < plain.metrics["resampling_peak_z"] + 3


def test_blur_steepens_the_slope(examine: Examine, photos: Any) -> None:
    picture = photos.photo(2)
    soft = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0))
    assert examine(photos.png(soft)).metrics["slope"] < examine(photos.png(picture)).metrics["slope"] - 0.5


def test_the_noise_map_shows_where_noise_is_stronger() -> None:
    random = np.random.default_rng(1)
    light = np.clip(random.normal(128, 2, (256, 320)), 0, 255)
    light[64:128, 96:192] += random.normal(0, 8, (64, 96))
    found = maps.noise(np.clip(light.round(), 0, 255).astype(np.uint8))
    assert found.shape == (8, 10)
    inside = np.zeros((8, 10), bool)
    inside[2:4, 3:6] = True
    assert found[inside].min() > 6
    assert found[~inside].max() < 3
    assert np.median(found[~inside]) == pytest.approx(2.0, abs=0.3)


def test_the_map_of_one_more_save_is_the_same_whatever_the_stripes(
    photos: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = photos.photo(3)
    whole = maps.resaved(picture, lambda: None)
    monkeypatch.setattr(maps, "STRIPE_ROWS", 128)
    assert np.abs(maps.resaved(picture, lambda: None) - whole).max() < 3.0  # subsampled colour differs at the seams
    assert whole.shape == (60, 80)


def test_it_says_figures_and_maps_and_no_finding(examine: Examine, photos: Any) -> None:
    said = examine(photos.jpeg(photos.photo(4), 90))
    assert (said.status, said.finding, said.score, said.probability_fake) == (
        Status.COMPLETED, Finding.NONE, None, None,
    )  # fmt: skip
    assert [picture.name for picture in said.images] == ["spectrum.png", "noise.png", "resave.png"]
    for picture in said.images:
        assert Image.open(io.BytesIO(picture.data)).format == "PNG"
    assert said.facts["tiles"] == 2
    assert len(said.series[0].t) == SIDE // 2


def test_a_picture_without_anything_in_it_is_examined(examine: Examine, photos: Any) -> None:
    said = examine(photos.png(np.full((300, 300, 3), 77, np.uint8)))
    assert said.status is Status.COMPLETED
    assert said.metrics["resampling_peak_z"] == 0.0


def test_a_picture_smaller_than_a_tile_is_inconclusive(examine: Examine, photos: Any) -> None:
    said = examine(photos.png(photos.photo(5, 400, 200)))
    assert "smaller than 256 pixels" in str(said.inconclusive_reason)


def test_of_a_large_picture_the_middle_is_examined_in_bounded_memory(
    examine: Examine, photos: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_spectrum_v1, "MAX_EXAMINED", 1_000_000)
    picture = photos.png(np.tile(photos.photo(6), (4, 3, 1)))  # 3.7 million pixels
    examine(picture)
    tracemalloc.start()
    try:
        said = examine(picture)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "middle" in said.limits[0]
    assert 6 <= said.facts["tiles"] <= 16
    assert peak < 1_000_000 * 3 * 8


def test_a_passed_deadline_ends_the_examination(tmp_path: Path, photos: Any) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(photos.png(photos.photo(1)))
    with pytest.raises(DeadlinePassed):
        image_spectrum_v1.DETECTOR.examine(identify(path), lambda _progress: None, Deadline(0))


def film(path: Path, photos: Any) -> bytes:
    """3.6 s at 10 frames per second; every twelfth is a key frame and shows another picture."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"g": "12", "crf": "20", "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for i in range(36):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(photos.photo(7 + i // 12), format="rgb24")))
        out.mux(stream.encode(None))
    return path.read_bytes()


def test_of_a_video_the_key_frames_are_averaged(examine: Examine, photos: Any, tmp_path: Path) -> None:
    said = examine(film(tmp_path / "a.mp4", photos))
    assert said.status is Status.COMPLETED
    assert said.coverage is not None
    assert said.coverage.frames == 3
    assert said.facts["tiles"] == 6
    assert said.coverage.analysed_s == pytest.approx(2.4)


def test_of_a_video_whose_key_frames_cannot_be_told_a_frame_each_second_is_taken(
    examine: Examine, photos: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = video._decoded
    monkeypatch.setattr(video, "_decoded", lambda path, key_only: () if key_only else decoded(path, False))
    said = examine(film(tmp_path / "a.mp4", photos))
    assert said.status is Status.COMPLETED
    assert said.coverage is not None
    assert (said.coverage.frames, said.coverage.analysed_s) == (4, 3.0)
