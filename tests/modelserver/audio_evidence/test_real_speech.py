"""AUDIO-EVIDENCE-V1 on people who really speak: a dialogue in pyannote-audio's wheel, a reading in useful-moonshine-onnx's.

`make test-media` brings them. The LibriVox readings of Debian's package pocketsphinx-testdata are heard too where it is installed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import real_media

from drishtiksha.domain.media import MediaType
from drishtiksha_models.decode.audio import open_sound
from drishtiksha_models.detector import Deadline, Finding, MediaFile, Status
from drishtiksha_models.detectors.audio_evidence_v1 import AudioEvidence
from drishtiksha_models.perception.speech import RATE, SPEAKS, SpeechNetwork

DEBIAN = Path("/usr/share/pocketsphinx/test/data/librivox")

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def recordings() -> list[Path]:
    """Each of about ten seconds or more, in which somebody speaks."""
    found = [
        *real_media.shipped("pyannote-audio", "pyannote/audio/sample/"),
        *real_media.shipped("useful-moonshine-onnx", "moonshine_onnx/assets/"),
    ]
    wheels = [path for path in found if path.suffix == ".wav"]
    assert len(wheels) >= 2
    return [*wheels, *sorted(DEBIAN.glob("*.wav"))]


def heard_in(path: Path) -> list[float]:
    """How sure the network is of speech, for each 32 ms."""
    stream = SpeechNetwork().listen()
    return [p for _, block in open_sound(path).blocks(RATE, mono=True) for p in stream.feed(block[0])]


def test_a_dialogue_is_heard_where_its_transcript_says_so(recordings: list[Path]) -> None:
    (path,) = (p for p in recordings if p.name == "sample.wav")
    lines = [line.split() for line in path.with_suffix(".rttm").read_text().splitlines()]
    turns = [(float(line[3]), float(line[3]) + float(line[4])) for line in lines if line]
    first = min(start for start, _ in turns)
    steps = [(i * 512 / RATE, p > SPEAKS) for i, p in enumerate(heard_in(path))]
    inside = [spoken for t, spoken in steps if any(start <= t < end for start, end in turns)]
    before = [spoken for t, spoken in steps if t < first - 0.25]
    print(
        f"speech in {sum(inside) / len(inside):.0%} of the steps of turns, in {sum(before) / len(before):.0%} before them"
    )
    assert sum(inside) / len(inside) > 0.8
    assert sum(before) / len(before) < 0.1


def test_readings_are_heard_as_speech(recordings: list[Path]) -> None:
    for path in recordings:
        heard = heard_in(path)
        share = sum(p > SPEAKS for p in heard) / len(heard)
        print(f"{path.name}: speech in {share:.0%} of the steps")
        assert share > (0.4 if path.name == "beckett.wav" else 0.6), path.name  # that one is read with long pauses


def test_real_speech_ends_completed_without_a_finding(recordings: list[Path]) -> None:
    detector = AudioEvidence()
    detector.load()
    for path in recordings:
        said = detector.examine(MediaFile(path, MediaType.AUDIO, "audio/wav"), lambda _: None, Deadline(60))
        assert (said.status, said.finding, said.score) == (Status.COMPLETED, Finding.NONE, None)
        assert said.audio is not None
        print(f"{path.name}: pitch {said.audio.mean_pitch_hz:.0f} Hz")
        assert 70 < (said.audio.mean_pitch_hz or 0) < 300
