"""A bundle's network in the running service: one process for all workers, shared runs, and what its death costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
import tiny_networks as nets

from drishtiksha_models.app import create
from drishtiksha_models.bundles.manifest import BadBundle
from drishtiksha_models.bundles.scaffold import seal
from drishtiksha_models.settings import ModelService

from .conftest import Make, change

WORKERS = 3


@contextlib.asynccontextmanager
async def service(bundles: Path, workers: int = WORKERS) -> AsyncIterator[httpx.AsyncClient]:
    settings = ModelService(bundles=bundles, workers=workers, active_models=["SLOW-V1"])  # type: ignore[call-arg]
    app = create(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://models", timeout=60) as client:
            yield client


def processes() -> list[psutil.Process]:
    """Those of networks that this process has started."""
    found = []
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # one that has just ended, of whichever test
            if "drishtiksha_models.bundles.asked" in process.cmdline():
                found.append(process)
    return found


async def counts(client: httpx.AsyncClient) -> dict[str, int]:
    text = (await client.get("/metrics")).text
    return {
        m[1]: int(m[2]) for m in re.finditer(r"^drishtiksha_model_network_(\w+)_total\S* (\d+)\.0$", text, re.MULTILINE)
    }


async def score(client: httpx.AsyncClient, data: bytes) -> float:
    answer = await client.post("/analyze", data={"model": "SLOW-V1"}, files={"media": ("a.png", data, "image/png")})
    assert answer.status_code == 200, answer.text
    return float(answer.json()["data"]["score"]["value"])


@pytest.fixture
def pictures(tmp_path: Path) -> list[bytes]:
    return [nets.save(nets.smooth(seed), tmp_path / "a.png").read_bytes() for seed in range(9)]


async def test_requests_share_runs_and_one_process_and_each_gets_its_own_score(
    make: Make, pictures: list[bytes], tmp_path: Path
) -> None:
    make(nets.slow(100_000), name="SLOW-V1", where=tmp_path / "served")
    async with service(tmp_path / "served") as client:
        alone = [await score(client, picture) for picture in pictures]
        assert len(set(alone)) == len(pictures)
        before = await counts(client)
        together = await asyncio.gather(*(score(client, picture) for picture in pictures * 2))
        after = await counts(client)
        assert together == pytest.approx(alone * 2, abs=1e-6)
        assert len(processes()) == 1
        (model,) = (await client.get("/stats")).json()["models_info"]
        assert model["memory_usage_mb"] > 10
    assert after["requests"] - before["requests"] >= len(
        together
    )  # those of workers that were started for it come on top
    assert after["runs"] - before["runs"] < after["requests"] - before["requests"]
    assert processes() == []


async def test_a_network_s_process_that_dies_costs_no_answer(make: Make, pictures: list[bytes], tmp_path: Path) -> None:
    make(nets.slow(100_000), name="SLOW-V1", where=tmp_path / "served")
    async with service(tmp_path / "served") as client:
        expected = [await score(client, picture) for picture in pictures]
        asked = [asyncio.create_task(score(client, picture)) for picture in pictures]
        runs = (await counts(client))["runs"]
        while (await counts(client))["runs"] < runs + 2:
            await asyncio.sleep(0.01)
        (process,) = processes()
        process.send_signal(signal.SIGKILL)
        assert await asyncio.gather(*asked) == pytest.approx(expected, abs=1e-6)
        assert (await counts(client))["deaths"] == 1
        assert [p.pid for p in processes()] != [process.pid]


async def test_a_network_that_kills_its_process_when_loaded_is_left_out(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(name="SLOW-V1", where=tmp_path / "served")
    (tmp_path / "site").mkdir()
    kills = """
        import os, signal, sys
        if "drishtiksha_models.bundles.asked" in sys.orig_argv:
            import drishtiksha_models.bundles.network as network
            network.Network.__init__ = lambda *_: os.kill(os.getpid(), signal.SIGSEGV)
        """
    (tmp_path / "site" / "sitecustomize.py").write_text(textwrap.dedent(kills))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    async with service(tmp_path / "served", workers=1) as client:
        (model,) = (await client.get("/stats")).json()["models_info"]
        assert (model["loaded"], model["reason"]) == (False, "loading it crashed the process")
        assert (await client.get("/readyz")).status_code == 200


def test_a_network_whose_answer_hangs_on_its_company_is_run_alone_or_refused(make: Make) -> None:
    folder = make(nets.sociable())
    assert json.loads((folder / "manifest.json").read_text())["runtime"]["max_batch"] == 1
    change(folder, {"runtime.max_batch": 8})
    with pytest.raises(BadBundle, match=r"its answer for a sample changes by .* set runtime.max_batch to 1"):
        seal(folder)
