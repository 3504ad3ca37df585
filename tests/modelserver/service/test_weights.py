"""Weight files in a folder of one's own: they go before the package's, and only when they are the ones that were tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from drishtiksha_models.detector import Unloadable
from drishtiksha_models.perception.weights import SPEECH, locate


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEIGHTS", str(tmp_path))
    return tmp_path


def test_a_file_in_the_folder_goes_before_the_package_s(folder: Path) -> None:
    shipped = locate(SPEECH)
    assert shipped.parent != folder
    (folder / shipped.name).write_bytes(shipped.read_bytes())
    assert locate(SPEECH) == folder / shipped.name


def test_another_file_of_that_name_is_refused_and_not_passed_over(folder: Path) -> None:
    (folder / Path(SPEECH.path).name).write_bytes(b"other weights")
    with pytest.raises(Unloadable, match="in WEIGHTS is not the file that was tested"):
        locate(SPEECH)
