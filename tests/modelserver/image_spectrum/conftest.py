"""Photo-like pictures (drawn for JPEG-GRID-V1's tests), and running IMAGE-SPECTRUM-V1 on bytes, as the worker does."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import Deadline, Examination
from drishtiksha_models.detectors.image_spectrum_v1 import DETECTOR

_spec = importlib.util.spec_from_file_location(
    "image_spectrum_photos", Path(__file__).parent.parent / "jpeg_grid" / "photos.py"
)
assert _spec is not None
assert _spec.loader is not None
_photos = importlib.util.module_from_spec(_spec)
sys.modules["image_spectrum_photos"] = _photos
_spec.loader.exec_module(_photos)


@pytest.fixture(scope="session")
def photos() -> ModuleType:
    """`photo`, `jpeg`, `png`, `decoded`."""
    return _photos


@pytest.fixture
def examine(tmp_path: Path) -> Callable[[bytes], Examination]:
    """Examine bytes."""
    DETECTOR.load()

    def run(data: bytes) -> Examination:
        path = tmp_path / "media"
        path.write_bytes(data)
        return DETECTOR.examine(identify(path), lambda _progress: None, Deadline(100))

    return run
