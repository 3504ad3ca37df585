"""A runner whose door, model and door's database go away in the middle: it costs nothing, or it says so by its class.

The real runner, the real door on a real PostgreSQL, a scripted ML service; a fault proxy stands before each of the three.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fault_proxy import FaultProxy
from fault_wires import Fault, ReplyLost, Statements
from test_with_the_door import BYTES, stage  # noqa: F401  the real door, and an attempt

from drishtiksha.database.runs import Ended
from drishtiksha.domain.errors import ErrorClass
from drishtiksha_jobrunner.run import run

pytestmark = pytest.mark.long

ONE_RESULT = (
    "SELECT a.status, a.attempt, a.prediction, (SELECT count(*) FROM analysis_errors) AS errors, "
    "(SELECT count(*) FROM attempts) AS attempts, (SELECT count(*) FROM events WHERE type = 'ANALYSIS_COMPLETED') AS told, "
    "(SELECT count(*) FROM artifacts WHERE listed) AS artifacts FROM analyses a WHERE a.run_id = :run"
)
AS_IF_NOTHING_WERE = {
    "status": "COMPLETED", "attempt": 1, "prediction": "FAKE", "errors": 0, "attempts": 1, "told": 1, "artifacts": 1
}  # fmt: skip
NO_RESULT = "SELECT status, error_class, prediction FROM analyses WHERE run_id = :run"


@pytest.fixture
def statements() -> Statements:
    return Statements()


@pytest.fixture
async def behind(stage: Any) -> AsyncIterator[tuple[Any, FaultProxy, FaultProxy]]:  # noqa: F811
    """The stage, and the proxies before its door and its ML service; the runner knows only the proxies."""
    with (
        FaultProxy.before(stage.environment.door_url) as door,
        FaultProxy.before(stage.environment.server_url) as service,
    ):
        there = stage.environment
        stage.environment = replace(
            there, door_url=door.instead_of(there.door_url), server_url=service.instead_of(there.server_url)
        )
        yield stage, door, service


async def until(look: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not look():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["refuse", "reset", "blackhole"])
async def test_a_door_that_is_away_in_mid_attempt_costs_nothing(behind, service, hasty, reply, how: str) -> None:
    scene, door, _ = behind
    service.script["analyze"] = [reply(body=service.answer, after=0.5)]
    story = asyncio.create_task(run(scene.environment, hasty))
    await until(lambda: service.asked("analyze"))
    getattr(door, how)()
    await asyncio.sleep(1.0)
    assert not story.done()
    door.heal()
    assert await story == 0
    assert await scene.one(ONE_RESULT) == AS_IF_NOTHING_WERE


async def test_a_download_that_is_cut_again_and_again_goes_on_where_it_was(behind, service, hasty) -> None:
    scene, door, _ = behind
    door.to_client.cut_after = 60_000
    assert await run(scene.environment, hasty) == 0
    assert door.cuts >= len(BYTES) // 60_000
    assert BYTES in service.asked("analyze")[0].body
    assert await scene.one(ONE_RESULT) == AS_IF_NOTHING_WERE


@pytest.mark.parametrize(
    "words",
    [b"GET /internal/v1/attempt ", b"GET /internal/v1/attempt/media", b"PUT /internal/v1/attempt/artifacts/",
     b"PUT /internal/v1/attempt/result"],
    ids=["assignment", "media", "artifact", "result"],
)  # fmt: skip
async def test_i5_a_lost_reply_of_the_door_is_asked_for_again_and_the_result_is_stored_once(
    behind, service, hasty, words: bytes
) -> None:
    scene, door, _ = behind
    lost = ReplyLost(words, times=3)
    door.wire = lost.wire
    assert await run(scene.environment, hasty) == 0
    assert lost.lost == 3
    assert await scene.one(ONE_RESULT) == AS_IF_NOTHING_WERE


async def test_a_lost_reply_to_a_failure_is_one_failure(behind, service, hasty, reply) -> None:
    scene, door, _ = behind
    service.script["analyze"] = [reply(422, {"detail": {"code": "BAD_MEDIA", "message": "no picture"}})]
    lost = ReplyLost(b"PUT /internal/v1/attempt/failure", times=2)
    door.wire = lost.wire
    assert await run(scene.environment, hasty) == 65
    assert lost.lost == 2
    row = await scene.one("SELECT count(*) AS n, max(error_class) AS class FROM analysis_errors")
    assert row == {"n": 1, "class": "BAD_MEDIA"}


@pytest.mark.parametrize("kind", ["json", "lines"])
async def test_i19_an_answer_that_is_cut_in_the_middle_is_ml_unavailable_and_no_result(
    behind, service, hasty, reply, kind: str
) -> None:
    scene, _, before_service = behind
    service.answer["data"]["note"] = "n" * 100_000
    whole = json.dumps(service.answer)
    if kind == "lines":
        whole = (
            json.dumps({"progress": {"event": "FRAME_ANALYSIS_PROGRESS"}})
            + "\n"
            + json.dumps({"result": service.answer})
        )
    headers = {"content-type": "application/x-ndjson" if kind == "lines" else "application/json"}
    service.script["analyze"] = [reply(body=whole, headers=headers)] * 50
    before_service.to_client.cut_after = 50_000
    assert await run(scene.environment, hasty) == 69
    assert before_service.cuts >= 1
    assert await scene.one("SELECT state, error_class FROM attempts WHERE id = :attempt") == {
        "state": "FAILED", "error_class": "ML_UNAVAILABLE"
    }  # fmt: skip
    assert (await scene.one(NO_RESULT))["prediction"] is None


async def test_a_service_that_is_away_for_a_moment_is_asked_again(behind, service, hasty) -> None:
    scene, _, before_service = behind
    before_service.refuse()
    story = asyncio.create_task(run(scene.environment, hasty))
    await asyncio.sleep(0.3)
    before_service.heal()
    assert await story == 0
    assert await scene.one(ONE_RESULT) == AS_IF_NOTHING_WERE


async def test_i15_i19_a_service_that_swallows_everything_ends_at_the_deadline(behind, service, hasty, reply) -> None:
    scene, _, before_service = behind
    async with scene.stores.database.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE attempts SET running_deadline = 5")
    service.script["analyze"] = [reply(body=service.answer, after=1.0)]
    story = asyncio.create_task(run(scene.environment, hasty))
    await until(lambda: service.asked("analyze"))
    before_service.blackhole()
    async with asyncio.timeout(60):
        code = await story
    assert code in (69, 70)  # the service's failure, or no time left to tell it
    assert (await scene.one(NO_RESULT))["prediction"] is None
    if code == 70:  # what the operator says when it sees the Job end
        await scene.stores.runs.attempt_ended(scene.attempt, Ended(ErrorClass.DEADLINE, "DeadlineExceeded", "late"))
        assert await scene.one(NO_RESULT) == {"status": "FAILED", "error_class": "DEADLINE", "prediction": None}


class TestADoorWhoseDatabaseIsAway:
    """The same scene, but the door reaches PostgreSQL through a proxy."""

    @pytest.fixture
    def database_url(self, database_url: str, statements: Statements) -> Iterator[str]:
        with FaultProxy.before(database_url, statements.wire) as self.proxy:
            yield self.proxy.instead_of(database_url)

    async def test_i5_a_lost_answer_to_the_commit_of_a_result_is_one_result(
        self, behind, service, hasty, statements: Statements
    ) -> None:
        scene, _, _ = behind
        struck: list[str] = []

        def plan(said: str) -> Fault | None:
            if said.startswith("INSERT INTO model_info"):
                struck[:] = ["due"]
            if struck == ["due"] and said == "COMMIT":
                struck[:] = ["done"]
                return Fault.REPLY_LOST
            return None

        statements.plan = plan
        assert await run(scene.environment, hasty) == 0
        assert struck == ["done"]
        assert await scene.one(ONE_RESULT) == AS_IF_NOTHING_WERE

    async def test_postgres_refused_while_the_model_works_costs_nothing(self, behind, service, hasty, reply) -> None:
        scene, _, _ = behind
        service.script["analyze"] = [reply(body=service.answer, after=0.5)]
        story = asyncio.create_task(run(scene.environment, hasty))
        await until(lambda: service.asked("analyze"))
        self.proxy.refuse()
        await asyncio.sleep(2.0)
        assert not story.done()
        self.proxy.heal()
        assert await story == 0
        assert await scene.one(ONE_RESULT) == AS_IF_NOTHING_WERE
