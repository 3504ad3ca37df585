"""The demo's media are what the demo says of them: the same bytes each time, found or not found by the detectors."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av
import pytest

from drishtiksha_cli import demo_media
from drishtiksha_cli.errors import CommandFailed
from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import Deadline, Finding
from drishtiksha_models.detectors.jpeg_grid_v1 import DETECTOR
from drishtiksha_models.specimens.plan import SPECIMENS


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {one.path.name: one.path for one in demo_media.draw_all(tmp_path_factory.mktemp("drawn"))}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_picture_and_the_recording_are_the_same_bytes_at_each_drawing(
    drawn: dict[str, Path], tmp_path: Path
) -> None:
    demo_media.draw_all(tmp_path, names=("picture.png", "recording.flac"))
    for name in ("picture.png", "recording.flac"):
        assert sha256(tmp_path / name) == sha256(drawn[name])


def test_what_is_drawn_already_is_left_alone_and_nothing_half_done_stays(
    drawn: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: path.stat().st_mtime_ns for name, path in drawn.items()}
    folder = drawn["clip.mp4"].parent
    said: list[str] = []
    demo_media.draw_all(folder, said.append)
    assert said == []
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_choice_that_does_not_exist_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"there is no specimen nothing\.png"):
        demo_media.draw_all(tmp_path, names=("nothing.png",))


def test_the_command_line_and_the_model_service_mean_the_same_media() -> None:
    assert set(demo_media.ALL) == {one.name for one in SPECIMENS}
    assert set(demo_media.USUAL) == {one.name for one in SPECIMENS if one.basic}


def test_the_clip_is_ten_seconds_of_h264_and_aac(drawn: dict[str, Path]) -> None:
    with av.open(str(drawn["clip.mp4"])) as film:
        video, audio = film.streams.video[0], film.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height, video.average_rate) == (640, 360, 24)
        assert sum(1 for _ in film.decode(video)) == 240
        assert film.duration is not None
        assert film.duration / av.time_base == pytest.approx(10, abs=0.1)


def test_the_recording_is_twelve_seconds_of_flac(drawn: dict[str, Path]) -> None:
    with av.open(str(drawn["recording.flac"])) as sound:
        assert sum(frame.samples for frame in sound.decode(audio=0)) == 12 * 48_000


def test_the_moved_patch_is_found_by_the_detector_that_the_demo_promises(drawn: dict[str, Path]) -> None:
    DETECTOR.load()
    found = DETECTOR.examine(identify(drawn["picture.png"]), lambda _progress: None, Deadline(100))
    assert found.finding is Finding.MANIPULATED_REGION
    (region,) = found.regions
    x, y, width, height = region.box
    left, top, right, bottom = max(x, 499), max(y, 381), min(x + width, 499 + 168), min(y + height, 381 + 136)
    both = max(0, right - left) * max(0, bottom - top)
    assert both / (width * height + 168 * 136 - both) > 0.5
