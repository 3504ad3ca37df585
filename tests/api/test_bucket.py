"""The api and the door with their bytes in a bucket: the same answers, the same promises, and what is different."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import api_samples as samples
import httpx
import pytest
from fault_proxy import FaultProxy
from obstore.store import MemoryStore, S3Store
from s3_server import ACCESS, BUCKET, SECRET, S3Server, throwaway_s3

from drishtiksha.objects import Objects, keys
from drishtiksha.objects.patience import Patience
from drishtiksha.objects.remote import RemoteObjects
from drishtiksha_api import dispatcher as dispatching
from drishtiksha_api.janitor import Janitor

CLIP = samples.clip("mp4")
SHORT = Patience(connect=0.5, request=1.0, retries=1, retry_until=0.5, call=3.0)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with throwaway_s3() as server:
        yield server


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultProxy]:
    with FaultProxy.before(s3.url) as between:
        yield between


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.s3)])
def objects(request: pytest.FixtureRequest) -> Objects:
    """Where the world keeps its bytes; the bucket stands behind a proxy."""
    if request.param == "memory":
        return RemoteObjects(MemoryStore())
    url = request.getfixturevalue("proxy").instead_of(request.getfixturevalue("s3").url)
    account = {"access_key_id": ACCESS, "secret_access_key": SECRET, "region": "us-east-1", "endpoint": url}
    options = {**SHORT.client(), "allow_http": True}
    folder = uuid.uuid4().hex
    store = S3Store(BUCKET, prefix=folder, config=account, client_options=options, retry_config=SHORT.retry())
    return RemoteObjects(store, SHORT)


only_s3 = pytest.mark.parametrize("objects", [pytest.param("s3", marks=pytest.mark.s3)], indirect=True)


async def stored(objects: Objects) -> list[str]:
    return sorted([found.key async for found in objects.list(keys.MEDIA)])


async def erased(world: Any, media: dict[str, Any], headers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatching, "TOMBSTONE_SECONDS", 0.0)
    assert (await world.client.delete(f"/api/v1/media/{media['id']}", headers=headers)).status_code == 200
    await world.due_now()
    await world.api.dispatcher.once()


async def test_bytes_go_in_and_come_out_and_are_gone_with_their_media(
    world: Any, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await world.person()
    media = (await world.upload(ada, CLIP, "clip.mp4")).json()["data"]
    assert (media["size"], media["sha256"]) == (len(CLIP), hashlib.sha256(CLIP).hexdigest())
    assert await stored(objects) == [f"media/{media['id']}/original"]
    whole = await world.client.get(media["url"])
    assert (whole.status_code, whole.content, whole.headers["etag"]) == (200, CLIP, f'"{media["sha256"]}"')
    part = await world.client.get(media["url"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, CLIP[10:20])
    await erased(world, media, ada, monkeypatch)
    assert await stored(objects) == []
    assert (await world.client.get(media["url"])).status_code == 404


async def test_a_refused_upload_leaves_nothing_in_the_bucket(world: Any, objects: Objects) -> None:
    ada = await world.person()
    answers = [await world.upload(ada, data) for data in (b"", b"no media at all", samples.picture("PNG")[:60])]
    assert [answer.status_code for answer in answers] == [400, 415, 422]
    assert await stored(objects) == []


async def test_a_runner_reads_the_bytes_and_hands_in_an_artifact(world: Any, objects: Objects) -> None:
    ada = await world.person()
    media = (await world.upload(ada, CLIP)).json()["data"]
    await world.frozen(media["latestRunId"], "A")
    token = (await world.attempt_tokens(media["latestRunId"]))["A"]
    await world.door.get("/attempt", headers=token)
    assert (await world.door.get("/attempt/media", headers=token)).content == CLIP
    picture = samples.picture("PNG")
    declared = {"X-Kind": "heatmap", "Content-Type": "image/png", "X-Content-SHA256": "0" * 64}
    refused = await world.door.put("/attempt/artifacts/map.png", headers={**token, **declared}, content=picture)
    assert (refused.status_code, await stored(objects)) == (400, [f"media/{media['id']}/original"])
    declared["X-Content-SHA256"] = hashlib.sha256(picture).hexdigest()
    taken = await world.door.put("/attempt/artifacts/map.png", headers={**token, **declared}, content=picture)
    assert (taken.status_code, len(await stored(objects))) == (200, 2)


async def test_the_janitor_takes_what_no_row_needs_out_of_the_bucket(world: Any, objects: Objects) -> None:
    media = (await world.upload(await world.person(), CLIP)).json()["data"]

    async def orphan() -> Any:
        yield b"nobody's"

    await objects.put("media/01890000-0000-7000-8000-00000000000a/original", orphan())
    store = world.api.rest.state.media
    patient = Janitor(world.around.database, store, objects)
    assert (await patient.once(), len(await stored(objects))) == (0, 2)
    at_once = Janitor(world.around.database, store, objects, timedelta(seconds=-5))
    assert (await at_once.once(), await stored(objects)) == (1, [f"media/{media['id']}/original"])


@only_s3
async def test_while_the_bucket_is_away_uploads_are_refused_and_readiness_says_so(
    world: Any, objects: Objects, proxy: FaultProxy
) -> None:
    ada = await world.person()
    media = (await world.upload(ada, CLIP)).json()["data"]
    assert (await world.client.get("/readyz")).status_code == 200
    for fault in (proxy.refuse, proxy.blackhole):
        fault()
        ready = await world.client.get("/readyz")
        assert (ready.status_code, list(ready.json()["missing"])) == (503, ["objects"])
        for answer in (await world.upload(ada, CLIP), await world.client.get(media["url"])):
            assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
            assert answer.json()["details"] == {"what": "objects"}
            assert "retry-after" in answer.headers
        proxy.heal()
        async with asyncio.timeout(30):  # connections that were swallowed are found out one by one
            while (await world.client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.1)
    assert await stored(objects) == [f"media/{media['id']}/original"]
    listed = (await world.client.get("/api/v1/media", headers=ada)).json()["data"]
    assert [one["id"] for one in listed] == [media["id"]]


@only_s3
async def test_where_settings_say_so_a_reader_is_sent_to_the_bucket_and_only_for_a_while(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await world.person()
    media = (await world.upload(ada, CLIP)).json()["data"]
    assert (await world.client.get(media["url"])).status_code == 200
    object.__setattr__(world.around, "redirect", 60.0)
    sent = await world.client.get(media["url"])
    address = sent.headers["location"]
    assert (sent.status_code, sent.headers["cache-control"], sent.content) == (302, "private, no-store", b"")
    assert "X-Amz-Expires=59" in address or "X-Amz-Expires=60" in address
    async with httpx.AsyncClient() as anybody:
        assert (await anybody.get(address)).content == CLIP
        part = await anybody.get(address, headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, CLIP[10:20])
        assert (await anybody.get(address[:-4] + "0000")).status_code == 403

        # A HEAD and a name to save under are ours; nobody is sent on without a good link, or after the deletion.
        assert (await world.client.head(media["url"])).status_code == 200
        saved = await world.client.get(media["url"] + "&download=1")
        assert (saved.status_code, saved.content) == (200, CLIP)
        assert (await world.client.get(media["url"].partition("?")[0])).status_code == 401
        await erased(world, media, ada, monkeypatch)
        assert (await world.client.get(media["url"])).status_code == 404
        assert (await anybody.get(address)).status_code == 404
