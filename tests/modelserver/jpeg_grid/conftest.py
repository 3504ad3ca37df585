"""Running JPEG-GRID-V1 on bytes, as the worker does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import Deadline, Examination
from drishtiksha_models.detectors.jpeg_grid_v1 import DETECTOR

Examine = Callable[[bytes], Examination]


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    DETECTOR.load()

    def run(data: bytes) -> Examination:
        path = tmp_path / "picture"
        path.write_bytes(data)
        return DETECTOR.examine(identify(path), lambda _progress: None, Deadline(100))

    return run
