"""Failures of the predecessor that showed in its answers, and that no other file of these tests has a claim for."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import pstdev
from typing import Any

import api_samples as samples
from fastapi.routing import APIRoute


async def test_names_of_models_and_keys_of_their_facts_are_data_and_never_transformed(world: Any) -> None:
    name, facts = "my_model-V1.b_C", {"snake_key": "a", "camelKey": "b", "Kebab-Key": "c"}
    ada = await world.person()
    media = (await world.upload(ada, samples.picture("PNG"))).json()["data"]
    await world.frozen(media["latestRunId"], name)
    token = (await world.attempt_tokens(media["latestRunId"]))[name]
    metrics = {"mean_value": 0.5, "maxValue": 0.75}
    result = {"protocol": 1, "model": name, "prediction": "INCONCLUSIVE", "facts": facts, "metrics": metrics}
    taken = await world.door.put("/attempt/result", headers=token, json=result)
    assert taken.json() == {"accepted": True}, taken.text
    await world.conclude(media["latestRunId"])
    full = (await world.client.get(f"/api/v1/media/{media['id']}", headers=ada)).json()["data"]
    (analysis,) = full["analyses"]
    assert (analysis["model"], analysis["modelName"], analysis["facts"]) == (name, name, facts)
    assert analysis["metrics"] == metrics
    assert full["analysisRuns"][0]["analyses"][0]["resultPayload"]["model_name"] == name


async def test_confidence_std_is_a_standard_deviation_and_no_variance(world: Any) -> None:
    ada = await world.person()
    media = (await world.upload(ada, samples.clip("mp4"), "a.mp4")).json()["data"]
    await world.frozen(media["latestRunId"], "M1")
    token = (await world.attempt_tokens(media["latestRunId"]))["M1"]
    scores = [0.1, 0.9, 0.4, 0.6]
    frames = [{"number": n, "score": s, "prediction": "FAKE", "timestamp": n / 4} for n, s in enumerate(scores)]
    result = {"protocol": 1, "model": "M1", "prediction": "FAKE", "confidence": 0.7, "frames": frames}
    assert (await world.door.put("/attempt/result", headers=token, json=result)).json() == {"accepted": True}
    full = (await world.client.get(f"/api/v1/media/{media['id']}", headers=ada)).json()["data"]
    told = full["analyses"][0]["analysisDetails"]["confidenceStd"]
    assert abs(told - pstdev(scores)) < 1e-9
    assert abs(told - pstdev(scores) ** 2) > 0.1


async def test_there_is_no_route_beyond_the_contract_and_none_for_maintenance(world: Any) -> None:
    known = """
        GET / | GET /api/health | GET /healthz | GET /readyz | GET /docs | GET /docs/start.js | GET /docs/{name}
        POST /api/v1/auth/signup | POST /api/v1/auth/login | POST /api/v1/auth/logout
        GET /api/v1/auth/profile | PUT /api/v1/auth/profile | PUT /api/v1/auth/profile/password
        PUT /api/v1/auth/profile/avatar | DELETE /api/v1/auth/profile/avatar
        POST /api/v1/media | GET /api/v1/media | GET /api/v1/media/{media_id} | PATCH /api/v1/media/{media_id}
        DELETE /api/v1/media/{media_id} | POST /api/v1/media/{media_id}/analyze | POST /api/v1/media/{media_id}/cancel
        GET /api/v1/media/{media_id}/runs | GET /api/v1/media/{media_id}/runs/{number}
        GET /api/v1/media/{media_id}/frames | GET /api/v1/media/{media_id}/events
        GET /api/v1/media/content/{media_id} | GET /api/v1/media/content/{media_id}/artifacts/{artifact_id}
        GET /api/v1/monitoring/server-status | GET /api/v1/monitoring/queue-status
        GET /api/v1/monitoring/server-history | GET /api/v1/monitoring/stats/analysis
        GET /api/v1/monitoring/analysis-stats
    """
    expected = {route.strip() for line in known.strip().splitlines() for route in line.split("|")}
    assert {f"{method} {route.path}" for route in _all(world.api.rest) for method in route.methods} == expected


def _all(router: Any) -> Iterator[APIRoute]:
    """Every route of ours, those of included routers and those that the document hides too."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from _all(route.original_router)
