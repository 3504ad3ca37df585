"""The runner with the real door, over real PostgreSQL, Valkey and object store; only the ML service is scripted."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import uvicorn
from sqlalchemy import text
from stores import PROBE, Stores, open_stores

from drishtiksha.bus import Bus
from drishtiksha.database.media import NewMedia
from drishtiksha.database.runs import FrozenModel
from drishtiksha.objects.local import LocalObjects
from drishtiksha.signing import SigningKeys
from drishtiksha_api.door import app as door_app
from drishtiksha_api.neighbours import Neighbours
from drishtiksha_jobrunner.environment import Environment
from drishtiksha_jobrunner.run import run

MODEL = "FACE-TEMPORAL-V1"
BYTES = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 900


@dataclass
class Stage:
    """An attempt that the operator has made and nobody has called for yet."""

    stores: Stores
    media: NewMedia
    attempt: uuid.UUID
    environment: Environment

    async def one(self, sql: str) -> dict:
        """The one row of a query over this run (`:run`) and attempt (`:attempt`)."""
        async with self.stores.database.engine.connect() as connection:
            rows = await connection.execute(text(sql), {"run": self.media.run_id, "attempt": self.attempt})
            return dict(rows.mappings().one())


@pytest.fixture
async def stage(
    database_url: str, redis_url: str, environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    stores, objects = open_stores(database_url), LocalObjects(tmp_path_factory.mktemp("objects"))
    keys = SigningKeys("k1:" + "k" * 40)
    around = Neighbours(stores.database, Bus(redis_url), objects, keys, 3600.0)
    config = uvicorn.Config(door_app.build(around), host="127.0.0.1", port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())

    async def bytes_of() -> AsyncIterator[bytes]:
        yield BYTES

    stored = await objects.put("images/one.png", bytes_of())
    new = NewMedia(
        uuid.uuid4(), uuid.uuid4(), await stores.user(), "a.png", None, "images/one.png", stored.size, stored.sha256, PROBE
    )  # fmt: skip
    await stores.media.accept(new)
    await stores.runs.freeze(new.run_id, [FrozenModel(MODEL, "1.0", "service:main", "service", 3)])
    attempt = (await stores.start(new.run_id))[MODEL]
    while not server.started:
        await asyncio.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield Stage(stores, new, attempt, replace(environment, door_url=url, token=keys.attempt_token(attempt)))
    server.should_exit = True
    await serving
    await around.close()


async def test_a_result_becomes_rows_and_files(stage, service, hasty, tmp_path: Path):
    picture = {
        "kind": "heatmap",
        "name": "votes.png",
        "mimetype": "image/png",
        "data": base64.b64encode(BYTES).decode(),
    }
    service.data |= {
        "finding": "MANIPULATED_REGION",
        "calibration": {"kind": "nfa", "bound": 0.001},
        "metrics": {"share": 0.25, "curve": [1.0, 2.0]},
        "limits": ["Only traces of JPEG."],
        "evidence": {
            "images": [picture],
            "facts": {"container": "png"},
            "regions": [{"box": [1, 2, 3, 4], "score": 0.5, "label": "patch"}],
            "series": [{"name": "acc", "t": [0.0, 1.0], "v": [1.0, None]}],
        },
        "dimensions": {"width": 640, "height": 480},
    }
    assert await run(stage.environment, hasty) == 0
    row = await stage.one("SELECT status, prediction, finding, basis, attempt FROM analyses WHERE run_id = :run")
    assert row == {
        "status": "COMPLETED", "prediction": "FAKE", "finding": "MANIPULATED_REGION", "basis": "MEASURED", "attempt": 1
    }  # fmt: skip
    names = "SELECT array_agg(name ORDER BY name) AS names FROM artifacts"
    assert (await stage.one(names))["names"] == ["ml-response.json.gz", "votes.png"]
    assert (await stage.one("SELECT state FROM attempts WHERE id = :attempt"))["state"] == "SUCCEEDED"
    assert BYTES in service.asked("analyze")[0].body
    # A twin pod of the same attempt comes too late, and that is no failure.
    twin = await run(stage.environment, hasty)
    assert twin == 77
    assert (await stage.one("SELECT count(*) AS n FROM analyses"))["n"] == 1


async def test_a_failure_ends_the_attempt_with_its_class(stage, service, hasty, reply):
    service.script["analyze"] = [reply(422, {"detail": {"code": "BAD_MEDIA", "message": "no picture"}})]
    assert await run(stage.environment, hasty) == 65
    row = await stage.one("SELECT status, error_class, error_message FROM analyses WHERE run_id = :run")
    assert (row["status"], row["error_class"]) == ("FAILED", "BAD_MEDIA")
    assert "no picture" in row["error_message"]


async def test_a_cancelled_run_fences_a_runner_that_is_waiting_for_its_model(stage, service, hasty, reply):
    service.script["analyze"] = [reply(body=service.answer, after=10.0)]
    story = asyncio.create_task(run(stage.environment, hasty))
    while not service.asked("analyze"):
        await asyncio.sleep(0.02)
    await stage.stores.runs.carry_out_cancel(stage.media.run_id)
    assert await story == 77
    row = await stage.one("SELECT status, error_class FROM analyses WHERE run_id = :run")
    assert row == {"status": "FAILED", "error_class": "CANCELLED"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands of the document need curl")
async def test_the_commands_of_the_document_work_as_written(stage, service, tmp_path: Path):
    document = (Path(__file__).parents[2] / "docs" / "runner-protocol.md").read_text()
    typed = document.split("```console\n")[1].split("```")[0].replace("JPEG-GRID-V1", MODEL)
    # A command begins with a dollar sign; what is indented goes on with it; the rest is what was answered.
    commands = re.findall(r"^\$ (.*(?:\n {4}.*)*)", typed, flags=re.MULTILINE)
    assert len(commands) == 11
    told = {
        "PATH": os.environ["PATH"],
        "DRISHTIKSHA_DOOR_URL": stage.environment.door_url,
        "DRISHTIKSHA_ATTEMPT_TOKEN": stage.environment.token,
        "SERVER_URL": stage.environment.server_url,
        "SERVER_API_KEY": stage.environment.server_key,
    }
    script = "set -euo pipefail\n" + "\n".join(c.replace("curl -s", "curl -sS --fail-with-body") for c in commands)
    bash = await asyncio.create_subprocess_exec("bash", "-c", script, cwd=tmp_path, env=told, stdout=-1, stderr=-2)
    said, _ = await bash.communicate()
    assert bash.returncode == 0, said.decode()
    assert said.decode().endswith('{"accepted":true}')
    assert (tmp_path / "picture.png").read_bytes() == BYTES
    assert (tmp_path / "rest").read_bytes() == BYTES[100_000:]
    row = await stage.one("SELECT status, prediction FROM analyses WHERE run_id = :run")
    assert row == {"status": "COMPLETED", "prediction": "INCONCLUSIVE"}


async def test_a_token_of_nobody_ends_at_once(stage, hasty):
    assert await run(replace(stage.environment, token="v1.k1.x.y"), hasty) == 70
