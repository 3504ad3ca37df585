"""One upload from the signup to the verdict, as its owner sees it."""

from __future__ import annotations

import gzip
import hashlib
import json
import uuid
from typing import Any

import api_samples as samples

from drishtiksha.database.runs import Runs

PICTURE = samples.picture("PNG")


def answer_of(model: str, **more: Any) -> dict[str, Any]:
    return {
        "protocol": 1,
        "model": model,
        "modelVersion": "1",
        "prediction": "INCONCLUSIVE",
        "processingTime": 0.5,
        **more,
    }


async def test_an_upload_goes_all_the_way_to_its_verdict(world: Any) -> None:
    ada = await world.person()
    answer = await world.upload(ada, PICTURE, "ferry.png", description="at sea")
    assert answer.status_code == 202, answer.text
    media = answer.json()["data"]
    assert media["status"] == "QUEUED"
    assert media["mediaType"] == "IMAGE"
    assert media["sha256"] == hashlib.sha256(PICTURE).hexdigest()
    assert "analyses" not in media
    assert answer.headers["location"].endswith(f"/api/v1/media/{media['id']}")

    # The dispatcher makes the resource; a second look finds nothing to do.
    assert await world.api.dispatcher.once()
    assert not await world.api.dispatcher.once()
    run_id = media["latestRunId"]
    assert world.cluster.resources[run_id]["spec"]["mediaId"] == media["id"]

    await world.frozen(run_id, "JPEG-GRID-V1", "OTHER")
    tokens = await world.attempt_tokens(run_id)
    grid = tokens["JPEG-GRID-V1"]

    # The runner: its assignment, the bytes, an artifact, the result.
    assignment = (await world.door.get("/attempt", headers=grid)).json()
    assert assignment["analysis"]["model"] == "JPEG-GRID-V1"
    assert assignment["media"]["sha256"] == media["sha256"]
    assert 0 < assignment["secondsLeft"] <= 600
    assert (await world.door.get("/attempt/media", headers=grid)).content == PICTURE
    assert (await world.client.get(f"/api/v1/media/{media['id']}", headers=ada)).json()["data"][
        "status"
    ] == "PROCESSING"
    votes = b"png bytes"
    put = await world.door.put(
        "/attempt/artifacts/votes.png",
        headers={
            **grid,
            "Content-Type": "image/png",
            "X-Kind": "heatmap",
            "X-Content-SHA256": hashlib.sha256(votes).hexdigest(),
        },
        content=votes,
    )
    assert put.status_code == 200, put.text
    found = answer_of(
        "JPEG-GRID-V1",
        finding="MANIPULATED_REGION",
        calibration={"kind": "nfa", "bound": 1e-6},
        measure={"value": 12.5, "kind": "log-nfa", "name": "grid"},
        facts={"blocks": 12, "lossless": True, "encoder": "none"},
        metrics={"a.b": 1.5},
        limits=["Says nothing about pictures that were scaled."],
        regions=[{"box": [1, 2, 3, 4], "score": 0.9, "label": "patch"}],
        series=[{"name": "votes", "t": [0.0, 1.0], "v": [0.5, None]}],
        artifacts=["votes.png"],
    )
    body = gzip.compress(json.dumps(found).encode())
    handed_in = await world.door.put("/attempt/result", headers={**grid, "Content-Encoding": "gzip"}, content=body)
    assert handed_in.json() == {"accepted": True}, handed_in.text
    again = await world.door.put("/attempt/result", headers=grid, json=found)
    assert again.json() == {"accepted": False}

    failed = await world.door.put(
        "/attempt/failure", headers=tokens["OTHER"], json={"class": "BAD_MEDIA", "message": "It does not decode."}
    )
    assert failed.status_code == 200, failed.text
    await world.conclude(run_id)

    full = (await world.client.get(f"/api/v1/media/{media['id']}", headers=ada)).json()["data"]
    assert full["status"] == "PARTIALLY_ANALYZED"
    assert full["verdict"] == {"label": "FAKE", "basis": "MEASURED", "score": None, "models": ["JPEG-GRID-V1"]}
    done, other = full["analyses"]
    assert (done["prediction"], done["basis"], done["confidence"]) == ("FAKE", "MEASURED", 1 - 1e-6)
    assert done["facts"] == {"blocks": 12.0, "lossless": True, "encoder": "none"}
    assert done["metrics"] == {"a.b": 1.5}
    assert done["evidence"]["regions"] == [{"t": None, "box": [1, 2, 3, 4], "score": 0.9, "label": "patch"}]
    assert done["evidence"]["series"][0]["v"] == [0.5, None]
    assert done["visualizedUrl"] == done["artifacts"][0]["url"]
    assert (other["status"], other["errorClass"], other["prediction"]) == ("FAILED", "BAD_MEDIA", None)
    assert full["analysisRuns"][0]["analyses"][0]["resultPayload"]["model_name"] == "JPEG-GRID-V1"
    assert full["imageMetadata"]["width"] == 64

    # The links need no token, and the artifact is what was handed in.
    assert (await world.client.get(full["url"])).content == PICTURE
    assert (await world.client.get(done["visualizedUrl"])).content == votes

    # The list tells the same story without the arrays.
    (listed,) = (await world.client.get("/api/v1/media", headers=ada)).json()["data"]
    assert listed["verdict"] == full["verdict"]
    assert listed["analyses"][0]["evidence"] == {"series": [], "regions": []}
    assert listed.keys() == full.keys()

    # One run with its attempts.
    run = (await world.client.get(f"/api/v1/media/{media['id']}/runs/1", headers=ada)).json()["data"]
    assert run["analyses"][0]["attempts"][0]["state"] == "SUCCEEDED"

    # A rerun is a new run of the same media, and the media follows it.
    rerun = await world.client.post(f"/api/v1/media/{media['id']}/analyze", headers=ada)
    assert rerun.status_code == 202, rerun.text
    assert [r["runNumber"] for r in rerun.json()["data"]["analysisRuns"]] == [2, 1]
    assert rerun.json()["data"]["status"] == "QUEUED"
    busy = await world.client.post(f"/api/v1/media/{media['id']}/analyze", headers=ada)
    assert (busy.status_code, busy.json()["code"], busy.json()["details"]["runNumber"]) == (409, "RUN_ACTIVE", 2)


async def test_why_a_model_has_not_started_is_said_until_it_has(world: Any) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    run_id = media["latestRunId"]

    async def said() -> tuple[str | None, str | None]:
        (one,) = (await world.client.get(f"/api/v1/media/{media['id']}", headers=ada)).json()["data"]["analyses"]
        return one["pendingReason"], one["pendingMessage"]

    await world.frozen(run_id, "A")
    assert await said() == ("WaitingForPlace", "Waiting for a free place.")
    tokens = await world.attempt_tokens(run_id)
    assert await said() == (None, None)
    runs = Runs(world.around.database)
    seen = await runs.snapshot(uuid.UUID(run_id))
    assert seen is not None
    await runs.note_pending(seen.analyses[0].id, "Unschedulable", "0/2 nodes are available")
    assert await said() == ("Unschedulable", "0/2 nodes are available")
    await world.door.get("/attempt", headers=tokens["A"])
    assert await said() == (None, None)
