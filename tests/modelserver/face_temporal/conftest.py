"""A portrait and films of it, drawn by code, that the face networks take for a face; and no face at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from drishtiksha_models.specimens.portrait import Pen, Portrait


@pytest.fixture(scope="session")
def pen() -> Pen:
    """The pen."""
    return Pen()


@pytest.fixture(scope="session")
def portrait(pen: Pen) -> Portrait:
    """A face of about 120 pixels in 480 x 270."""
    return pen.portrait(140)


@pytest.fixture(scope="session")
def clip(pen: Pen, portrait: Portrait, tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Path]:
    """Two windows of the portrait with so much jitter; drawn once per session."""
    folder = tmp_path_factory.mktemp("films")

    def _clip(jitter: float) -> Path:
        path = folder / f"jitter-{jitter}.mp4"
        return path if path.exists() else pen.film(path, pen.moving(portrait, 60, jitter))

    return _clip
