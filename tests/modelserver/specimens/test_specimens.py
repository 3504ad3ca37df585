"""Each specimen shows the finding that the demo promises, by the detector that is meant, and nobody else decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import Deadline, Examination, Finding, Status
from drishtiksha_models.main import main
from drishtiksha_models.registry import discover, load
from drishtiksha_models.specimens.plan import SPECIMENS

Examine = Callable[[str, str], Examination]


@pytest.fixture(scope="module")
def examine(tmp_path_factory: pytest.TempPathFactory) -> Examine:
    """What a detector says of a specimen; both are made once."""
    folder = tmp_path_factory.mktemp("specimens")
    detectors = {e.name: load(e) for e in discover()}
    plan = {one.name: one for one in SPECIMENS}

    def run(name: str, model: str) -> Examination:
        if not detectors[model].loaded:
            pytest.skip(f"{model} is not loaded: {detectors[model].reason}")
        path = folder / name
        if not path.exists():
            plan[name].make(path)
        detector = detectors[model].detector
        assert detector is not None
        return detector.examine(identify(path), lambda _progress: None, Deadline(100))

    return run


@pytest.mark.parametrize(
    ("name", "model", "finding"),
    [
        ("picture.png", "JPEG-GRID-V1", Finding.MANIPULATED_REGION),
        ("signed.jpg", "PROVENANCE-V1", Finding.DECLARED_SYNTHETIC),
        ("altered.jpg", "PROVENANCE-V1", Finding.SUSPICIOUS),
        ("watermarked.png", "GEN-WATERMARK-V1", Finding.SYNTHETIC_MARKED),
        ("face-redrawn.mp4", "FACE-TEMPORAL-V1", Finding.SUSPICIOUS),
    ],
)
def test_a_specimen_shows_the_finding_that_it_was_made_for(
    examine: Examine, name: str, model: str, finding: Finding
) -> None:
    said = examine(name, model)
    assert (said.status, said.finding) == (Status.COMPLETED, finding)


def test_the_face_that_was_left_alone_shows_nothing_and_its_examination_was_whole(examine: Examine) -> None:
    said = examine("face.mp4", "FACE-TEMPORAL-V1")
    assert (said.status, said.finding) == (Status.COMPLETED, Finding.NONE)


@pytest.mark.parametrize(
    ("name", "model", "words"),
    [
        ("clip.mp4", "FACE-TEMPORAL-V1", "no face"),
        ("clip.mp4", "PROVENANCE-V1", "no C2PA manifest"),
        ("recording.flac", "AUDIO-EVIDENCE-V1", "speech"),
    ],
)
def test_an_ordinary_file_ends_inconclusive_with_its_reason(
    examine: Examine, name: str, model: str, words: str
) -> None:
    said = examine(name, model)
    assert said.status is Status.INCONCLUSIVE
    assert words in (said.inconclusive_reason or "")


def test_the_drawn_voice_counts_as_speech(examine: Examine) -> None:
    assert examine("voice.flac", "AUDIO-EVIDENCE-V1").status is Status.COMPLETED


@pytest.mark.parametrize("name", ["signed.jpg", "altered.jpg", "watermarked.png"])
def test_no_other_detector_calls_a_specimen_edited(examine: Examine, name: str) -> None:
    assert examine(name, "JPEG-GRID-V1").finding is Finding.NONE


def test_the_command_tells_each_file_and_leaves_those_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["specimens", str(tmp_path), "signed.jpg"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["name"], row["new"]) == ("signed.jpg", True)
    before = (tmp_path / "signed.jpg").read_bytes()
    assert main(["specimens", str(tmp_path), "signed.jpg"]) == 0
    assert json.loads(capsys.readouterr().out)["new"] is False
    assert (tmp_path / "signed.jpg").read_bytes() == before
    assert main(["specimens", str(tmp_path), "nothing.png"]) == 64
    assert "watermarked.png" in capsys.readouterr().err
