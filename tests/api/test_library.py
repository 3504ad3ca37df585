"""The list of media over HTTP: the caller's words for filters, sorts and views, and the pages of a list."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from shelves import Shelf

MEDIA = "/api/v1/media"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHILDREN = {
    "limits": [], "facts": {}, "metrics": {}, "evidence": {"series": [], "regions": []}, "analysisDetails": None,
    "frameAnalysis": [], "temporalAnalysis": None, "audioAnalysis": None, "imageAnalysis": None, "modelInfo": None,
    "systemInfo": None, "errors": [], "artifacts": [], "visualizedUrl": None,
}  # fmt: skip


async def shelf_of(world: Any, headers: dict[str, str]) -> Shelf:
    profile = await world.client.get("/api/v1/auth/profile", headers=headers)
    return Shelf(world.around.database, uuid.UUID(profile.json()["data"]["id"]))


async def asked(world: Any, headers: dict[str, str], **params: Any) -> list[str]:
    answer = await world.client.get(MEDIA, headers=headers, params=params)
    assert answer.status_code == 200, answer.text
    return [media["filename"] for media in answer.json()["data"]]


async def test_the_words_of_a_query_choose_sort_and_page(world: Any) -> None:
    ada = await world.person()
    shelf = await shelf_of(world, ada)
    await shelf.put("b.mp4", kind="VIDEO", status="ANALYZED", verdict="FAKE", size=30, created_at=NOON)
    await shelf.put("a%.png", sha256="ef" * 32, size=20, created_at=NOON + timedelta(hours=1))
    await shelf.put("ä.png", size=10, created_at=NOON + timedelta(hours=2), description="Holiday")
    newest = ["ä.png", "a%.png", "b.mp4"]
    assert await asked(world, ada) == await asked(world, ada, sort="-createdAt") == newest
    assert await asked(world, ada, sort="createdAt") == newest[::-1]
    assert await asked(world, ada, sort="size") == newest
    assert (await asked(world, ada, sort="filename"))[:2] == ["a%.png", "b.mp4"]
    assert await asked(world, ada, verdict="FAKE", mediaType="VIDEO", status="ANALYZED") == ["b.mp4"]
    assert await asked(world, ada, sha256="EF" * 32) == ["a%.png"]
    assert await asked(world, ada, q="holi") == ["ä.png"]
    assert await asked(world, ada, q="%") == ["a%.png"]
    span = {"from": "2026-03-01T14:00:00+01:00", "to": "2026-03-01T14:00:00.000Z"}
    assert await asked(world, ada, **span) == ["a%.png"]
    assert await asked(world, ada, **{"from": "0001-01-01T00:00:00+23:59", "to": "9999-12-31T23:59:59-23:59"}) == newest
    for sort in ("-createdAt", "createdAt", "filename", "size"):
        whole, params = await asked(world, ada, sort=sort), {"sort": sort, "limit": 1}
        seen = []
        for _ in whole:
            page = await world.client.get(MEDIA, headers=ada, params=params)
            seen += [media["filename"] for media in page.json()["data"]]
            params["cursor"] = page.headers.get("x-next-cursor", "")
        assert seen == whole
        assert "x-next-cursor" not in page.headers


def sealed(*said: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


SOMEBODY = str(uuid.uuid4())
BAD = [
    ("sort=name", "sort", "NOT_ALLOWED"),
    ("view=all", "view", "NOT_ALLOWED"),
    ("view=full", "limit", "TOO_LARGE"),
    ("view=full&limit=11", "limit", "TOO_LARGE"),
    ("verdict=MAYBE", "verdict", "NOT_ALLOWED"),
    ("sha256=abc", "sha256", "BAD_FORMAT"),
    ("q=a%00b", "q", "BAD_FORMAT"),
    ("q=" + "x" * 201, "q", "TOO_LONG"),
    ("from=yesterday", "from", "BAD_FORMAT"),
    ("from=2026-03-01T12:00:00", "from", "BAD_FORMAT"),
    ("to=2026-03-01", "to", "BAD_FORMAT"),
    ("to=2026-03-01T12:00:00+01:00", "to", "INVALID"),
    ("cursor=", "cursor", "INVALID"),
    ("cursor=%C3%A4", "cursor", "INVALID"),
    ("cursor=" + sealed(), "cursor", "INVALID"),
    ("cursor=" + sealed(5, "x", SOMEBODY), "cursor", "INVALID"),
    ("cursor=" + sealed("-createdAt", "today", SOMEBODY), "cursor", "INVALID"),
    ("cursor=" + sealed("-createdAt", "2026-03-01T12:00:00", SOMEBODY), "cursor", "INVALID"),
    ("cursor=" + sealed("-createdAt", "2026-03-01T12:00:00Z", "nobody"), "cursor", "INVALID"),
    ("cursor=" + sealed("filename", "a", SOMEBODY), "cursor", "OTHER_LIST"),
    ("sort=filename&cursor=" + sealed("filename", "a\x00", SOMEBODY), "cursor", "INVALID"),
    ("sort=filename&cursor=" + sealed("filename", "\ud800", SOMEBODY), "cursor", "INVALID"),
    ("sort=size&cursor=" + sealed("size", 2**63, SOMEBODY), "cursor", "INVALID"),
    ("sort=size&cursor=" + sealed("size", True, SOMEBODY), "cursor", "INVALID"),
    ("sort=size&cursor=" + "W1" * 900, "cursor", "INVALID"),
]


async def test_a_bad_word_is_refused_by_its_name_and_an_unknown_one_is_ignored(world: Any) -> None:
    ada = await world.person()
    for query, field, code in BAD:
        refused = await world.client.get(f"{MEDIA}?{query}", headers=ada)
        assert refused.status_code == 400, (query, refused.text)
        (error,) = refused.json()["errors"]
        assert (error["field"], error["code"]) == (field, code), query
    assert (await world.client.get(f"{MEDIA}?colour=blue&offset=x&view=summary", headers=ada)).status_code == 200
    other = await world.client.get(f"{MEDIA}?sort=size&cursor={sealed('filename', 'a', SOMEBODY)}", headers=ada)
    assert "list filename, not to size" in other.json()["errors"][0]["message"]
    lost = await world.client.get(f"{MEDIA}?from=2026-03-01T12:00:00+01:00", headers=ada)
    assert "%2B" in lost.json()["errors"][0]["message"]


async def test_a_view_says_how_much_of_an_analysis_is_shown(world: Any) -> None:
    ada = await world.person()
    shelf = await shelf_of(world, ada)
    video = await shelf.put("a.mp4", kind="VIDEO", status="ANALYZED", verdict="FAKE")
    await shelf.examined(video, "M1", [0.25, 0.75])
    shown = {}
    for view in (None, "summary", "full"):
        params = {"limit": 10, **({"view": view} if view else {})}
        (media,) = (await world.client.get(MEDIA, headers=ada, params=params)).json()["data"]
        (analysis,) = media["analyses"]
        assert {**media["analysisRuns"][0]["analyses"][0], "resultPayload": 0} == {**analysis, "resultPayload": 0}
        assert media["videoMetadata"]["width"] == 64
        shown[view] = (media, analysis)
    detail = (await world.client.get(f"{MEDIA}/{video.id}", headers=ada)).json()["data"]
    assert shown["full"][0] == detail
    assert [f["score"] for f in detail["analyses"][0]["frameAnalysis"]] == [0.25, 0.75]
    assert shown[None][1].keys() == shown["summary"][1].keys() == shown["full"][1].keys()
    assert shown[None][1]["frameAnalysis"] == []
    assert shown["summary"][1] == {**shown["full"][1], **CHILDREN}
    assert shown["summary"][0]["analysisRuns"][0]["analyses"][0]["resultPayload"] is None
    assert shown[None][0]["analysisRuns"][0]["analyses"][0]["resultPayload"]["frames_analyzed"] == 2


async def test_every_parameter_of_reading_says_what_it_means(world: Any) -> None:
    document = (await world.client.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        if path.startswith(MEDIA) and "get" in methods and "content" not in path:
            for parameter in methods["get"].get("parameters", []):
                assert parameter["in"] == "path" or parameter.get("description"), (path, parameter["name"])


@pytest.mark.parametrize("tail", ["", "/runs", "/runs/1"])
async def test_reading_takes_head_and_a_slash_and_knows_what_a_client_has(world: Any, tail: str) -> None:
    ada = await world.person()
    media = await (await shelf_of(world, ada)).put()
    path = f"{MEDIA}/{media.id}{tail}"
    got = await world.client.get(path, headers=ada)
    head = await world.client.head(f"{path}/", headers=ada)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", got.headers["etag"])
    assert head.headers["content-length"] == str(len(got.content))
    again = await world.client.get(path, headers={**ada, "If-None-Match": f'"x", {got.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
