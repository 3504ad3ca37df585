"""Running PROVENANCE-V1 on bytes, with and without a trust list; and the signing desk as a fixture."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import Deadline, Examination
from drishtiksha_models.detectors.provenance_v1 import Provenance


@pytest.fixture(scope="session")
def signing() -> ModuleType:
    """The module signing.py beside this file."""
    spec = importlib.util.spec_from_file_location("provenance_signing", Path(__file__).with_name("signing.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["provenance_signing"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def examine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Examination]:
    def run(data: bytes, trust: str | None = None) -> Examination:
        monkeypatch.delenv("TRUST_ANCHORS", raising=False)
        if trust is not None:
            anchors = tmp_path / "anchors.pem"
            anchors.write_text(trust)
            monkeypatch.setenv("TRUST_ANCHORS", str(anchors))
        detector = Provenance()
        detector.load()
        path = tmp_path / "media"
        path.write_bytes(data)
        return detector.examine(identify(path), lambda _progress: None, Deadline(60))

    return run
