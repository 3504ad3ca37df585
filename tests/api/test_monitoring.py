"""What the platform says about itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import api_samples as samples
import httpx
import pytest

from drishtiksha.database.counts import Gauges
from drishtiksha_api import metrics
from drishtiksha_api.mlstatus import MLStatus

STATUS = "/api/v1/monitoring/server-status"
STATS = {
    "service_name": "models",
    "version": "3.0",
    "uptime_seconds": 5,
    "device_info": {"gpu_name": None},
    "system_info": {"python_version": "3.11"},
    "models_info": [{"name": "M1", "class_name": "X", "memory_usage_mb": 5}],
    "configuration": {"some_key": {"inner_key": 1}},
}


@asynccontextmanager
async def service(answer: Callable[[bytes], bytes]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A small HTTP server; what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        asked.append(request)
        writer.write(answer(request))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    server.close()


def http(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_the_service_s_words_come_in_both_spellings_and_are_asked_once_in_a_while(world: Any) -> None:
    ada = await world.person()
    async with service(lambda _: http(200, json.dumps(STATS).encode())) as (url, asked):
        world.api.rest.state.ml_status = MLStatus(world.around.bus, url, "the-key")
        answers = await asyncio.gather(*(world.client.get(STATUS, headers=ada) for _ in range(3)))
    data = answers[0].json()["data"]
    assert answers[0].json()["message"] == "Server status retrieved successfully"
    assert len(asked) == 1
    assert b"x-api-key: the-key" in asked[0].lower()
    assert data["serviceName"] == "models"
    assert data["modelsInfo"] == [{"name": "M1", "className": "X", "memoryUsageMb": 5}]
    assert data["models_info"] == STATS["models_info"]
    assert (data["uptimeSeconds"], data["uptime_seconds"]) == (5, 5)
    assert data["configuration"] == STATS["configuration"]
    assert data["responseTime"] == data["responseTimeMs"] >= 0
    assert data["cachedAt"].endswith("Z")


@pytest.mark.parametrize(
    "answer",
    [
        http(401, b"{}"),
        http(500, b"{}"),
        http(200, b"<html>"),
        http(200, b"[]"),
        http(302, b""),
        b"",
        b"HTTP/1.1 200 X\r\nContent-Length: 5000000\r\n\r\n" + b" " * 3_000_000,
    ],
)
async def test_a_service_that_gives_no_status_is_503_ml(redis_url: str, answer: bytes) -> None:
    from drishtiksha.bus import Bus
    from drishtiksha_api.problems import Problem

    bus = Bus(redis_url)
    async with service(lambda _: answer) as (url, _):
        with pytest.raises(Problem) as refused:
            await MLStatus(bus, url, None).look()
    assert (refused.value.status, refused.value.details) == (503, {"what": "ml"})
    await bus.close()


async def test_i15_a_status_that_drips_is_given_up(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from drishtiksha.bus import Bus
    from drishtiksha_api.problems import Problem

    monkeypatch.setattr("drishtiksha_api.mlstatus._PATIENCE", 0.5)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.1)

    bus, server = Bus(redis_url), await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with asyncio.timeout(60):
        with pytest.raises(Problem) as refused:
            await MLStatus(bus, url, None).look()
    assert refused.value.status == 503
    server.close()
    await bus.close()


async def test_an_unset_service_is_503_ml_and_counts_are_all_there(world: Any) -> None:
    ada = await world.person()
    refused = await world.client.get(STATUS, headers=ada)
    assert (refused.status_code, refused.json()["details"]) == (503, {"what": "ml"})
    media = (await world.upload(ada, samples.picture("PNG"))).json()["data"]
    queue = "/api/v1/monitoring/queue-status"
    waiting = (await world.client.get(queue, headers=ada)).json()
    assert waiting["message"] == "Video processing queue status retrieved successfully."
    assert (waiting["data"]["delayed"], waiting["data"]["delayedJobs"]) == (1, 1)
    await world.frozen(media["latestRunId"], "M1", "M2")
    token = (await world.attempt_tokens(media["latestRunId"]))["M1"]
    await world.door.get("/attempt", headers=token)
    counts = (await world.client.get(queue, headers=ada)).json()["data"]
    assert counts == {
        "pending": 1, "active": 1, "completed": 0, "failed": 0, "delayed": 0,
        "pendingJobs": 1, "activeJobs": 1, "completedJobs": 0, "failedJobs": 0, "delayedJobs": 0,
    }  # fmt: skip


async def test_metrics_and_scaling_count_work_that_no_model_was_found_for_yet(world: Any) -> None:
    await world.upload(await world.person(), samples.picture("PNG"))
    transport = httpx.ASGITransport(metrics.build(world.around, world.api.gauges))
    async with httpx.AsyncClient(transport=transport, base_url="http://m") as port:
        text = (await port.get("/metrics")).text
        assert 'drishtiksha_runs{state="waiting_for_discovery"} 1.0' in text
        assert 'drishtiksha_runs{state="QUEUED"} 1.0' in text
        assert "process_resident_memory_bytes" in text
        oldest = next(line for line in text.splitlines() if line.startswith("drishtiksha_oldest_pending_seconds "))
        assert float(oldest.split()[1]) > 0
        scale = (await port.get("/scaling")).json()
        assert (scale["demand"], scale["pending"], scale["byModel"]) == (1, 1, [])
        assert (await port.get("/scaling?model=M1")).json() == {"value": 0}
        assert (await port.get("/healthz")).status_code == 200
        assert (await port.get("/readyz")).status_code == 200


def test_scaling_tells_models_apart() -> None:
    gauges = Gauges({("PENDING", "A"): 2, ("PROCESSING", "A"): 1, ("PENDING", "B"): 4, ("COMPLETED", "B"): 9}, {}, 7.5)
    assert metrics.scaling(gauges, "A") == {"value": 3}
    told = metrics.scaling(gauges)
    assert (told["demand"], told["pending"], told["active"], told["oldestPendingSeconds"]) == (7, 6, 1, 7.5)
    assert told["byModel"] == [{"model": "A", "pending": 2, "active": 1}, {"model": "B", "pending": 4, "active": 0}]
