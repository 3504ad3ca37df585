"""IMAGE-SPECTRUM-V1's figures on the pictures of scikit-image; `-s` prints what docs/detectors/README.md states."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from drishtiksha_models.spectrum.peaks import PERIODS, blocks, lattice, outstanding, slope, strongest
from drishtiksha_models.spectrum.tiles import Spectra

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def pictures() -> list[Any]:
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("scikit-image is not installed: make test-media")
    data = Path(next(iter(spec.submodule_search_locations))) / "data"
    found = [np.asarray(Image.open(path).convert("L")) for path in sorted(data.glob("*.[pj][np]g"))]
    return [picture[:768, :768] for picture in found if min(picture.shape) >= 300]


def figures(light: Any) -> tuple[float, ...]:
    """Resampling peak, block peak, lattices, slope."""
    spectra = Spectra()
    spectra.feed(np.ascontiguousarray(light), lambda: None)
    predictable, residual = outstanding(spectra.predictable()), outstanding(spectra.residual())
    return (
        strongest(predictable).z,
        blocks(predictable),
        *(lattice(residual, period) for period in PERIODS),
        slope(spectra.light()),
    )


def auc(low: list[float], high: list[float]) -> float:
    return float(np.mean([(b > a) + 0.5 * (b == a) for a in low for b in high]))


def test_resampled_pictures_rank_above_the_same_as_they_come(pictures: list[Any]) -> None:
    plain = [figures(p) for p in pictures]
    print(f"{len(plain)} pictures; highest lattices {np.max([p[2:5] for p in plain], axis=0).round(1)}")
    print(f"slopes {min(p[5] for p in plain):.1f} to {max(p[5] for p in plain):.1f}")
    ranks = {}
    for factor in (0.8, 1.25, 1.5, 1.8, 2.0):
        way = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
        grown = [np.asarray(cv2.resize(p, None, fx=factor, fy=factor, interpolation=way))[:768, :768] for p in pictures]
        grown = [g for g in grown if min(g.shape) >= 256]
        ranks[factor] = auc([p[0] for p in plain], [figures(g)[0] for g in grown])
    print(f"area under the curve of the resampling peak by factor: {ranks}")
    assert ranks[1.25] > 0.8
    assert ranks[1.5] > 0.85
