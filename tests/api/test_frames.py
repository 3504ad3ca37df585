"""Frames as rows: of one run, by model and number, page by page, for their owner."""

from __future__ import annotations

import uuid
from typing import Any

from test_library import MEDIA, sealed, shelf_of

SCORES = {"M1": [0.1, 0.95, 0.5, 0.9], "M2": [0.91, 0.2], "a-model": [0.99]}


async def rows(world: Any, headers: dict[str, str], path: str, **params: Any) -> list[tuple[str, int]]:
    answer = await world.client.get(path, headers=headers, params=params)
    assert answer.status_code == 200, answer.text
    return [(row["model"], row["frameNumber"]) for row in answer.json()["data"]]


async def test_frames_come_by_model_and_number_and_filters_keep_what_they_say(world: Any) -> None:
    ada = await world.person()
    shelf = await shelf_of(world, ada)
    video = await shelf.put("a.mp4", kind="VIDEO", status="ANALYZED", verdict="FAKE")
    ids = {model: await shelf.examined(video, model, scores) for model, scores in SCORES.items()}
    path = f"{MEDIA}/{video.id}/frames"
    everything = [(model, number) for model in SCORES for number in range(len(SCORES[model]))]
    assert await rows(world, ada, path) == everything
    first = (await world.client.get(path, headers=ada, params={"limit": 1})).json()["data"]
    assert first == [
        {
            "model": "M1", "analysisId": str(ids["M1"]), "frameNumber": 0, "confidence": 0.1, "score": 0.1,
            "prediction": "REAL", "timestamp": 0.0,
        }
    ]  # fmt: skip
    high = [("M1", 1), ("M1", 3), ("M2", 0), ("a-model", 0)]
    assert await rows(world, ada, path, prediction="FAKE", minScore=0.9) == high
    assert await rows(world, ada, path, prediction="REAL") == [("M1", 0), ("M2", 1)]
    assert await rows(world, ada, path, model="M2", run=1) == [("M2", 0), ("M2", 1)]
    assert await rows(world, ada, path, model="M2\x00") == await rows(world, ada, path, prediction="INCONCLUSIVE") == []
    for limit in (1, 2, 3, 7):
        for filters in ({}, {"minScore": 0.9}):
            seen: list[tuple[str, int]] = []
            params: dict[str, Any] = {**filters, "limit": limit}
            while True:
                page = await world.client.get(path, headers=ada, params=params)
                seen += [(row["model"], row["frameNumber"]) for row in page.json()["data"]]
                if "x-next-cursor" not in page.headers:
                    break
                assert len(page.json()["data"]) == limit
                params["cursor"] = page.headers["x-next-cursor"]
            assert seen == (high if filters else everything)


async def test_a_page_goes_on_in_its_run_when_another_one_has_begun(world: Any) -> None:
    ada = await world.person()
    shelf = await shelf_of(world, ada)
    video = await shelf.put("a.mp4", kind="VIDEO", status="ANALYZED", verdict="FAKE")
    await shelf.examined(video, "M1", SCORES["M1"])
    path = f"{MEDIA}/{video.id}/frames"
    begun = (await world.client.get(path, headers=ada, params={"limit": 3})).headers["x-next-cursor"]
    assert (await world.client.post(f"{MEDIA}/{video.id}/analyze", headers=ada)).status_code == 202
    assert await rows(world, ada, path) == await rows(world, ada, path, run=2) == []
    assert (
        await rows(world, ada, path, cursor=begun) == [("M1", 3)] == await rows(world, ada, path, cursor=begun, run=1)
    )
    refused = await world.client.get(path, headers=ada, params={"cursor": begun, "run": 2})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "OTHER_LIST")


async def test_bad_words_about_frames_are_400_and_strangers_learn_nothing(world: Any) -> None:
    ada, eve = await world.person(), await world.person()
    video = await (await shelf_of(world, ada)).put("a.mp4", kind="VIDEO")
    path = f"{MEDIA}/{video.id}/frames"
    for query, field in (
        ("prediction=fake", "prediction"), ("minScore=1.1", "minScore"), ("minScore=nan", "minScore"),
        ("minScore=x", "minScore"), ("run=0", "run"), ("run=99999999999", "run"), ("limit=0", "limit"),
        ("limit=10001", "limit"), (f"cursor={sealed('size', 1, 'x')}", "cursor"), ("cursor=x", "cursor"),
    ):  # fmt: skip
        refused = await world.client.get(f"{path}?{query}", headers=ada)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, field), query
    largest = sealed("frames", 2**62, "M1", 2**62)
    answers = [
        await world.client.get(where, headers=who)
        for where, who in (
            (path, eve), (f"{MEDIA}/{uuid.uuid4()}/frames", eve), (f"{MEDIA}/x/frames", eve),
            (f"{path}?run=2", ada), (f"{path}?cursor={largest}", ada),
        )
    ]  # fmt: skip
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text.replace(answer.headers["x-request-id"], "") for answer in answers}) == 1
    head = await world.client.head(f"{path}/", headers=ada)
    assert (head.status_code, head.content) == (200, b"")
