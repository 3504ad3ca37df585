"""`/openapi.json` is true: each route has its line, each example is of its schema, and the answers of a whole story are as it says.

The other tests of this folder hold every answer that they get to it, too (`described_answers`). What is told as an example was
answered once: DRISHTIKSHA_WRITE_EXAMPLES=1 writes the examples of this story anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import api_samples as samples
import pytest
from described_answers import route_of, wrong_with
from pydantic import TypeAdapter

from drishtiksha_api.described import routes
from drishtiksha_api.problems import CODES

EXAMPLES = Path(routes.__file__).with_name("examples.json")


@pytest.fixture
async def document(world: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await world.client.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{m.upper()} {path}": op for path, methods in document["paths"].items() for m, op in methods.items()}


async def test_each_route_has_its_line_and_each_line_its_route(document: dict[str, Any]) -> None:
    assert operations(document).keys() == routes.ROUTES.keys()


async def test_each_route_says_what_it_answers_and_with_whom(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        responses = operation["responses"]
        (success,) = [s for s in responses if s in ("200", "201", "202")]
        assert responses[success]["content"], name
        assert "500" in responses, name
        assert ("401" in responses) == ("security" in operation or name.endswith("/login")), name
        assert operation["summary"], name
        assert operation["description"], name
        for status, response in responses.items():
            for code in (
                response["description"].split() if status[0] in "45" and response["description"].isupper() else []
            ):
                assert CODES[code] == int(status), name


async def test_every_code_is_said_by_a_route(document: dict[str, Any]) -> None:
    said = {code for one in routes.ROUTES.values() for code in one.codes} | {"VALIDATION", "INTERNAL"}
    assert said == CODES.keys() - {"FENCED", "METHOD_NOT_ALLOWED"}, "the door's own, and what is no route's"


async def test_every_reference_of_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    wanted = {part.partition('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}
    assert wanted <= document["components"]["schemas"].keys()


async def test_an_upload_leads_to_everything_that_is_asked_by_its_id(document: dict[str, Any]) -> None:
    links = operations(document)["POST /api/v1/media"]["responses"]["202"]["links"]
    by_id = {
        operation["operationId"]
        for name, operation in operations(document).items()
        if "{media_id}" in name and "{artifact_id}" not in name and "{number}" not in name
    }
    assert links.keys() == by_id


def test_each_example_is_of_the_type_of_its_routes() -> None:
    examples = json.loads(EXAMPLES.read_text())
    shown = {one.example for one in routes.ROUTES.values() if one.example}
    assert shown == examples.keys()
    for name, one in routes.ROUTES.items():
        if one.example:
            assert wrong_with(name, one.status, json.dumps(examples[one.example]).encode()) is None, name


async def test_the_answers_of_a_whole_story_are_as_the_document_says(world: Any) -> None:
    """A film with everything that an analysis may have; held by the client's own hook, and kept as examples when asked for."""
    kept: dict[str, Any] = {}

    async def told(name: str | None, answer: Any) -> Any:
        assert answer.status_code < 300, answer.text
        if name:
            kept[name] = answer.json()
        return answer.json()["data"]

    new = {"email": "ada@example.org", "password": "correct horse", "firstName": "Ada", "lastName": "Lovelace"}
    welcome = await world.client.post("/api/v1/auth/signup", json=new)
    token = (await told("welcome", welcome))["token"]
    kept["welcome"]["data"]["token"] = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl"
    ada = {"Authorization": f"Bearer {token}"}
    await told("user", await world.client.get("/api/v1/auth/profile", headers=ada))
    media = await told("media", await world.upload(ada, samples.clip("mp4"), "ferry.mp4", description="at sea"))
    url, run_id = f"/api/v1/media/{media['id']}", media["latestRunId"]
    await world.frozen(run_id, "FILM-V1", "BAD-V1")
    tokens = await world.attempt_tokens(run_id)
    for each in tokens.values():
        assert (await world.door.get("/attempt", headers=each)).status_code == 200
    picture = samples.picture("PNG")
    declared = {
        "Content-Type": "image/png",
        "X-Kind": "heatmap",
        "X-Content-SHA256": hashlib.sha256(picture).hexdigest(),
    }
    put = await world.door.put(
        "/attempt/artifacts/where.png", headers={**tokens["FILM-V1"], **declared}, content=picture
    )
    assert put.status_code == 200
    done = await world.door.put("/attempt/result", headers=tokens["FILM-V1"], json=RESULT)
    assert done.status_code == 200, done.text
    failure = {"class": "BAD_MEDIA", "message": "The file is damaged."}
    assert (await world.door.put("/attempt/failure", headers=tokens["BAD-V1"], json=failure)).status_code == 200
    await world.conclude(run_id)
    full = await told("full", await world.client.get(url, headers=ada))
    assert (full["status"], len(full["analyses"]), full["verdict"]["label"]) == ("PARTIALLY_ANALYZED", 2, "FAKE")
    await told("list", await world.client.get("/api/v1/media?limit=1", headers=ada))
    await told("frames", await world.client.get(f"{url}/frames?limit=2", headers=ada))
    await told("events", await world.client.get(f"{url}/events?limit=3", headers=ada))
    await told("queue", await world.client.get("/api/v1/monitoring/queue-status", headers=ada))
    for more in (f"{url}/runs", f"{url}/runs/1", "/api/v1/monitoring/stats/analysis", "/api/v1/media?view=summary"):
        await told(None, await world.client.get(more, headers=ada))
    assert kept.keys() == {one.example for one in routes.ROUTES.values() if one.example}
    if os.environ.get("DRISHTIKSHA_WRITE_EXAMPLES"):
        EXAMPLES.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    stored = json.loads(EXAMPLES.read_text())
    assert {name: shape_of(value) for name, value in kept.items()} == {n: shape_of(v) for n, v in stored.items()}


