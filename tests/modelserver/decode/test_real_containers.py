"""Which real files open, and as what: one minute of film and sound, by iscc-samples in every container and codec.

The others are refused with a sentence that says what to save them as. `make test-media` brings the files.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import real_media

from drishtiksha.domain.media import MediaType
from drishtiksha_models.decode import audio, image, video
from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import BadMedia

pytestmark = pytest.mark.media

OPENED = {
    "audio/demo.aac": "audio/aac",
    "audio/demo.aif": "audio/aiff",
    "audio/demo.mp3": "audio/mpeg",
    "audio/demo.ogg": "audio/ogg",
    "audio/demo.opus": "audio/ogg",
    "audio/demo.wav": "audio/wav",
    "audio/short.wav": "audio/wav",
    "audio/withcover.mp3": "audio/mpeg",
    "image/demo.gif": "image/gif",
    "image/demo.jpg": "image/jpeg",
    "image/demo.png": "image/png",
    "video/demo.3g2": "video/mp4",
    "video/demo.3gp": "video/mp4",
    "video/demo.avi": "video/x-msvideo",
    "video/demo.f4v": "video/mp4",
    "video/demo.gif": "image/gif",
    "video/demo.m4v": "video/mp4",
    "video/demo.mkv": "video/x-matroska",
    "video/demo.mov": "video/quicktime",
    "video/demo.mp4": "video/mp4",
    "video/demo.ogg": "video/ogg",
    "video/demo.ogv": "video/ogg",
    "video/demo.webm": "video/webm",
}
"""What each file is taken for. Whatever else iscc-samples ships, documents included, must be refused."""
REFUSED = {
    *("audio/demo.ac3", "audio/demo.wv"),
    *("image/demo.bmp", "image/demo.psd", "image/demo.tif"),
    *(f"video/demo.{kind}" for kind in ("asf", "flv", "m1v", "mpeg", "mpg", "rm", "swf", "vob", "wmv")),
}
"""Media of kinds that are not examined."""
BROKEN = {"video/demo.ogg", "video/demo.ogv"}
"""Theora with a quantizer per block, at which FFmpeg's decoder fails in three of four packets."""


@pytest.fixture(scope="module")
def samples() -> dict[str, Path]:
    """By folder and name."""
    found = real_media.shipped("iscc-samples", "iscc_samples/files/")
    return {f"{path.parent.name}/{path.name}": path for path in found if path.suffix != ".py"}


def test_each_kind_is_known_by_its_content_or_refused_with_a_cure(samples: dict[str, Path]) -> None:
    refused: dict[str, str] = {}
    for name, path in samples.items():
        try:
            assert identify(path).mimetype == OPENED.get(name), name
        except BadMedia as refusal:
            refused[name] = str(refusal)
    assert set(samples) - set(refused) == set(OPENED)
    assert all("Save it as" in sentence for sentence in refused.values())
    assert {name for name in refused if not name.startswith("text/")} == REFUSED


def test_a_minute_of_film_is_a_minute_in_every_container(samples: dict[str, Path]) -> None:
    for name in sorted(OPENED):
        media = identify(samples[name])
        if media.media_type is not MediaType.VIDEO or name in BROKEN:
            continue
        film, seen, last = video.open_film(media.path), 0, 0.0
        for frame in film.frames():
            seen, last = seen + 1, frame.time
            assert frame.image.shape[2] == 3
        print(f"{name}: {film.codec}, {film.width}x{film.height}, {seen} frames")
        assert (seen, film.fps) == (1441, 24.0), name
        assert abs(last - 60) < 0.1, name
        assert film.duration == pytest.approx(60, abs=0.2), name


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_film_that_the_decoder_cannot_read_is_refused_in_words_and_its_sound_is_not(
    samples: dict[str, Path], name: str
) -> None:
    with pytest.raises(BadMedia, match="damaged"):
        list(video.open_film(samples[name]).frames())
    assert seconds(samples[name]) == pytest.approx(60, abs=0.5)


def test_the_sound_of_each_file_is_heard_to_its_end(samples: dict[str, Path]) -> None:
    for name in sorted(OPENED):
        media = identify(samples[name])
        if media.media_type is MediaType.IMAGE:
            continue
        track, heard = audio.open_sound(media.path), seconds(media.path)
        print(f"{name}: {track.codec}, {heard:.2f} s")
        assert heard > 0.3, name
        if track.duration is not None:
            guessed = media.mimetype == "audio/aac"  # has no length of its own: FFmpeg reckons it from the rate of bits
            assert heard == pytest.approx(track.duration, rel=0.1 if guessed else 0.02, abs=0.1), name


def test_one_picture_has_the_same_pixels_in_each_format(samples: dict[str, Path]) -> None:
    shown = {}
    for kind in ("png", "jpg", "gif"):
        with image.opened(samples[f"image/demo.{kind}"]) as opened:
            shown[kind] = image.pixels(opened).astype(float)
    for kind in ("jpg", "gif"):
        assert shown[kind].shape == shown["png"].shape
        assert abs(shown[kind] - shown["png"]).mean() < 12, kind


def seconds(path: Path) -> float:
    """Of sound, by counting samples at 16 kHz."""
    return sum(block.shape[-1] for _, block in audio.open_sound(path).blocks(16_000, mono=True)) / 16_000
