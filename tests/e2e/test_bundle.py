"""A network that is trained here goes from its ONNX file to a verdict in REST by the commands of docs/detectors/bundles.md,
with no code, and into a service that is already running.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import tiny_networks as nets
from world import World, wait_for

pytestmark = pytest.mark.long

GUIDE = Path(__file__).parents[2] / "docs" / "detectors" / "bundles.md"
NAME = "MY-NET-V1"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the service serves; empty when it starts."""
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World], bundles: Path) -> World:
    made = new_world(models="PROVENANCE-V1,bundle:*", bundles=bundles)
    made.start()
    return made


def a_researchers_folder(folder: Path) -> None:
    """What the guide takes as given: an exported network, an example, and labelled media."""
    (folder / "my-net.onnx").write_bytes(nets.trained())
    nets.save(nets.striped(1), folder / "example.png")
    for label, draw in (("real", nets.smooth), ("fake", nets.striped)):
        (folder / "media" / label).mkdir(parents=True)
        for number in range(200):
            nets.save(draw(1000 + number, 36), folder / "media" / label / f"{number:03}.png")


def listed(world: World) -> dict[str, dict[str, object]]:
    key = {"X-API-Key": world.wiring.settings["SERVER_API_KEY"]}
    told = httpx.get(f"{world.wiring.server_url}/stats", headers=key, timeout=30).json()
    return {model["name"]: model for model in told["models_info"]}


def test_an_onnx_file_becomes_a_verdict_in_rest_by_the_guides_commands(
    world: World, bundles: Path, tmp_path: Path
) -> None:
    assert NAME not in listed(world)
    a_researchers_folder(tmp_path)
    (commands,) = re.findall(r"^```sh\n# From an ONNX file.*?\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", commands], check=False, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True,
        text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("It can be served.") == 2
    shutil.copytree(tmp_path / "bundles" / NAME, bundles / NAME)
    wait_for("the bundle", lambda: listed(world).get(NAME, {}).get("loaded"))

    person = world.person()
    picture = nets.save(nets.striped(77), tmp_path / "upload.png")
    media = person.upload(picture)
    person.wait(media["id"])
    seen = world.same_answer(person, media["id"])
    assert seen["status"] == "ANALYZED"
    analysis = next(a for a in seen["analyses"] if a["model"] == NAME)
    assert (analysis["status"], analysis["prediction"]) == ("COMPLETED", "FAKE")
    assert analysis["confidence"] > 0.9
    assert (seen["verdict"]["label"], seen["verdict"]["basis"], seen["verdict"]["models"]) == (
        "FAKE",
        "CALIBRATED",
        [NAME],
    )
    assert len(world.jobs(seen["latestRunId"])) == 2
    world.verify()