async def test_an_example_says_the_status_that_it_stands_under(document: dict[str, Any]) -> None:
    told = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                example = response.get("content", {}).get("application/json", {}).get("example")
                told += example is not None
                assert example is None or str(example["statusCode"]) == status, f"{method} {path}"
    assert told > 20


def test_a_key_that_is_not_in_the_document_is_found_out() -> None:
    examples = json.loads(EXAMPLES.read_text())
    user = examples["user"]
    assert wrong_with("GET /api/v1/auth/profile", 200, json.dumps(user).encode()) is None
    user["data"]["passwordHash"] = "x"
    assert "data.passwordHash" in (wrong_with("GET /api/v1/auth/profile", 200, json.dumps(user).encode()) or "")
    del user["data"]["passwordHash"], user["data"]["email"]
    assert "data.email" in (wrong_with("GET /api/v1/auth/profile", 200, json.dumps(user).encode()) or "")
    refused = {"success": False, "statusCode": 409, "code": "RUN_ACTIVE", "message": "", "errors": [], "requestId": ""}
    assert (
        wrong_with("GET /api/v1/auth/profile", 409, json.dumps(refused).encode()) == "the code RUN_ACTIVE is not listed"
    )


def test_a_literal_word_is_not_taken_for_an_id() -> None:
    assert route_of("GET", "/api/v1/media/content/x/") == "GET /api/v1/media/content/{media_id}"
    assert route_of("GET", "/api/v1/media/x/runs") == "GET /api/v1/media/{media_id}/runs"
    assert route_of("GET", "/api/v1/media") == "GET /api/v1/media"
    assert route_of("GET", "/nowhere") is None


def shape_of(value: Any) -> Any:
    """Keys and types of a JSON value: what stays the same from story to story."""
    if isinstance(value, dict):
        return {key: shape_of(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape_of(one) for one in value]
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def test_the_types_of_all_answers_can_be_written_as_json_schema() -> None:
    for name, one in routes.ROUTES.items():
        if one.answer is not None:
            assert TypeAdapter(one.answer).json_schema(mode="serialization"), name


RESULT = {
    "protocol": 1,
    "model": "FILM-V1",
    "modelVersion": "1.2.0",
    "prediction": "FAKE",
    "confidence": 0.93,
    "processingTime": 1.25,
    "note": "A patch of the face moves against the head.",
    "artifacts": ["where.png"],
    "frameCount": 3,
    "frames": [{"number": i, "score": 0.9, "prediction": "FAKE", "timestamp": i / 25} for i in range(3)],
    "limits": ["Only the largest face is examined."],
    "facts": {"face_frames": 0.98, "codec": "h264"},
    "metrics": {"windows": 4.0},
    "measure": {"value": 0.62, "kind": "uncalibrated-statistic", "name": "windows_above_1.0"},
    "coverage": {"analysedSeconds": 1.0, "totalSeconds": 1.0, "frames": 3},
    "series": [{"name": "acc_ratio", "unit": "1", "t": [0.0, 0.04], "v": [0.6, None], "threshold": 1.0}],
    "regions": [{"t": 0.0, "box": [1, 2, 30, 40], "score": 0.9, "label": "face"}],
    "modelInfo": {"className": "Film", "device": "cpu", "memoryUsageMb": 120.5, "loadTimeMs": 310.0},
    "systemInfo": {"processingDevice": "cpu", "nodeName": "gpu-0"},
}
