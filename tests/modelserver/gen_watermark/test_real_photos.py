"""GEN-WATERMARK-V1 on the pictures of scikit-image: marks that are read, after JPEG too, and none where none is.

Bring them with `make test-media`; `-s` prints the counts that docs/detectors/README.md states.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drishtiksha_models.detector import Examination, Finding, Status
from drishtiksha_models.watermark.messages import MESSAGES

pytestmark = pytest.mark.media
Examine = Callable[[bytes], Examination]


@pytest.fixture(scope="module")
def pictures() -> list[Any]:
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("scikit-image is not installed: make test-media")
    data = Path(next(iter(spec.submodule_search_locations))) / "data"
    found = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(data.glob("*.[pj][np]g"))]
    return [picture[:384, :512] for picture in found if picture[:384, :512].size >= 3 * 256 * 256]


def test_pictures_as_they_come_carry_no_mark(examine: Examine, maker: Any, pictures: list[Any]) -> None:
    lowest = [examine(maker.png(picture)).metrics["log10_p"] for picture in pictures]
    print(f"{len(pictures)} pictures without a mark: lowest log10 p {min(lowest)}")
    assert min(lowest) > -3


@pytest.mark.parametrize("as_float", [True, False], ids=["floats", "bytes"])
def test_marks_are_read_without_loss_and_often_after_jpeg(
    examine: Examine, maker: Any, pictures: list[Any], as_float: bool
) -> None:
    read = {}
    for quality in (None, 98, 95, 90):
        found = 0
        for picture in pictures:
            marked = maker.marked(picture, MESSAGES[0].bits, as_float)
            said = examine(maker.png(marked) if quality is None else maker.jpeg(marked, quality))
            found += said.finding is Finding.SYNTHETIC_MARKED
        read[quality] = found
    print(f"of {len(pictures)} marked as {'floats' if as_float else 'bytes'}, read by JPEG quality: {read}")
    assert (read[None] or 0) >= 0.9 * len(pictures)
    assert (read[98] or 0) >= 0.3 * len(pictures)


def test_resizing_erases_the_mark_and_nothing_is_read_in_its_place(
    examine: Examine, maker: Any, pictures: list[Any]
) -> None:
    said = []
    for picture in pictures:
        marked = Image.fromarray(maker.marked(picture, MESSAGES[0].bits, True))
        small = marked.resize((round(marked.width * 0.9), round(marked.height * 0.9)), Image.Resampling.BICUBIC)
        said.append(examine(maker.png(np.asarray(small))))
    assert {(s.status, s.finding) for s in said} == {(Status.INCONCLUSIVE, Finding.NONE)}
