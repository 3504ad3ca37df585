"""Reading frames of strangers' files: upright, in time, within limits, or refused with a reason."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from drishtiksha_models.decode import video
from drishtiksha_models.decode.video import open_film
from drishtiksha_models.detector import BadMedia, Unsupported


def corner(frames: int, height: int = 64, width: int = 96) -> list[Any]:
    """Black, with a white top left corner."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = 255
    return [picture] * frames


@pytest.mark.parametrize(("degrees", "where"), [(0, (0, 0)), (90, (1, 0)), (180, (1, 1)), (-90, (0, 1))])
def test_frames_come_upright(pen: Any, tmp_path: Path, degrees: int, where: tuple[int, int]) -> None:
    film = open_film(pen.film(tmp_path / "a.mp4", corner(3), rotation=degrees))
    image = next(iter(film.frames())).image
    assert image.shape == ((96, 64, 3) if degrees % 180 else (64, 96, 3))
    height, width = image.shape[:2]
    quarters = image.reshape(2, height // 2, 2, width // 2, 3).mean(axis=(1, 3, 4))
    # A turn to the left takes the top left corner to the bottom left.
    assert np.unravel_index(quarters.argmax(), (2, 2)) == where


def test_frames_of_varying_length_keep_their_times(pen: Any, tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.2, 0.24, 0.5]
    film = open_film(pen.film(tmp_path / "a.mkv", corner(5), times=times))
    assert [f.time for f in film.frames()] == pytest.approx(times, abs=0.002)
    assert [f.number for f in film.frames()] == [0, 1, 2, 3, 4]


def test_large_frames_are_brought_down_while_they_are_read(pen: Any, tmp_path: Path) -> None:
    film = open_film(pen.film(tmp_path / "a.mp4", corner(1, 900, 1600)))
    assert film.scale == 0.8
    assert next(iter(film.frames())).image.shape == (720, 1280, 3)


def test_reading_stops_at_its_limits(pen: Any, tmp_path: Path) -> None:
    film = open_film(pen.film(tmp_path / "a.mp4", corner(20), fps=10))
    assert len(list(film.frames(max_frames=7))) == 7
    assert [f.number for f in film.frames(max_seconds=0.45)] == [0, 1, 2, 3, 4]


def test_a_frame_that_is_too_large_is_refused_unread(pen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pen.film(tmp_path / "a.mp4", corner(1))
    monkeypatch.setattr(video, "MAX_PIXELS", 96 * 64 - 1)
    with pytest.raises(BadMedia, match="96 x 64"):
        open_film(path)


def test_a_film_cut_short_is_read_as_far_as_it_goes(pen: Any, portrait: Any, tmp_path: Path) -> None:
    whole = pen.film(tmp_path / "a.mkv", pen.moving(portrait, 12, 2.0)).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) * 9 // 10])
    assert 0 < len(list(open_film(cut).frames())) < 12


def test_rubbish_and_playlists_are_bad_media(tmp_path: Path) -> None:
    for content in (np.random.default_rng(0).bytes(5000), b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", b""):
        path = tmp_path / "a.mp4"
        path.write_bytes(content)
        with pytest.raises(BadMedia):
            open_film(path)


def test_a_file_whose_frames_are_all_damaged_is_bad_media(pen: Any, portrait: Any, tmp_path: Path) -> None:
    path = pen.film(tmp_path / "a.mkv", pen.moving(portrait, 3, 0.0))
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    for at, size in places:
        content[at + 8 : at + size] = bytes(size - 8)
    path.write_bytes(content)
    with pytest.raises(BadMedia):
        list(open_film(path).frames())


def test_sound_alone_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(16_000))
    with pytest.raises(Unsupported):
        open_film(path)
