"""How the ML service was found before, and how analyses ended, as clients read it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import api_samples as samples
import pytest
from sqlalchemy import text
from test_monitoring import STATS, STATUS, http, service

from drishtiksha.database.health import Health, HealthHistory, HealthLook
from drishtiksha_api.healthwatch import HealthWatch
from drishtiksha_api.mlstatus import MLStatus, assess

HISTORY = "/api/v1/monitoring/server-history"
OUTCOMES = "/api/v1/monitoring/stats/analysis"
WELL = {**STATS, "models_info": [{"name": "M1", "loaded": True}]}


@asynccontextmanager
async def asked(world: Any, answer: bytes) -> AsyncIterator[list[bytes]]:
    """The world's ML service answers so; what it was asked."""
    history = world.api.rest.state.health_history
    async with service(lambda _: answer) as (url, requests):
        world.api.rest.state.ml_status = MLStatus(world.around.bus, url, None, history)
        yield requests


async def looks(world: Any, ada: dict[str, str], query: str = "") -> list[dict[str, Any]]:
    answer = await world.client.get(HISTORY + query, headers=ada)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_a_look_that_asked_is_written_down_and_one_from_the_cache_is_not(world: Any) -> None:
    ada = await world.person()
    odd = {**WELL, "note\x00": "a\x00b\ud800", "figure": float("nan"), "endless": [1, float("inf")]}
    raw = json.dumps(odd).replace("Infinity", "1e999")
    async with asked(world, http(200, raw.encode())) as requests:
        for _ in range(3):
            answer = await world.client.get(STATUS, headers=ada)
            assert (answer.status_code, answer.json()["data"]["note"]) == (200, "ab")
    assert len(requests) == 1
    (row,) = await looks(world, ada)
    assert set(row) == {
        "id", "status", "responseTimeMs", "responseTime", "checkedAt", "version", "errorMessage", "statsPayload"
    }  # fmt: skip
    assert (row["status"], row["version"], row["errorMessage"]) == ("HEALTHY", "3.0", None)
    assert row["responseTime"] == row["responseTimeMs"] >= 0
    assert row["checkedAt"].endswith("Z")
    assert row["statsPayload"] == {**WELL, "note": "ab", "figure": None, "endless": [1, None]}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (http(401, b"{}"), "The ML service refuses our key."),
        (http(500, b'{"detail": "secret words"}'), "The ML service gives no status."),
        (http(200, b"[" * 200 + b"]" * 200), "The ML service gives no status."),
        (b"", "The ML service does not answer."),
    ],
    ids=["key", "broken", "nested", "away"],
)
async def test_a_failed_look_is_written_down_in_our_own_words(world: Any, answer: bytes, sentence: str) -> None:
    ada = await world.person()
    async with asked(world, answer):
        refused = await world.client.get(STATUS, headers=ada)
    assert (refused.status_code, refused.json()["message"]) == (503, sentence)
    (row,) = await looks(world, ada)
    assert (row["status"], row["errorMessage"]) == ("UNHEALTHY", sentence)
    assert (row["responseTimeMs"], row["version"], row["statsPayload"]) == (None, None, None)


async def test_whoever_waited_while_the_service_failed_does_not_ask_it_again(world: Any) -> None:
    ada = await world.person()
    async with asked(world, http(500, b"")) as requests:
        answers = await asyncio.gather(*(world.client.get(STATUS, headers=ada) for _ in range(6)))
    assert {a.status_code for a in answers} == {503}
    assert len(requests) < 6


async def test_the_status_is_told_although_it_cannot_be_written_down(world: Any, monkeypatch: Any) -> None:
    from drishtiksha.domain.errors import Unavailable

    async def away(*_: Any) -> bool:
        raise Unavailable("postgres", "scripted")

    monkeypatch.setattr(HealthHistory, "note", away)
    ada = await world.person()
    async with asked(world, http(200, json.dumps(WELL).encode())):
        assert (await world.client.get(STATUS, headers=ada)).status_code == 200


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, "HEALTHY"),
        ({"status": "running"}, "HEALTHY"),
        ({"status": "Degraded"}, "DEGRADED"),
        ({"models_info": []}, "DEGRADED"),
        ({"models_info": [{"name": "M1", "loaded": False}, "M2"]}, "DEGRADED"),
        ({"models_info": None, "version": 3}, "HEALTHY"),
    ],
)
def test_a_service_is_as_well_as_it_says(changed: dict[str, Any], status: str) -> None:
    look = assess({**WELL, **changed}, 1.0)
    assert (look.status, look.error is None) == (status, status == "HEALTHY")


