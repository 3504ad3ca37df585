"""A scripted detector that does as a file's name tells it, and the command as a process that finds it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

_SCRIPTED = '''
"""Says of a file what its name tells: p0.8 a probability, crash, fail, hang, interrupt; and counts its examinations."""
import os, signal, time
from pathlib import Path
from drishtiksha.domain.media import MediaType
from drishtiksha_models.detector import Calibration, Examination, Finding, Picture, Status

class Scripted:
    name = "SCRIPTED-V1"
    version = "1.0.0"
    media_types = frozenset({MediaType.IMAGE})
    description = "Does as it is told."
    limits = ("It measures <nothing>.",)
    def load(self): pass
    def examine(self, media, report, deadline):
        told = media.name.split("-")[0]
        with open(os.environ["HOME"] + "/examined.txt", "a") as file:
            file.write(media.name + chr(10))
        if told == "crash": os.kill(os.getpid(), signal.SIGSEGV)
        if told == "fail": raise RuntimeError("a fault of its own")
        if told == "hang": time.sleep(600)
        if told == "unsure": return Examination(Status.INCONCLUSIVE, inconclusive_reason="it is <unsure>")
        picture = Picture("overlay", "seen.png", "image/png", media.path.read_bytes())
        return Examination(Status.COMPLETED, note="Seen.", probability_fake=float(told[1:]),
                           calibration=Calibration("empirical"), images=(picture,))

DETECTOR = Scripted()
'''
_SITE = """
import sys
sys.path.insert(0, {product!r})
import drishtiksha_models.detectors as detectors
detectors.__path__.append({folder!r})
"""

Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Starts `drishtiksha-models …` in tmp_path with SCRIPTED-V1 among the detectors."""
    folder, site = tmp_path / "detectors", tmp_path / "site"
    folder.mkdir()
    site.mkdir()
    (folder / "scripted_v1.py").write_text(textwrap.dedent(_SCRIPTED))
    import drishtiksha_models

    product = str(Path(drishtiksha_models.__file__).parent.parent)
    (site / "sitecustomize.py").write_text(_SITE.format(product=product, folder=str(folder)))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("HOME", str(tmp_path))

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "drishtiksha_models.main", *arguments], text=True, cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return start


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Path]:
    """Makes a labelled folder of small pictures with these names."""

    def make(real: list[str], fake: list[str]) -> Path:
        data = tmp_path / "data"
        for label, names in (("real", real), ("fake/swap", fake)):
            (data / label).mkdir(parents=True, exist_ok=True)
            for name in names:
                Image.linear_gradient("L").resize((96, 96)).save(data / label / f"{name}.png")
        return data

    return make
