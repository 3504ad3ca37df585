"""Where faces are, whether they are faces, and how smoothly they move: the networks and the measure behind them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from drishtiksha_models.perception.coherence import SIDE, STILL, coherence, crop_around
from drishtiksha_models.perception.faces import FaceFinder, anchors, letterbox
from drishtiksha_models.perception.landmarks import LEFT_EYE, OVAL, RIGHT_EYE, FaceMesh, square_of
from drishtiksha_models.perception.tracking import FaceTracker


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


@pytest.fixture(scope="module")
def tracker() -> FaceTracker:
    return FaceTracker()


def no_faces(height: int = 270, width: int = 480) -> list[Any]:
    """Gratings, noise, a checkerboard, black."""
    y, x = np.mgrid[0:height, 0:width]
    rng = np.random.default_rng(0)
    grays = [
        127 + 120 * np.sin(x / 7),
        127 + 120 * np.sin((x + 2 * y) / 11),
        rng.uniform(0, 255, (height, width)),
        255 * ((x // 20 + y // 20) % 2),
        np.zeros((height, width)),
    ]
    return [np.repeat(g.astype(np.uint8)[..., None], 3, axis=2) for g in grays]


def test_there_is_one_anchor_for_each_answer_of_the_networks() -> None:
    near, far = anchors(((16, 2), (8, 6))), anchors(((48, 1),))
    assert (len(near), len(far)) == (896, 2304)
    assert near[0].tolist() == near[1].tolist() == [1 / 32, 1 / 32]
    assert near[-1].tolist() == [15 / 16, 15 / 16]
    assert far[1].tolist() == pytest.approx([1.5 / 48, 0.5 / 48])


@pytest.mark.parametrize(("height", "width"), [(90, 160), (160, 90), (64, 64), (3, 500)])
def test_letterbox_keeps_the_shape_of_the_picture(height: int, width: int) -> None:
    square, scale, left, top = letterbox(np.full((height, width, 3), 200, np.uint8), 128)
    assert square.shape == (128, 128, 3)
    rows, columns = np.nonzero(square[..., 0])
    assert (columns.min(), rows.min()) == (left, top)
    assert np.ptp(columns) + 1 == pytest.approx(width * scale, abs=1)
    assert np.ptp(rows) + 1 == pytest.approx(height * scale, abs=1)


@pytest.mark.parametrize("centre", [(120, 130), (360, 150)])
def test_a_face_is_found_where_it_was_drawn(finder: FaceFinder, pen: Any, centre: tuple[int, int]) -> None:
    (face, *_) = finder.find(pen.portrait(140, centre=centre).image)
    x, y, width, height = face.box
    assert (x + width / 2, y + height / 2) == pytest.approx((centre[0], centre[1] + 10), abs=15)
    assert width == pytest.approx(95, abs=25)
    assert face.right_eye[0] < face.left_eye[0]
    assert face.right_eye == pytest.approx((centre[0] - 20, centre[1] - 6), abs=8)


@pytest.mark.parametrize("degrees", [-20, 0, 20])
def test_the_mesh_lies_on_a_tilted_face(finder: FaceFinder, pen: Any, degrees: float) -> None:
    turn = cv2.getRotationMatrix2D((240, 135), degrees, 1)
    image = cv2.warpAffine(pen.portrait(140).image, turn, (480, 270), borderMode=cv2.BORDER_REFLECT)
    mesh = FaceMesh().lay(image, square_of(finder.find(image)[0]))
    assert mesh.presence > 0.9
    eyes = turn[:, :2] @ np.array([[220, 260], [129, 129]]) + turn[:, 2:]
    # The mesh's eye points are the outer corners, about 10 pixels outside the drawn pupils.
    assert mesh.points[RIGHT_EYE] == pytest.approx(eyes[:, 0], abs=16)
    assert mesh.points[LEFT_EYE] == pytest.approx(eyes[:, 1], abs=16)


def test_the_full_range_network_sees_what_the_short_range_one_misses(finder: FaceFinder, pen: Any) -> None:
    small = pen.portrait(44, width=960, height=540).image
    assert finder.find(small, far=False) == []
    assert len(finder.find(small)) == 1


def test_nothing_that_is_no_face_passes_the_gate(tracker: FaceTracker) -> None:
    tracker.forget()
    assert [tracker.see(image) for image in no_faces()] == [None] * 5


def test_the_tracker_loses_a_face_that_leaves_and_finds_it_elsewhere(tracker: FaceTracker, pen: Any) -> None:
    here, there = (pen.portrait(140, centre=c).image for c in ((120, 130), (360, 130)))
    tracker.forget()
    seen = [tracker.see(image) for image in (here, here, no_faces()[0], there, there)]
    assert [mesh is None for mesh in seen] == [False, False, True, False, False]
    assert seen[1] is not None
    assert seen[4] is not None
    assert seen[4].box[0] - seen[1].box[0] == pytest.approx(240, abs=12)


def patch_points(centre: tuple[float, float], size: float) -> Any:
    """468 points of which the face's oval is a circle, as a mesh would give them."""
    angle = np.zeros(468)
    angle[list(OVAL)] = np.linspace(0, 2 * np.pi, len(OVAL), endpoint=False)
    return np.stack([centre[0] + size / 2 * np.cos(angle), centre[1] + size / 2 * np.sin(angle)], axis=1).astype(
        np.float32
    )


def test_a_patch_that_trembles_on_a_moving_ground_raises_the_ratio_in_order(pen: Any, portrait: Any) -> None:
    points = patch_points((240, 145), 110)
    ratios = []
    for jitter in (0.0, 0.7, 1.5):
        grays = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in pen.moving(portrait, 14, jitter)]
        crop = crop_around(points, 480, 270)
        found = [coherence(a, b, c, crop) for a, b, c in zip(grays, grays[1:], grays[2:], strict=False)]
        ratios.append(float(np.median([f.ratio for f in found if f is not None])))
    assert ratios == sorted(ratios)
    assert ratios[0] < 1.0 < 2.0 < ratios[1]
    assert ratios[2] > 1.5 * ratios[1]


def test_a_still_picture_has_a_ratio_and_it_is_zero(portrait: Any) -> None:
    gray = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2GRAY)
    found = coherence(gray, gray, gray, crop_around(patch_points((240, 135), 110), 480, 270))
    assert found is not None
    assert found.ratio < STILL
    assert found.acceleration.shape == (SIDE, SIDE)


def test_ring_and_face_do_not_overlap_and_stay_in_the_picture() -> None:
    whole = crop_around(patch_points((240, 135), 110), 480, 270)
    corner = crop_around(patch_points((20, 30), 110), 480, 270)
    for crop in (whole, corner):
        assert not (crop.ring & crop.oval).any()
    assert corner.ring.sum() < whole.ring.sum() / 2
    rows, columns = np.nonzero(corner.ring | corner.oval)
    back = cv2.invertAffineTransform(corner.transform)
    places = back[:, :2] @ np.stack([columns, rows]) + back[:, 2:]
    assert places.min() >= 0


def test_a_face_that_fills_the_picture_has_nothing_to_be_compared_with(portrait: Any) -> None:
    gray = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2GRAY)[:200, :200]
    assert coherence(gray, gray, gray, crop_around(patch_points((100, 100), 400), 200, 200)) is None
