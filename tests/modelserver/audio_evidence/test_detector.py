"""AUDIO-EVIDENCE-V1 on whole files: what it says, when it says nothing, and how it refuses."""

from __future__ import annotations

import io
import itertools
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from drishtiksha.domain.media import MediaType
from drishtiksha_models.decode import audio as decoding
from drishtiksha_models.detector import (
    BadMedia,
    Deadline,
    DeadlinePassed,
    Examination,
    Finding,
    MediaFile,
    Progress,
    Status,
    Unloadable,
    Unsupported,
)
from drishtiksha_models.detectors.audio_evidence_v1 import AudioEvidence
from drishtiksha_models.perception import weights
from drishtiksha_models.perception.speech import SpeechNetwork


@pytest.fixture(scope="module")
def detector() -> AudioEvidence:
    found = AudioEvidence()
    found.load()
    return found


def examine(detector: AudioEvidence, path: Path, seen: list[Progress] | None = None) -> Examination:
    file = MediaFile(path, MediaType.AUDIO, "audio/wav")
    return detector.examine(file, (seen if seen is not None else []).append, Deadline(60))


def test_tones_end_inconclusive_because_nobody_speaks(detector: AudioEvidence, write: Any) -> None:
    t = np.arange(4 * 44_100) / 44_100
    tones = 0.3 * np.sin(2 * np.pi * np.where(t < 2, 440, 660) * t)
    said = examine(detector, write("tones.wav", tones, 44_100))
    assert said.status is Status.INCONCLUSIVE
    assert said.inconclusive_reason == "less than 2 s of speech were heard (0.0 s)"
    assert said.audio is not None
    assert said.audio.mean_pitch_hz is None
    assert said.audio.rms_energy == pytest.approx(0.3 / np.sqrt(2), rel=0.01)
    assert said.facts["sample_rate_hz"] == 44_100


def test_noise_is_never_speech(detector: AudioEvidence, draw: Any) -> None:
    stream = SpeechNetwork().listen()
    assert max(stream.feed(draw.noise(5, 16_000))) < 0.5


def test_a_drawn_voice_is_measured_and_still_decides_nothing(detector: AudioEvidence, write: Any, draw: Any) -> None:
    seen: list[Progress] = []
    sound = np.concatenate([np.zeros(8000, np.float32), draw.voice(5, 140)])
    said = examine(detector, write("voice.wav", sound, 16_000), seen)
    assert said.status is Status.COMPLETED
    assert said.finding is Finding.NONE
    assert said.score is None
    assert said.probability_fake is None
    assert said.audio is not None
    assert said.audio.mean_pitch_hz == pytest.approx(140, rel=0.05)
    assert said.facts["longest_zero_run_s"] == pytest.approx(0.5, abs=0.01)
    assert said.facts["zero_runs_inside_s"] == pytest.approx(0.0, abs=0.1)
    curves = {s.name: s for s in said.series}
    assert set(curves) == {"speech_probability", "level", "noise_floor", "brick_wall", "zero_runs"}
    assert all(len(s.t) == len(s.v) for s in said.series)
    assert (
        max(
            v or 0
            for v, t in zip(curves["speech_probability"].v, curves["speech_probability"].t, strict=True)
            if t < 0.4
        )
        < 0.5
    )
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert {p.total for p in seen} == {100}


def test_the_spectrogram_is_a_png(detector: AudioEvidence, write: Any, draw: Any) -> None:
    said = examine(detector, write("noise.wav", draw.noise(1, 8000), 8000))
    (picture,) = said.images
    assert (picture.name, picture.kind, picture.mimetype) == ("spectrogram.png", "spectrogram", "image/png")
    assert Image.open(io.BytesIO(picture.data)).format == "PNG"


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.m4a", "aac", 44_100),
        ("a.mp3", "libmp3lame", 44_100),
        ("a.ogg", "libopus", 48_000),
        ("a.flac", "flac", 22_050),
    ],
)
def test_lossy_and_lossless_containers_are_read(
    detector: AudioEvidence, draw: Any, tmp_path: Path, name: str, codec: str, rate: int
) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(
            np.tile(np.repeat((draw.noise(2, rate) * 32767).astype("<i2"), 2), (1, 1)), format="s16", layout="stereo"
        )
        frame.sample_rate = rate
        for packet in itertools.chain(stream.encode(frame), stream.encode(None)):
            out.mux(packet)
    said = examine(detector, path)
    assert said.audio is not None
    assert (said.audio.sample_rate, said.audio.channels) == (rate, 2)
    assert said.audio.duration_seconds == pytest.approx(2.0, abs=0.1)
    assert said.audio.rms_energy == pytest.approx(0.05, rel=0.25)


