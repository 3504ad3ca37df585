"""The runner protocol: a runner is not trusted, and a stale one can write nothing."""

from __future__ import annotations

import gzip
import hashlib
import json
import uuid
import zlib
from typing import Any

import api_samples as samples
import pytest

from drishtiksha import protocol
from drishtiksha.domain.errors import Unavailable
from drishtiksha_api.bodies import read_limited
from drishtiksha_api.door.places import Places, Throttle
from drishtiksha_api.problems import Problem

PICTURE = samples.picture("PNG")
RESULT = {"protocol": 1, "model": "M1", "prediction": "INCONCLUSIVE"}


async def begun(world: Any, *models: str) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """A run whose attempts have started: the media, and each runner's headers."""
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    await world.frozen(media["latestRunId"], *(models or ("M1",)))
    tokens = await world.attempt_tokens(media["latestRunId"])
    for headers in tokens.values():
        assert (await world.door.get("/attempt", headers=headers)).status_code == 200
    return {**media, "owner": ada}, tokens


def put_artifact(world: Any, token: dict[str, str], data: bytes, name: str = "a.png", **headers: str) -> Any:
    sha256 = hashlib.sha256(data).hexdigest()
    declared = {"Content-Type": "image/png", "X-Kind": "heatmap", "X-Content-SHA256": sha256, **headers}
    return world.door.put(f"/attempt/artifacts/{name}", headers={**token, **declared}, content=data)


async def test_a_token_that_we_did_not_sign_opens_nothing(world: Any) -> None:
    _, tokens = await begun(world)
    good = tokens["M1"]["Authorization"]
    for bad in ("", "Bearer x", good[:-1] + ("A" if good[-1] != "A" else "B"), good.replace("v1.k1", "v1.k2")):
        for method, path in (("GET", "/attempt"), ("GET", "/attempt/media"), ("PUT", "/attempt/result")):
            refused = await world.door.request(method, path, headers={"Authorization": bad})
            assert refused.status_code == 401, (bad, path)


async def test_the_bytes_come_in_ranges_too(world: Any) -> None:
    media, tokens = await begun(world)
    part = await world.door.get("/attempt/media", headers={**tokens["M1"], "Range": "bytes=5-"})
    assert (part.status_code, part.content) == (206, PICTURE[5:])
    assert part.headers["etag"] == f'"{media["sha256"]}"'


@pytest.mark.parametrize("ending", ["cancelled", "deleted", "concluded"])
async def test_every_route_says_fenced_once_the_run_is_over(world: Any, ending: str) -> None:
    media, tokens = await begun(world)
    token, url = tokens["M1"], f"/api/v1/media/{media['id']}"
    if ending == "cancelled":
        await world.client.post(f"{url}/cancel", headers=media["owner"])
    elif ending == "deleted":
        await world.client.delete(url, headers=media["owner"])
    else:
        failure = {"class": "BAD_MEDIA", "message": "broken"}
        await world.door.put("/attempt/failure", headers=token, json=failure)
        await world.conclude(media["latestRunId"])
    for refused in (
        await world.door.get("/attempt", headers=token),
        await world.door.get("/attempt/media", headers=token),
        await world.door.post("/attempt/progress", headers=token),
        await put_artifact(world, token, b"x"),
        await world.door.put("/attempt/result", headers=token, json=RESULT),
    ):
        assert (refused.status_code, refused.json()["code"]) == (409, "FENCED")
    assert all("artifacts" not in name for name in world.stored_files())


async def test_a_result_that_is_not_of_the_protocol_is_refused_and_stores_nothing(world: Any) -> None:
    _media, tokens = await begun(world)
    bad: list[tuple[bytes, int]] = [
        (json.dumps(RESULT | change).encode(), 400)
        for change in (
            {"model": "OTHER"},
            {"protocol": 2},
            {"prediction": "MAYBE"},
            {"confidence": 1.7},
            {"frames": [{"number": 0, "score": -0.1, "prediction": "FAKE"}]},
            {"surprise": 1},
            {"artifacts": ["never-put.png"]},
            {"note": "a\x00b"},
            {"facts": {"x": "\ud800"}},
        )
    ]
    bad += [(b"", 400), (b"[]", 400), (b"{", 400), (b'{"protocol": NaN}', 400), (b"<html>", 400)]
    for body, status in bad:
        refused = await world.door.put("/attempt/result", headers=tokens["M1"], content=body)
        assert (refused.status_code, refused.json()["success"]) == (status, False), body
    accepted = await world.door.put("/attempt/result", headers=tokens["M1"], json=RESULT)
    assert accepted.json() == {"accepted": True}


async def test_a_zip_bomb_is_refused_while_it_unfolds() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    unfolded = 0
    real = zlib.decompressobj

    class Watching:
        def __init__(self, *args: int) -> None:
            self._inner = real(*args)

        def decompress(self, data: bytes, room: int) -> bytes:
            nonlocal unfolded
            out = self._inner.decompress(data, room)
            unfolded += len(out)
            return out

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    async def chunks() -> Any:
        for at in range(0, len(bomb), 4096):
            yield bomb[at : at + 4096]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Problem) as refused:
        patch.setattr(zlib, "decompressobj", Watching)
        await read_limited(chunks(), 1_000_000, gzip=True)
    assert refused.value.code == "TOO_LARGE"
    assert unfolded <= 1_000_001


