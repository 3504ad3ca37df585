"""The model service over HTTP, with real workers: the contract, its refusals, and what a dying worker does not do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio as aioredis
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families

Serve = Callable[..., contextlib.AbstractAsyncContextManager[httpx.AsyncClient]]
SCRIPTED = ["SCRIPTED-V1"]
NDJSON = {"Accept": "application/x-ndjson"}


async def ask(
    client: httpx.AsyncClient, data: bytes, name: str = "x.png", model: str = "SCRIPTED-V1", **more: Any
) -> httpx.Response:
    fields = {"model": model, "mediaId": "m-1", "userId": "u-1"}
    return await client.post("/analyze", data=fields, files={"media": (name, data, "image/png")}, **more)


async def test_stats_tell_what_the_contract_names(serve: Serve) -> None:
    async with serve(active_models=["PROVENANCE-V1", "JPEG-GRID-V1"]) as client:
        stats = (await client.get("/stats")).json()
    assert stats["version"].split(".")[0] == "3"
    assert {"service_name", "status", "uptime_seconds", "device_info", "system_info", "configuration"} <= stats.keys()
    assert (stats["active_models_count"], stats["total_models_count"]) == (2, 2)
    models = {m["name"]: m for m in stats["models_info"]}
    needed = {"name", "class_name", "description", "loaded", "device", "model_path", "isAudio", "isVideo", "isImage",
              "isMultiModal", "memory_usage_mb", "load_time", "inference_count", "version"}  # fmt: skip
    assert all(needed <= m.keys() for m in models.values())
    flags = [models["JPEG-GRID-V1"][flag] for flag in ("loaded", "isImage", "isVideo", "isAudio")]
    assert flags == [True, True, False, False]
    assert models["PROVENANCE-V1"]["isVideo"]


async def test_a_wrong_key_is_refused_before_a_byte_of_the_body_is_read(serve: Serve) -> None:
    read: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"x" * 1000

    async with serve(active_models=["PROVENANCE-V1"]) as client:
        for key in ("", "wrong", "ключ"):
            headers = {"X-API-Key": key.encode(), "Content-Type": "multipart/form-data; boundary=b"}
            assert (await client.post("/analyze", content=body(), headers=headers)).status_code == 401
            assert (await client.get("/stats", headers={"X-API-Key": key.encode()})).status_code == 401
    assert read == []


async def test_without_a_key_in_the_settings_all_may_ask(serve: Serve) -> None:
    async with serve(active_models=["PROVENANCE-V1"], api_key=None) as client:
        assert (await client.get("/stats", headers={"X-API-Key": ""})).status_code == 200


async def test_an_answer_carries_dialect_3_and_the_extension(serve: Serve, image: bytes) -> None:
    async with serve(active_models=["JPEG-GRID-V1"]) as client:
        answer = (await ask(client, image, model="JPEG-GRID-V1")).json()
        stats = (await client.get("/stats")).json()
    assert (answer["success"], answer["model_used"]) == (True, "JPEG-GRID-V1")
    data = answer["data"]
    assert (data["media_type"], data["prediction"], data["confidence"]) == ("image", "INCONCLUSIVE", 0.5)
    assert data["finding"] == "NONE"
    assert data["probability_fake"] is None
    assert data["dimensions"] == {"width": 96, "height": 96}
    assert data["media_sha256"] == hashlib.sha256(image).hexdigest()
    assert data["limits"]
    (picture,) = data["evidence"]["images"]
    assert hashlib.sha256(base64.b64decode(picture["data"])).hexdigest() == picture["sha256"]
    assert stats["models_info"][0]["inference_count"] == 1


async def test_lines_bring_progress_first_and_the_result_last(serve: Serve, scripted: Path, image: bytes) -> None:
    async with serve(active_models=SCRIPTED) as client:
        response = await ask(client, image, "slow.png", headers=NDJSON)
    told = [json.loads(line) for line in response.text.splitlines()]
    assert response.headers["content-type"].startswith("application/x-ndjson")
    assert [list(line) for line in told[:-1]] == [["progress"]] * (len(told) - 1)
    assert len(told) >= 4
    assert told[-2]["progress"]["event"] == "FRAME_ANALYSIS_PROGRESS"
    assert told[-2]["progress"]["data"] == {"model_name": "SCRIPTED-V1", "progress": 6, "total": 6}
    assert told[-1]["result"]["data"]["note"] == "Done."


async def test_an_error_in_lines_is_the_last_line(serve: Serve, scripted: Path, image: bytes) -> None:
    async with serve(active_models=SCRIPTED) as client:
        response = await ask(client, b"no picture", headers=NDJSON)
    assert json.loads(response.text.splitlines()[-1])["error"]["status"] == 422
    assert json.loads(response.text.splitlines()[-1])["error"]["detail"]["code"] == "BAD_MEDIA"


async def test_faults_of_the_media_and_of_the_request_are_told_apart(
    serve: Serve, scripted: Path, image: bytes
) -> None:
    async with serve(active_models=[*SCRIPTED, "BROKEN-V1"], max_upload_bytes=50_000) as client:
        bad = await ask(client, b"plain words " * 20)
        assert (bad.status_code, bad.json()["detail"]["code"]) == (422, "BAD_MEDIA")
        empty = await ask(client, b"")
        assert (empty.status_code, empty.json()["detail"]["code"]) == (422, "BAD_MEDIA")
        sound = b"RIFF\x24\x08\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x08\x00\x00"
        assert (await ask(client, sound + bytes(2048), "a.png")).status_code == 415
        assert (await ask(client, image, model="NO-SUCH-V1")).status_code == 404
        broken = await ask(client, image, model="BROKEN-V1")
        assert (broken.status_code, "a_library_that_is_not_there" in broken.json()["detail"]) == (503, True)
        nothing = await client.post("/analyze", data={"model": "SCRIPTED-V1"}, files={})
        assert nothing.status_code == 415
        missing = await client.post("/analyze", files={"model": (None, "SCRIPTED-V1")})
        assert (missing.status_code, missing.json()["detail"][0]["loc"]) == (422, ["body", "media"])
        two = await client.post("/analyze", files=[("media", ("a.png", image)), ("media", ("b.png", image))])
        assert two.status_code == 400
        other = await client.post("/analyze", files=[("media", ("a.png", image)), ("another", ("b.png", image))])
        assert other.status_code == 400
        cut = b'--b\r\nContent-Disposition: form-data; name="media"; filename="a.png"\r\n\r\nabc'
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        assert (await client.post("/analyze", content=cut, headers=headers)).status_code == 400


async def test_a_body_beyond_the_limit_is_refused_with_and_without_a_stated_length(serve: Serve) -> None:
    async with serve(active_models=["PROVENANCE-V1"], max_upload_bytes=10_000) as client:
        assert (await ask(client, bytes(200_000))).status_code == 413
        sent: list[int] = []

        async def endless() -> AsyncIterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="media"; filename="a.png"\r\n\r\n'
            for _ in range(1000):
                sent.append(1)
                yield bytes(4096)

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        assert (await client.post("/analyze", content=endless(), headers=headers)).status_code == 413
        assert len(sent) < 10


async def test_a_client_that_falls_silent_is_given_up(serve: Serve) -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="media"; filename="a.png"\r\n\r\nabc'
        await asyncio.sleep(30)

    async with serve(active_models=["PROVENANCE-V1"], body_silence=0.3) as client:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        response = await client.post("/analyze", content=silent(), headers=headers)
    assert (response.status_code, response.headers["retry-after"]) == (408, "5")


async def test_a_full_house_answers_503_with_a_time_to_come_again(serve: Serve, scripted: Path, image: bytes) -> None:
    async with serve(active_models=SCRIPTED, workers=1, waiting=1) as client:
        await client.service.loaded(60)  # type: ignore[attr-defined]
        running = [asyncio.create_task(ask(client, image, "slow.png")) for _ in range(2)]
        async with asyncio.timeout(30):
            while client.service.in_flight < 2:  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
        refused = await ask(client, image)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert [r.status_code for r in await asyncio.gather(*running)] == [200, 200]
        assert (await ask(client, image)).status_code == 200


async def test_a_native_crash_costs_one_answer_and_not_the_service(serve: Serve, scripted: Path, image: bytes) -> None:
    async with serve(active_models=SCRIPTED) as client:
        crashed = await ask(client, image, "crash.png")
        assert (crashed.status_code, crashed.json()["detail"]["code"]) == (500, "CRASHED")
        assert "SIGSEGV" in crashed.json()["detail"]["message"]
        assert (await ask(client, image)).status_code == 200
        metrics = (await client.get("/metrics")).text
    assert "drishtiksha_model_worker_deaths_total 1" in metrics
    assert 'drishtiksha_model_answers_total{model="SCRIPTED-V1",outcome="CRASHED"} 1' in metrics


async def test_a_fault_of_the_detector_is_500_and_shows_nobody_its_insides(
    serve: Serve, scripted: Path, image: bytes
) -> None:
    async with serve(active_models=SCRIPTED) as client:
        failed = await ask(client, image, "fail.png")
    assert failed.status_code == 500
    assert "fault of its own" not in failed.text


@pytest.mark.parametrize("told", ["hang", "patient"])
async def test_a_passed_deadline_is_504_and_the_next_request_is_served(
    serve: Serve, scripted: Path, image: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drishtiksha_models.pool.GRACE", 0.5)
    async with serve(active_models=SCRIPTED, analysis_deadline=1.0) as client:
        await client.service.loaded(60)  # type: ignore[attr-defined]
        late = await ask(client, image, f"{told}.png")
        assert (late.status_code, late.json()["detail"]["code"]) == (504, "DEADLINE")
        client.service.settings = client.service.settings.model_copy(update={"analysis_deadline": 60})  # type: ignore[attr-defined]
        assert (await ask(client, image)).status_code == 200


async def test_a_detector_that_cannot_load_is_listed_with_its_reason_and_harms_no_other(
    serve: Serve, scripted: Path, image: bytes
) -> None:
    names = ["SCRIPTED-V1", "BROKEN-V1", "DEADLY-V1", "MISSPELLED-V1"]
    async with serve(active_models=names) as client:
        assert await client.service.loaded(60)  # type: ignore[attr-defined]
        models = {m["name"]: m for m in (await client.get("/stats")).json()["models_info"]}
        assert (await client.get("/readyz")).status_code == 200
        assert (await ask(client, image)).status_code == 200
    assert {name: m["loaded"] for name, m in models.items()} == {
        "SCRIPTED-V1": True, "BROKEN-V1": False, "DEADLY-V1": False, "MISSPELLED-V1": False,
    }  # fmt: skip
    assert "a_library_that_is_not_there" in models["BROKEN-V1"]["reason"]
    assert "crashed" in models["DEADLY-V1"]["reason"]
    assert "no detector of this name" in models["MISSPELLED-V1"]["description"]


async def test_the_process_that_touches_media_holds_no_secret(
    serve: Serve, scripted: Path, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_API_KEY", "secret")
    monkeypatch.setenv("DATABASE_URL", "secret")
    async with serve(active_models=SCRIPTED) as client:
        facts = (await ask(client, image)).json()["data"]["evidence"]["facts"]
    assert not {"SERVER_API_KEY", "DATABASE_URL", "REDIS_URL"} & set(facts["environment"].split(","))


async def test_the_callers_file_name_is_never_a_path(serve: Serve, scripted: Path, image: bytes) -> None:
    async with serve(active_models=SCRIPTED) as client:
        folder = client.service.folder  # type: ignore[attr-defined]
        for name in ("../../evil.png", "/etc/passwd", "a\x01b.png", "x" * 400 + ".png", "..", "a.p/n/g"):
            facts = (await ask(client, image, name)).json()["data"]["evidence"]["facts"]
            assert Path(facts["path"]).parent == folder
            assert Path(facts["path"]).stem.isalnum()


async def test_progress_goes_to_redis_only_when_the_answer_does_not_carry_it(
    serve: Serve, scripted: Path, image: bytes, redis_url: str
) -> None:
    client_of_redis = aioredis.from_url(redis_url)
    async with client_of_redis, client_of_redis.pubsub() as channel:
        await channel.subscribe("test-progress")
        async with serve(active_models=SCRIPTED, redis_url=redis_url, progress_channel="test-progress") as client:
            await ask(client, image, "slow.png", headers=NDJSON)
            await ask(client, image, "slow.png")
        heard: list[dict] = []
        async with asyncio.timeout(30):
            while not heard or heard[-1]["data"]["progress"] < 6:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
                heard += [json.loads(message["data"])] if message else []
        assert await channel.get_message(ignore_subscribe_messages=True, timeout=0.2) is None
    assert 3 <= len(heard) <= 6
    assert heard[-1]["media_id"] == "m-1"
    assert heard[-1]["event"] == "FRAME_ANALYSIS_PROGRESS"
    assert heard[-1]["data"] == {"model_name": "SCRIPTED-V1", "progress": 6, "total": 6}


async def test_a_redis_that_is_away_costs_no_answer(serve: Serve, scripted: Path, image: bytes) -> None:
    async with serve(active_models=SCRIPTED, redis_url="redis://127.0.0.1:1/0") as client:
        assert (await ask(client, image, "slow.png")).status_code == 200


async def test_metrics_are_those_of_prometheus_whatever_a_model_is_called(serve: Serve, image: bytes) -> None:
    async with serve(active_models=["PROVENANCE-V1", 'odd "name"\n']) as client:
        await ask(client, image, model="PROVENANCE-V1")
        answer = await client.get("/metrics")
    assert answer.headers["content-type"] == CONTENT_TYPE_LATEST
    found = {
        (s.name, *sorted(s.labels.values())): s.value
        for f in text_string_to_metric_families(answer.text)
        for s in f.samples
    }
    assert found["drishtiksha_model_loaded", "PROVENANCE-V1"] == 1
    assert found["drishtiksha_model_loaded", 'odd "name"\n'] == 0
    assert found["drishtiksha_model_answers_total", "NONE", "PROVENANCE-V1"] == 1
    assert 0 < found["drishtiksha_model_answer_seconds_total", "PROVENANCE-V1"] < 60
    assert found["drishtiksha_model_requests_in_flight",] == found["drishtiksha_model_worker_deaths_total",] == 0


async def test_health_is_told_without_a_key(serve: Serve) -> None:
    async with serve(active_models=["PROVENANCE-V1"]) as client:
        assert (await client.get("/healthz", headers={"X-API-Key": ""})).status_code == 200
        assert (await client.get("/readyz", headers={"X-API-Key": ""})).status_code in (200, 503)
        await client.service.loaded(60)  # type: ignore[attr-defined]
        assert (await client.get("/readyz")).json() == {"status": "ready"}