def test_a_truncated_file_is_read_as_far_as_it_goes_and_rubbish_is_bad_media(
    detector: AudioEvidence, write: Any, draw: Any, tmp_path: Path
) -> None:
    whole = write("whole.wav", draw.noise(2, 16_000), 16_000).read_bytes()
    cut = tmp_path / "cut.wav"
    cut.write_bytes(whole[: len(whole) // 2])
    said = examine(detector, cut)
    assert said.audio is not None
    assert said.audio.duration_seconds == pytest.approx(1.0, abs=0.05)
    rubbish = tmp_path / "rubbish.wav"
    rubbish.write_bytes(np.random.default_rng(0).bytes(4096))
    with pytest.raises(BadMedia):
        examine(detector, rubbish)
    header = tmp_path / "header.wav"
    header.write_bytes(whole[:44])
    with pytest.raises(BadMedia):
        examine(detector, header)


@pytest.mark.parametrize(("channels", "rate"), [(1, 4000), (5, 16_000), (7, 44_100), (2, 96_000)])
def test_odd_rates_and_many_channels_are_measured(
    detector: AudioEvidence, write: Any, draw: Any, channels: int, rate: int
) -> None:
    sound = np.stack([draw.noise(0.5, rate, seed=i) for i in range(channels)])
    said = examine(detector, write("odd.wav", sound, rate))
    assert said.audio is not None
    assert (said.audio.sample_rate, said.audio.channels) == (rate, channels)
    assert said.audio.duration_seconds == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("channels", "rate"), [(1, 100), (17, 8000), (1, 250_000)])
def test_what_is_no_recording_is_refused(detector: AudioEvidence, write: Any, channels: int, rate: int) -> None:
    with pytest.raises(BadMedia, match="beyond what is examined"):
        examine(detector, write("odd.wav", np.zeros((channels, 300)), rate))


def test_a_crafted_file_of_floats_gives_finite_figures(detector: AudioEvidence, tmp_path: Path) -> None:
    sound = np.random.default_rng(0).normal(0, 1e30, 16_000).astype("<f4")
    sound[5], sound[6] = np.nan, np.inf
    data, path = sound.tobytes(), tmp_path / "float.wav"
    form = struct.pack("<IHHIIHH", 16, 3, 1, 16_000, 64_000, 4, 32)
    path.write_bytes(
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + form + b"data" + struct.pack("<I", len(data)) + data
    )
    said = examine(detector, path)
    assert said.audio is not None
    assert said.audio.rms_energy == pytest.approx(decoding.LOUDEST, rel=0.01)
    assert all(np.isfinite([v for v in s.v if v is not None]).all() for s in said.series)


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", "ffconcat version 1.0\nfile /etc/hostname\n"]
)
def test_a_playlist_is_not_opened(detector: AudioEvidence, tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.mp3"
    path.write_text(text)
    with pytest.raises(BadMedia):
        examine(detector, path)


def test_a_file_without_sound_is_unsupported(detector: AudioEvidence, tmp_path: Path) -> None:
    path = tmp_path / "mute.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for packet in itertools.chain(stream.encode(av.VideoFrame(32, 32, "yuv420p")), stream.encode(None)):
            out.mux(packet)
    with pytest.raises(Unsupported):
        examine(detector, path)


def test_only_the_first_part_of_a_long_recording_is_read(
    detector: AudioEvidence, write: Any, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("long.wav", draw.noise(3, 16_000), 16_000)
    track = decoding.open_sound(path)
    assert sum(block.shape[1] for _, block in track.blocks(max_seconds=1.25)) == 20_000


def test_the_deadline_stops_it_between_blocks(detector: AudioEvidence, write: Any, draw: Any) -> None:
    ticks = itertools.count()
    deadline = Deadline(20, clock=lambda: float(next(ticks)))
    path = write("long.wav", draw.noise(60, 16_000), 16_000)
    with pytest.raises(DeadlinePassed):
        detector.examine(MediaFile(path, MediaType.AUDIO, "audio/wav"), lambda _: None, deadline)


def test_missing_or_changed_weights_are_a_reason_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    for broken in (
        weights.Weight("no-such-wheel", "a.onnx", "0"),
        weights.Weight("silero-vad", "silero_vad/data/none.onnx", "0"),
        weights.Weight("silero-vad", weights.SPEECH.path, "0"),
    ):
        monkeypatch.setattr("drishtiksha_models.perception.speech.SPEECH", broken)
        with pytest.raises(Unloadable, match="pip install --no-deps --require-hashes"):
            AudioEvidence().load()