async def test_a_body_that_is_too_long_or_no_gzip_is_refused(world: Any) -> None:
    _, tokens = await begun(world)
    long = b" " * (protocol.MAX_RESULT_BYTES + 1)
    assert (await world.door.put("/attempt/result", headers=tokens["M1"], content=long)).status_code == 413
    zipped = {**tokens["M1"], "Content-Encoding": "gzip"}
    whole = gzip.compress(json.dumps(RESULT).encode())
    for body in (b"no gzip", whole[:-9]):
        refused = await world.door.put("/attempt/result", headers=zipped, content=body)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "MALFORMED_GZIP")
    chatty = await world.door.post("/attempt/progress", headers=tokens["M1"], content=b" " * 5000)
    assert chatty.status_code == 413


async def test_at_most_four_results_are_held_and_the_fifth_is_asked_to_come_again() -> None:
    places = Places()
    held = [places.taken(uuid.uuid4()) for _ in range(4)]
    for one in held:
        one.__enter__()
    with pytest.raises(Problem) as refused, places.taken(uuid.uuid4()):
        pass
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "1")
    held[0].__exit__(None, None, None)
    with places.taken(uuid.uuid4()):
        pass


def test_an_attempt_speaks_at_most_four_times_a_second() -> None:
    throttle = Throttle(per_second=0.001)
    one, other = uuid.uuid4(), uuid.uuid4()
    assert [throttle.allows(one), throttle.allows(one), throttle.allows(other)] == [True, False, True]


async def test_an_artifact_is_taken_only_as_declared(world: Any) -> None:
    _, tokens = await begun(world)
    token = tokens["M1"]
    refused = [
        (await put_artifact(world, token, b"x", **{"X-Content-SHA256": "0" * 64}), 400),
        (await put_artifact(world, token, b"x", **{"X-Content-SHA256": "short"}), 400),
        (await put_artifact(world, token, b"x", **{"X-Kind": "Heat Map"}), 400),
        (await put_artifact(world, token, b"x", **{"Content-Type": "text/html"}), 415),
        (await put_artifact(world, token, b"x", **{"Content-Type": "image/svg+xml"}), 415),
        (await put_artifact(world, token, b"x", name="..%2f..%2fx"), 404),
        (await put_artifact(world, token, b"x", name=".hidden"), 400),
        (await put_artifact(world, token, b"x", **{"Content-Length": str(protocol.MAX_ARTIFACT_BYTES + 1)}), 413),
    ]
    assert [answer.status_code for answer, _ in refused] == [status for _, status in refused]
    assert all("artifacts" not in name for name in world.stored_files())


async def test_an_artifact_put_again_replaces_the_first_and_there_are_at_most_so_many(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tokens = await begun(world)
    token = tokens["M1"]
    monkeypatch.setattr(protocol, "MAX_ARTIFACTS", 1)
    assert (await put_artifact(world, token, b"one")).status_code == 200
    assert (await put_artifact(world, token, b"two")).status_code == 200
    stored = [name for name in world.stored_files() if "artifacts" in name]
    assert [(world.objects_path / name).read_bytes() for name in stored] == [b"two"]
    assert (await put_artifact(world, token, b"three", name="b.png")).status_code == 400
    assert [name for name in world.stored_files() if "artifacts" in name] == stored


async def test_a_failure_is_one_of_the_runner_s_own_classes(world: Any) -> None:
    _, tokens = await begun(world)
    for bad in ({"class": "CRASHED", "message": "x"}, {"class": "BAD_MEDIA"}, {"class": "BAD_MEDIA", "message": 5}, {}):
        refused = await world.door.put("/attempt/failure", headers=tokens["M1"], json=bad)
        assert refused.status_code == 400, bad


async def test_a_database_that_is_away_is_503_for_the_runner_to_repeat(world: Any, monkeypatch: Any) -> None:
    _, tokens = await begun(world)

    async def away(*_args: Any) -> None:
        raise Unavailable("postgres", "no answer", 7)

    from drishtiksha.database.results import Results

    monkeypatch.setattr(Results, "store", away)
    refused = await world.door.put("/attempt/result", headers=tokens["M1"], json=RESULT)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")


async def test_frames_of_a_film_come_back_by_rest(world: Any) -> None:
    ada = await world.person()
    media = (await world.upload(ada, samples.clip("mp4"), "a.mp4")).json()["data"]
    await world.frozen(media["latestRunId"], "M1")
    token = (await world.attempt_tokens(media["latestRunId"]))["M1"]
    frames = [{"number": i, "score": i / 10, "prediction": "REAL", "timestamp": i / 12} for i in range(6)]
    result = RESULT | {"prediction": "REAL", "confidence": 0.8, "frames": frames, "frameCount": 6}
    assert (await world.door.put("/attempt/result", headers=token, json=result)).json() == {"accepted": True}
    await world.conclude(media["latestRunId"])
    full = (await world.client.get(f"/api/v1/media/{media['id']}", headers=ada)).json()["data"]
    (analysis,) = full["analyses"]
    assert [f["score"] for f in analysis["frameAnalysis"]] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert analysis["framesTotal"] == 6
    assert analysis["analysisDetails"]["frameCount"] == 6
    assert analysis["temporalAnalysis"]["realFrames"] == 6
    assert (analysis["basis"], analysis["confidence"]) == ("CLAIMED", 0.8)
    payload = full["analysisRuns"][0]["analyses"][0]["resultPayload"]
    assert payload["frame_predictions"][1] == {"index": 1, "score": 0.1, "prediction": "REAL"}
    (listed,) = (await world.client.get("/api/v1/media", headers=ada)).json()["data"]
    assert listed["analyses"][0]["frameAnalysis"] == []
    assert listed["analyses"][0]["framesTotal"] == 6
