"""A bucket that is slow, away or not ours, and what an upload costs. On a real S3 server, with a proxy in between."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from fault_proxy import FaultProxy, Wire
from measured_store import grown
from obstore.store import MemoryStore, S3Store
from s3_server import ACCESS, BUCKET, SECRET, S3Server, throwaway_s3

from drishtiksha.domain.errors import Unavailable
from drishtiksha.objects import ObjectMissing, Objects, keys
from drishtiksha.objects.at_hand import at_hand
from drishtiksha.objects.patience import Patience
from drishtiksha.objects.remote import RemoteObjects

KEY = keys.original("01890000-0000-7000-8000-00000000000a")
LARGE = 17 * 1024 * 1024
SHORT = Patience(connect=0.5, request=1.0, retries=1, retry_until=0.5, call=3.0)


async def stream(data: bytes, step: int = 300_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]


async def read(objects: Objects) -> bytes:
    return b"".join([block async for block in objects.get(KEY)])


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """A server of this module's own: its tests look at everything that lies there."""
    with throwaway_s3() as server:
        yield server


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultProxy]:
    with FaultProxy.before(s3.url) as between:
        yield between


def store(url: str, patience: Patience = SHORT, bucket: str = BUCKET, **other: str) -> RemoteObjects:
    account = {"access_key_id": ACCESS, "secret_access_key": SECRET, "region": "us-east-1", **other}
    client = {**patience.client(), "allow_http": True}
    made = S3Store(bucket, config={"endpoint": url, **account}, client_options=client, retry_config=patience.retry())
    return RemoteObjects(made, patience)


@pytest.fixture
async def behind(s3: S3Server, proxy: FaultProxy) -> AsyncIterator[RemoteObjects]:
    """A store behind the proxy, with one object in it."""
    made = store(proxy.instead_of(s3.url))
    yield made
    proxy.heal()
    await made.delete(KEY)
    assert s3.files() == []


async def verbs(objects: RemoteObjects) -> list[str]:
    """Which verbs said that the store does not answer."""
    said = []
    asked = {
        "put": objects.put(KEY, stream(b"abc")),
        "get": read(objects),
        "stat": objects.stat(KEY),
        "delete": objects.delete(KEY),
        "list": anext(aiter(objects.list(keys.MEDIA)), None),
        "check": objects.check(),
    }
    for name, verb in asked.items():
        try:
            await verb
        except Unavailable as error:
            said.append(f"{name}: {error.what}")
    return said


ALL = [f"{name}: objects" for name in ("put", "get", "stat", "delete", "list", "check")]


@pytest.mark.s3
@pytest.mark.parametrize("fault", ["refuse", "reset", "blackhole"])
async def test_a_store_that_does_not_answer_is_said_to_be_unavailable_in_time(
    behind: RemoteObjects, proxy: FaultProxy, fault: str
) -> None:
    await behind.put(KEY, stream(b"abc"))
    getattr(proxy, fault)()
    begun = time.monotonic()
    assert await verbs(behind) == ALL
    assert time.monotonic() - begun < len(ALL) * (SHORT.call + 1)
    proxy.heal()
    assert await read(behind) == b"abc"


@pytest.mark.s3
async def test_an_upload_whose_store_goes_away_in_its_middle_is_refused_and_has_no_name(
    behind: RemoteObjects, proxy: FaultProxy, s3: S3Server
) -> None:
    async def cut() -> AsyncIterator[bytes]:
        for _ in range(3):
            async for chunk in stream(os.urandom(6_000_000)):
                yield chunk
        proxy.refuse()
        async for chunk in stream(os.urandom(6_000_000)):
            yield chunk

    with pytest.raises(Unavailable):
        await behind.put(KEY, cut())
    proxy.heal()
    assert await behind.stat(KEY) is None
    # The parts that were there when it went away could not be taken back: the bucket's lifecycle rule ends them.
    left = s3.files()
    assert left
    assert all(path.startswith(".sgwtmp/multipart/") for path in left)
    for path in left:
        (s3.folder / BUCKET / path).unlink()


