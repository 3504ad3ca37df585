"""A running model service in this process, with real worker processes, and scripted detectors beside the real ones."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from drishtiksha_models.app import create
from drishtiksha_models.service import Service
from drishtiksha_models.settings import ModelService

KEY = "a-key-for-tests"

_SCRIPTED = '''
"""A detector that does as the file's name tells it."""
import os, signal, time
from drishtiksha.domain.media import MediaType
from drishtiksha_models.detector import Examination, Progress, Status

class Scripted:
    name = "SCRIPTED-V1"
    version = "1.0.0"
    media_types = frozenset({MediaType.IMAGE})
    description = "Does as it is told."
    limits = ("It measures nothing.",)
    def load(self): pass
    def examine(self, media, report, deadline):
        told = media.name.split(".")[0]
        if told == "crash": os.kill(os.getpid(), signal.SIGSEGV)
        if told == "fail": raise RuntimeError("a fault of its own at " + str(media.path))
        if told == "hang": time.sleep(600)
        if told == "patient":
            while True:
                deadline.check()
                time.sleep(0.02)
        if told == "slow":
            for step in range(6):
                report(Progress(step + 1, 6, "Step"))
                time.sleep(0.3)
        facts = {"environment": ",".join(sorted(os.environ)), "path": str(media.path)}
        return Examination(Status.COMPLETED, note="Done.", facts=facts)

DETECTOR = Scripted()
'''
_CRASHES_AT_LOAD = '''
"""A detector whose library kills the process."""
import os, signal
from drishtiksha.domain.media import MediaType

class Deadly:
    name = "DEADLY-V1"
    version = "1.0.0"
    media_types = frozenset({MediaType.IMAGE})
    description = "Dies."
    limits = ("It never lives.",)
    def load(self): os.kill(os.getpid(), signal.SIGKILL)
    def examine(self, media, report, deadline): raise AssertionError

DETECTOR = Deadly()
'''
_SITE = """
import sys
sys.path.insert(0, {product!r})
import drishtiksha_models.detectors as detectors
detectors.__path__.append({folder!r})
"""


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts SCRIPTED-V1 and two broken modules into the workers' detectors; returns their folder."""
    folder, site = tmp_path / "detectors", tmp_path / "site"
    folder.mkdir()
    site.mkdir()
    (folder / "scripted_v1.py").write_text(textwrap.dedent(_SCRIPTED))
    (folder / "deadly_v1.py").write_text(textwrap.dedent(_CRASHES_AT_LOAD))
    (folder / "broken_v1.py").write_text('"""Cannot be imported."""\nimport a_library_that_is_not_there\n')
    import drishtiksha_models

    product = str(Path(drishtiksha_models.__file__).parent.parent)
    (site / "sitecustomize.py").write_text(_SITE.format(product=product, folder=str(folder)))
    monkeypatch.setenv("PYTHONPATH", str(site))
    return folder


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., ModelService]:
    for name in ("REDIS_URL", "SERVER_API_KEY", "ACTIVE_MODELS", "TRUST_ANCHORS", "PORT", "HOST"):
        monkeypatch.delenv(name, raising=False)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def make(**changed: Any) -> ModelService:
        names = {
            str(field.validation_alias): changed.pop(name)
            for name, field in ModelService.model_fields.items()
            if name in changed
        }
        assert not changed
        return ModelService(**{"SERVER_API_KEY": KEY, "WORKERS": 1, **names})

    return make


Serve = Callable[..., contextlib.AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def serve(settings: Callable[..., ModelService]) -> Serve:
    """`async with serve(workers=1) as client:` a running service; client.service is its inside."""

    @contextlib.asynccontextmanager
    async def run(**changed: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = create(settings(**changed))
        async with app.router.lifespan_context(app):
            service: Service = app.state.service
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://models", headers={"X-API-Key": KEY}, timeout=60
            ) as client:
                client.service = service  # type: ignore[attr-defined]
                yield client
                assert service.in_flight == 0
                assert list(service.folder.iterdir()) == []

    return run


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    """A small PNG."""
    path = tmp_path / "image.png"
    Image.linear_gradient("L").resize((96, 96)).save(path)
    return path.read_bytes()
