"""JPEG-GRID-V1 on the photographs of scikit-image (`pip install scikit-image`): found pastes, and no false alarm."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from drishtiksha_models.detector import Examination, Finding, Status

pytestmark = pytest.mark.media
NAMES = ("astronaut.png", "coffee.png", "motorcycle_left.png", "brick.png", "gravel.png", "coins.png", "chelsea.png")


@pytest.fixture(scope="module")
def photos() -> ModuleType:
    spec = importlib.util.spec_from_file_location("jpeg_grid_photos_real", Path(__file__).with_name("photos.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.uint8]]:
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("scikit-image is not installed: pip install --no-deps scikit-image")
    data = Path(next(iter(spec.submodule_search_locations))) / "data"
    return [np.asarray(Image.open(data / name).convert("RGB"))[:400, :512] for name in NAMES]


def _cases(pictures: list[NDArray[np.uint8]]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8], int]]:
    for quality in (60, 75, 85, 90, 95):
        for index, picture in enumerate(pictures):
            yield picture, pictures[index - 1], quality


def test_pastes_are_found_and_pristine_pictures_raise_no_alarm(
    examine: Callable[[bytes], Examination], photos: ModuleType, pictures: list[NDArray[np.uint8]]
) -> None:
    random = np.random.default_rng(5)
    found, cases = 0, 0
    for picture, other, quality in _cases(pictures):
        host, guest = (photos.decoded(photos.jpeg(p, quality)).copy() for p in (picture, other))
        assert examine(photos.png(host)).finding is not Finding.MANIPULATED_REGION
        x, y = 8 * int(random.integers(1, 20)), 8 * int(random.integers(1, 20))
        dx, dy = int(random.integers(1, 8)), int(random.integers(0, 8))
        host[y : y + 96, x : x + 96] = guest[64 + dy : 160 + dy, 64 + dx : 160 + dx]
        result = examine(photos.png(host))
        best = max((photos.overlap(r.box, (x, y, 96, 96)) for r in result.regions), default=0.0)
        found += result.finding is Finding.MANIPULATED_REGION and best > 0.3
        cases += 1
    assert found >= 0.9 * cases


def test_pictures_saved_twice_raise_no_alarm(
    examine: Callable[[bytes], Examination], photos: ModuleType, pictures: list[NDArray[np.uint8]]
) -> None:
    for picture in pictures:
        for first, second in ((60, 90), (75, 95), (85, 75), (95, 98)):
            cropped = photos.decoded(photos.jpeg(picture, first))[3:, 5:]
            again = photos.png(photos.decoded(photos.jpeg(cropped, second)))
            assert examine(again).finding is not Finding.MANIPULATED_REGION
            assert examine(photos.jpeg(cropped, 98)).finding is not Finding.MANIPULATED_REGION


def test_a_paste_is_gone_after_a_last_save_of_quality_90_and_lossless_photographs_show_no_grid(
    examine: Callable[[bytes], Examination], photos: ModuleType, pictures: list[NDArray[np.uint8]]
) -> None:
    with_grid = set()
    for name, picture, other in zip(NAMES, pictures, pictures[1:] + pictures[:1], strict=True):
        host, guest = (photos.decoded(photos.jpeg(p, 85)).copy() for p in (picture, other))
        host[80:176, 120:216] = guest[67:163, 69:165]
        again = examine(photos.jpeg(host, 90))
        assert (again.status, again.finding) == (Status.INCONCLUSIVE, Finding.NONE), name
        assert "recompressed" in str(again.inconclusive_reason)
        if examine(photos.png(picture)).facts["main_grid"] is not None:
            with_grid.add(name)
    assert with_grid == {"chelsea.png", "coins.png"}  # these were JPEG before