def test_a_long_status_is_not_kept() -> None:
    assert assess(WELL, 1.0, kept=False) == HealthLook(Health.HEALTHY, 1.0, "3.0", None, None)


@pytest.mark.parametrize("query", ["?limit=0", "?limit=1001", "?limit=many"])
async def test_a_bad_limit_is_a_400(world: Any, query: str) -> None:
    refused = await world.client.get(HISTORY + query, headers=await world.person())
    assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION")
    assert (await world.client.get(HISTORY)).status_code == 401


async def test_the_watch_looks_when_nobody_else_did(world: Any) -> None:
    history = world.api.rest.state.health_history
    async with asked(world, http(500, b"")) as requests:
        watch = HealthWatch(world.api.rest.state.ml_status, history, every=60.0)
        assert [await watch.once(), await watch.once()] == [True, False]
        assert len(requests) == 1
        # Its loop goes on through whatever an ML service says, and ends with its task.
        running = asyncio.create_task(HealthWatch(world.api.rest.state.ml_status, history, every=0.02).run())
        async with asyncio.timeout(10):
            while len(requests) < 3:
                await asyncio.sleep(0.01)
        running.cancel()
    assert len(await looks(world, await world.person())) == 1
    await HealthWatch(MLStatus(world.around.bus, None, None), history).run()


async def test_the_janitor_lets_looks_of_more_than_a_month_ago_go(world: Any) -> None:
    history = world.api.rest.state.health_history
    await history.note(HealthLook(Health.UNHEALTHY))
    await world.api.janitor.once()
    assert await history.age() is not None
    async with world.around.database.engine.begin() as connection:
        await connection.execute(text("UPDATE server_health SET checked_at = now() - interval '31 days'"))
    await world.api.janitor.once()
    assert await history.age() is None


async def test_what_ended_is_told_with_its_rates_and_its_models(world: Any) -> None:
    ada = await world.person()
    empty = (await world.client.get(OUTCOMES, headers=ada)).json()["data"]
    assert (empty["timeframe"], empty["total"], empty["models"]) == ("24h", 0, {})
    assert (empty["avgProcessingTime"], empty["successRate"]) == (None, None)
    media = (await world.upload(ada, samples.picture("PNG"))).json()["data"]
    names = ("M1", "my_model-V2.b_C", "M3", "M4")
    await world.frozen(media["latestRunId"], *names)
    tokens = await world.attempt_tokens(media["latestRunId"])
    for name, seconds in (("M1", 1.0), ("my_model-V2.b_C", 2.5)):
        body = {"protocol": 1, "model": name, "prediction": "REAL", "confidence": 0.75, "processingTime": seconds}
        assert (await world.door.put("/attempt/result", headers=tokens[name], json=body)).status_code == 200
    failure = {"class": "BAD_MEDIA", "message": "no picture"}
    await world.door.put("/attempt/failure", headers=tokens["M3"], json=failure)
    stranger = await world.person()  # counts only, of the whole platform
    for timeframe in ("1h", "24h", "7d", "30d"):
        told = (await world.client.get(f"{OUTCOMES}?timeframe={timeframe}", headers=stranger)).json()["data"]
        assert told["timeframe"] == timeframe
        figures = ("total", "successful", "failed", "avgProcessingTime", "successRate")
        assert [told[name] for name in figures] == [3, 2, 1, 1.75, pytest.approx(2 / 3)]
        assert {name: [of[f] for f in figures] for name, of in told["models"].items()} == {
            "M1": [1, 1, 0, 1.0, 1.0], "my_model-V2.b_C": [1, 1, 0, 2.5, 1.0], "M3": [1, 0, 1, None, 0.0]
        }  # fmt: skip
        assert told["period"]["start"] < told["period"]["end"]
    refused = await world.client.get(f"{OUTCOMES}?timeframe=2h", headers=ada)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "timeframe")
    old = await world.client.get("/api/v1/monitoring/analysis-stats?timeframe=7d", headers=ada)
    assert (old.status_code, old.json()["data"]["total"]) == (200, 3)
    assert old.headers["deprecation"].startswith("@")
    assert old.headers["sunset"].endswith("GMT")
    assert (await world.client.get(OUTCOMES)).status_code == 401
