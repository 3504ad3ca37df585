"""AUDIO-EVIDENCE-V1 on people who really speak: the recordings of Debian's package pocketsphinx-testdata.

Bring them with `apt-get install pocketsphinx-testdata` (LibriVox readings, public domain).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from drishtiksha.domain.media import MediaType
from drishtiksha_models.decode.audio import open_sound
from drishtiksha_models.detector import Deadline, Finding, MediaFile, Status
from drishtiksha_models.detectors.audio_evidence_v1 import AudioEvidence
from drishtiksha_models.perception.speech import RATE, SPEAKS, SpeechNetwork

FOLDER = Path("/usr/share/pocketsphinx/test/data/librivox")
RECORDINGS = sorted(FOLDER.glob("*.wav"))

pytestmark = [
    pytest.mark.media,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: apt-get install pocketsphinx-testdata"),
]


def test_real_speech_is_heard_as_speech() -> None:
    network = SpeechNetwork()
    for path in RECORDINGS:
        stream = network.listen()
        heard = [p for _, block in open_sound(path).blocks(RATE, mono=True) for p in stream.feed(block[0])]
        assert sum(p > SPEAKS for p in heard) / len(heard) > 0.6, path.name


def test_real_speech_ends_completed_without_a_finding() -> None:
    detector = AudioEvidence()
    detector.load()
    for path in RECORDINGS:
        said = detector.examine(MediaFile(path, MediaType.AUDIO, "audio/wav"), lambda _: None, Deadline(60))
        assert (said.status, said.finding, said.score) == (Status.COMPLETED, Finding.NONE, None)
        assert said.audio is not None
        assert 70 < (said.audio.mean_pitch_hz or 0) < 300