class Lost(Wire):
    """The server does as it was told, and its answers to one kind of request never arrive."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._asked = False

    def client_said(self, data: bytes) -> tuple[bytes, bool]:
        if data.startswith((b"GET ", b"HEAD ", b"PUT ", b"POST ", b"DELETE ")):
            line = data.split(b"\r\n", 1)[0]
            self._asked = line.startswith(self._request) and (self._request != b"POST" or b"uploadId=" in line)
        return data, False

    def server_said(self, data: bytes) -> tuple[bytes, bool]:
        return (b"", True) if self._asked else (data, False)


@pytest.mark.s3
@pytest.mark.parametrize("request_line", [b"POST", b"HEAD", b"PUT"], ids=["complete", "stat", "part"])
async def test_an_answer_that_is_lost_leaves_a_whole_object_or_none(s3: S3Server, request_line: bytes) -> None:
    honest = store(s3.url)
    with FaultProxy.before(s3.url, lambda: Lost(request_line)) as proxy:
        objects = store(proxy.instead_of(s3.url))
        with pytest.raises(Unavailable):
            await objects.put(KEY, stream(os.urandom(LARGE)))
        assert proxy.cuts > 0
    assert await honest.stat(KEY) is None
    assert s3.files() == []


@pytest.mark.s3
async def test_the_parts_of_a_broken_and_of_a_cancelled_upload_are_taken_back(s3: S3Server) -> None:
    objects = store(s3.url)
    seen: list[str] = []
    reached = asyncio.Event()

    async def source(then: BaseException | None) -> AsyncIterator[bytes]:
        async for chunk in stream(os.urandom(LARGE)):
            yield chunk
        seen.extend(s3.files())
        reached.set()
        if then:
            raise then
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError):
        await objects.put(KEY, source(RuntimeError("cut")))
    assert seen != []
    assert s3.files() == []
    reached.clear()
    task = asyncio.create_task(objects.put(KEY, source(None)))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert s3.files() == []


class CutOnce(Wire):
    """One answer ends in its middle; the others are whole."""

    def __init__(self, left: list[int]) -> None:
        self._left = left

    def client_said(self, data: bytes) -> tuple[bytes, bool]:
        return data, False

    def server_said(self, data: bytes) -> tuple[bytes, bool]:
        before = self._left[0]
        self._left[0] -= len(data)
        return data, before > 0 >= self._left[0]


@pytest.mark.s3
async def test_a_download_that_is_cut_goes_on_and_one_that_stays_cut_is_unavailable(s3: S3Server) -> None:
    honest, data = store(s3.url), os.urandom(5_000_000)
    await honest.put(KEY, stream(data))
    left = [1_000_000]
    with FaultProxy.before(s3.url, lambda: CutOnce(left)) as proxy:
        assert await read(store(proxy.instead_of(s3.url))) == data
        assert proxy.cuts == 1
    with FaultProxy.before(s3.url) as proxy:
        proxy.to_client.cut_after = 1_000_000  # of each connection: no block comes whole
        with pytest.raises(Unavailable):
            await read(store(proxy.instead_of(s3.url)))
    await honest.delete(KEY)


@pytest.mark.s3
async def test_a_reader_who_pauses_for_longer_than_a_request_may_take_goes_on(s3: S3Server) -> None:
    objects = store(s3.url)
    data = os.urandom(5_000_000)
    await objects.put(KEY, stream(data))
    got = b""
    async for block in objects.get(KEY):
        got += block
        await asyncio.sleep(SHORT.request * 1.2 if len(got) == len(block) else 0)
    assert got == data
    await objects.delete(KEY)


@pytest.mark.s3
async def test_an_object_that_changes_under_a_reader_is_not_mixed(s3: S3Server) -> None:
    objects = store(s3.url)
    await objects.put(KEY, stream(b"a" * 5_000_000))
    got = b""
    with pytest.raises(Unavailable):
        async for block in objects.get(KEY):
            got += block
            await objects.put(KEY, stream(b"b" * 5_000_000))
    assert set(got) == {ord("a")}
    await objects.delete(KEY)


@pytest.mark.s3
async def test_a_bucket_that_is_not_there_is_unavailable_and_not_empty(s3: S3Server) -> None:
    objects = store(s3.url, bucket="nobodys")
    with pytest.raises(Unavailable):
        await read(objects)
    with pytest.raises(Unavailable):
        await anext(aiter(objects.list(keys.MEDIA)))
    with pytest.raises(Unavailable):
        await objects.check()


@pytest.mark.s3
async def test_refused_keys_are_unavailable_and_stand_in_no_text(s3: S3Server) -> None:
    objects = store(s3.url, secret_access_key="canary-another-secret")
    with structlog.testing.capture_logs() as logged:
        for verb in (objects.check(), objects.put(KEY, stream(b"abc")), objects.stat(KEY)):
            with pytest.raises(Unavailable) as refused:
                await verb
            assert str(refused.value) == "The object store does not answer."
            assert refused.value.__cause__ is None
    assert [line["code"] for line in logged if line["code"]] != []
    assert "canary" not in str(logged)
    assert ACCESS not in str(logged)


@pytest.mark.s3
async def test_many_questions_to_a_silent_store_all_end_in_time(behind: RemoteObjects, proxy: FaultProxy) -> None:
    proxy.blackhole()
    begun = time.monotonic()
    said = await asyncio.gather(*(behind.stat(KEY) for _ in range(200)), return_exceptions=True)
    assert {type(one) for one in said} == {Unavailable}
    assert time.monotonic() - begun < SHORT.call + 2


@pytest.mark.s3
def test_a_hundred_megabytes_pass_through_a_few(s3: S3Server, tmp_path: Path) -> None:
    up, down = grown(100, s3.settings(folder="measured"), tmp_path)
    assert up < 40
    assert down < 60


async def test_bytes_that_come_back_changed_are_not_at_hand() -> None:
    objects = RemoteObjects(MemoryStore())
    stored = await objects.put(KEY, stream(b"what was given"))
    await objects.put(KEY, stream(b"what is stored"))
    with pytest.raises(Unavailable, match="did not keep"):
        async with at_hand(objects, KEY, stored):
            pass
    await objects.delete(KEY)
    with pytest.raises(Unavailable, match="lost"):
        async with at_hand(objects, KEY, stored):
            pass


async def test_an_object_that_vanishes_under_its_reader_says_so() -> None:
    objects = RemoteObjects(MemoryStore())
    await objects.put(KEY, stream(b"a" * 5_000_000))
    with pytest.raises(ObjectMissing):
        async for _ in objects.get(KEY):
            await objects.delete(KEY)
