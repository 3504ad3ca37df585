"""A trace that a request brings is stored on its run; from there the operator hands it to the Job (its golden file), and
the runner to the model (test_run.py)."""

from __future__ import annotations

import uuid
from typing import Any

import api_samples as samples
import pytest

from drishtiksha.database.runs import Runs


@pytest.mark.parametrize(
    "offered", ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "nonsense", "00-0AF-1-1"]
)
async def test_the_trace_of_a_request_is_that_of_its_run(world: Any, offered: str) -> None:
    kept = offered if offered.startswith("00-0af") else None
    headers = await world.person() | {"traceparent": offered}
    media = (await world.upload(headers, samples.picture("PNG"))).json()["data"]
    run = await Runs(world.around.database).snapshot(uuid.UUID(media["latestRunId"]))
    assert run is not None
    assert run.traceparent == kept
