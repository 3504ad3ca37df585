"""Bundles in a running service: found, exchanged while it runs, and never half: what is served has passed every check."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import tiny_networks as nets

from drishtiksha_models.app import create
from drishtiksha_models.bundles import served
from drishtiksha_models.bundles.staging import Staging
from drishtiksha_models.registry import discover
from drishtiksha_models.settings import ModelService

from .conftest import Make, change

NAME = "STRIPES-V1"


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A service with PROVENANCE-V1 and the bundles of `served/`, at first empty, which it looks at often."""
    monkeypatch.setattr(served, "LOOK_SECONDS", 0.05)
    (tmp_path / "served").mkdir()
    settings = ModelService(bundles=tmp_path / "served", workers=1)  # type: ignore[call-arg]
    app = create(settings)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app)
        yield await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://models", timeout=60)
        )


async def models(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    return {m["name"]: m for m in (await client.get("/stats")).json()["models_info"]}


async def until(
    client: httpx.AsyncClient, look: Callable[[dict[str, dict[str, Any]]], bool]
) -> dict[str, dict[str, Any]]:
    """The models once they are so."""
    async with asyncio.timeout(60):
        while not look(found := await models(client)):
            await asyncio.sleep(0.05)
    return found


async def score(client: httpx.AsyncClient, picture: Path) -> float:
    files = {"media": (picture.name, picture.read_bytes(), "image/png")}
    answer = await client.post("/analyze", data={"model": NAME}, files=files)
    assert answer.status_code == 200, answer.text
    return float(answer.json()["data"]["score"]["value"])


async def test_a_bundle_is_served_exchanged_and_taken_away_while_the_service_runs(
    client: httpx.AsyncClient, make: Make, picture: Path, tmp_path: Path
) -> None:
    assert NAME not in await models(client)
    made = make(where=tmp_path / "made")
    target = tmp_path / "served" / NAME
    # Half a bundle is none.
    target.mkdir()
    shutil.copy(made / "manifest.json", target)
    found = await until(client, lambda seen: NAME in seen)
    assert (found[NAME]["loaded"], found[NAME]["reason"]) == (False, "model.onnx: is missing.")
    # The rest comes.
    shutil.copytree(made, target, dirs_exist_ok=True)
    found = await until(client, lambda seen: seen[NAME]["loaded"])
    assert [found[NAME][key] for key in ("isImage", "isVideo", "device", "version")] == [True, False, "cpu", "0.1.0"]
    before = await score(client, picture)
    # A newer one whose golden answer is wrong is refused, and the older one stays.
    change(target, {"golden.expected": [123.0]})
    found = await until(client, lambda seen: seen[NAME]["reason"] is not None)
    assert found[NAME]["loaded"]
    assert found[NAME]["reason"].startswith(
        "An older one is served; the newer was refused: golden: the network is off by"
    )
    assert await score(client, picture) == before
    # A newer one that is half copied is no different.
    (target / "model.onnx").write_bytes(nets.trained(bias=1.0)[:100])
    await until(client, lambda seen: "has only 100 bytes" in (seen[NAME]["reason"] or ""))
    assert await score(client, picture) == before
    # A good one takes its place.
    shutil.rmtree(target)
    shutil.copytree(make(nets.trained(bias=1.0), {"version": "0.2.0"}, where=tmp_path / "newer"), target)
    await until(client, lambda seen: seen.get(NAME, {}).get("version") == "0.2.0")
    assert await score(client, picture) > before
    shutil.rmtree(target)
    await until(client, lambda seen: NAME not in seen)
    files = {"media": ("a.png", picture.read_bytes(), "image/png")}
    assert (await client.post("/analyze", data={"model": NAME}, files=files)).status_code == 404


async def test_what_a_bundle_calls_itself_takes_nobody_s_place(
    client: httpx.AsyncClient, make: Make, tmp_path: Path
) -> None:
    make(name="JPEG-GRID-V1", where=tmp_path / "made")
    shutil.copytree(tmp_path / "made" / "JPEG-GRID-V1", tmp_path / "served" / "theirs")
    found = await until(client, lambda seen: "JPEG-GRID-V1.again" in seen)
    assert found["JPEG-GRID-V1.again"]["reason"] == "another detector is named JPEG-GRID-V1; choose another name"
    assert found["JPEG-GRID-V1"]["class_name"] != "BundleDetector"


async def test_an_analysis_under_way_ends_as_it_began(
    client: httpx.AsyncClient, make: Make, picture: Path, tmp_path: Path
) -> None:
    target = tmp_path / "served" / NAME
    shutil.copytree(make(where=tmp_path / "made"), target)
    await until(client, lambda seen: seen.get(NAME, {}).get("loaded", False))
    asked = [asyncio.create_task(score(client, picture)) for _ in range(6)]
    shutil.rmtree(target)
    shutil.copytree(make(nets.trained(bias=1.0), {"version": "0.2.0"}, where=tmp_path / "newer"), target)
    await until(client, lambda seen: seen.get(NAME, {}).get("version") == "0.2.0")
    assert all(0.5 < found <= 1 for found in await asyncio.gather(*asked))


def test_a_copy_is_whole_and_stays_as_it_was(make: Make, tmp_path: Path) -> None:
    folder = make(where=tmp_path / "source")
    (tmp_path / "home").mkdir()
    staging = Staging(tmp_path / "source", tmp_path / "home")
    assert staging.look()
    staging.settle()
    assert not staging.look()
    (copy,) = staging.served.values()
    before = {path.name: path.read_bytes() for path in copy.path.iterdir()}
    (folder / "model.onnx").write_bytes(b"other")
    assert not staging.look()
    assert staging.refused == {NAME: "model.onnx: has only 5 bytes, manifest.json says " + str(len(before["model.onnx"]))
                               + "; copy it again, or `bundle seal`."}  # fmt: skip
    assert {path.name: path.read_bytes() for path in copy.path.iterdir()} == before


def test_a_plug_in_of_another_package_is_listed_and_a_broken_one_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text(
        "class D:\n    name, version, description, limits = 'THEIRS-V1', '1.0.0', 'Theirs.', ('None.',)\n"
        "    media_types = frozenset({'IMAGE'})\n    def load(self): pass\nDETECTOR = D()\n"
    )
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[drishtiksha.detectors]\ngood = theirs:DETECTOR\nbad = theirs:NOTHING\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {entry.name: entry for entry in discover()}
    assert found["THEIRS-V1"].detector is not None
    assert found["bad"].reason is not None
    assert found["bad"].reason.startswith("the plug-in of theirs cannot be imported: AttributeError")


def test_all_bundles_may_be_named_together_whatever_their_names(make: Make) -> None:
    folders = [make(), make(name="OTHER-V1"), make(name="PROVENANCE-V1")]
    named = [entry.name for entry in discover(["JPEG-GRID-V1", "bundle:*"], folders)]
    assert named == ["JPEG-GRID-V1", "OTHER-V1", "PROVENANCE-V1.again", NAME]
    assert [entry.name for entry in discover(["JPEG-GRID-V1"], folders)] == ["JPEG-GRID-V1"]


def test_the_service_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder at"):
        ModelService(bundles=tmp_path / "missing")  # type: ignore[call-arg]
