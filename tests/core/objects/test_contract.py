"""What every object store promises, whichever it is: one suite for all of them."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from drishtiksha.objects import ObjectMissing, Objects, Stored, keys
from drishtiksha.objects.at_hand import at_hand

MEDIA = "01890000-0000-7000-8000-00000000000a"
OTHER = "01890000-0000-7000-8000-00000000000b"
KEY = keys.original(MEDIA)
LARGE = 17 * 1024 * 1024 + 3
"""Bytes: three parts of an upload and a rest, nine blocks of a download."""


async def stream(data: bytes, step: int = 300_000, then: BaseException | None = None) -> AsyncIterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]
    if then:
        raise then


async def read(objects: Objects, key: str, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([block async for block in objects.get(key, start, length)])


async def listed(objects: Objects, prefix: str = keys.MEDIA) -> set[str]:
    return {found.key async for found in objects.list(prefix)}


@pytest.mark.parametrize("size", [0, 1, 700_000, LARGE])
async def test_what_was_put_comes_back_whole_with_its_size_and_hash(objects: Objects, size: int) -> None:
    data, before = os.urandom(size), datetime.now(UTC)
    stored = await objects.put(KEY, stream(data))
    assert stored == Stored(size, hashlib.sha256(data).hexdigest())
    assert await read(objects, KEY) == data
    found = await objects.stat(KEY)
    assert found is not None
    assert (found.key, found.size, found.modified.utcoffset()) == (KEY, size, timedelta())
    assert abs(found.modified - before) < timedelta(seconds=60)


async def test_a_range_is_exactly_the_bytes_asked_for(objects: Objects) -> None:
    data = os.urandom(3 * 1024 * 1024)
    await objects.put(KEY, stream(data))
    for start, length in (
        (0, 1),
        (5, 10),
        (2_097_150, 4),
        (1, 2_500_000),
        (len(data) - 3, None),
        (0, len(data)),
        (7, 0),
    ):
        end = len(data) if length is None else start + length
        assert await read(objects, KEY, start, length) == data[start:end], (start, length)
    assert await read(objects, KEY, len(data) - 2, 10) == data[-2:]
    assert await read(objects, KEY, len(data)) == b""
    assert await read(objects, KEY, len(data) + 5, 10) == b""


@pytest.mark.parametrize("size", [1000, LARGE])
async def test_a_source_that_breaks_leaves_nothing(objects: Objects, size: int) -> None:
    with pytest.raises(RuntimeError, match="cut"):
        await objects.put(KEY, stream(os.urandom(size), then=RuntimeError("cut")))
    assert await objects.stat(KEY) is None
    assert await listed(objects) == set()


async def test_a_put_that_is_cancelled_leaves_nothing(objects: Objects) -> None:
    reached = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for chunk in stream(os.urandom(LARGE)):
            yield chunk
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(objects.put(KEY, endless()))
    await asyncio.wait_for(reached.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await objects.stat(KEY) is None
    assert await listed(objects) == set()


async def test_whoever_puts_one_key_together_leaves_one_of_them_whole(objects: Objects) -> None:
    texts = [os.urandom(6_000_000) for _ in range(3)]
    stored = await asyncio.gather(*(objects.put(KEY, stream(text)) for text in texts))
    assert [s.sha256 for s in stored] == [hashlib.sha256(text).hexdigest() for text in texts]
    assert await read(objects, KEY) in texts
    assert await listed(objects) == {KEY}


async def test_nothing_is_seen_of_an_object_before_it_is_whole(objects: Objects) -> None:
    seen = []

    async def watched() -> AsyncIterator[bytes]:
        async for chunk in stream(os.urandom(LARGE), step=4_000_000):
            yield chunk
            seen.append(await objects.stat(KEY))
            seen.append(await listed(objects) or None)

    await objects.put(KEY, watched())
    assert seen == [None] * len(seen)
    assert await listed(objects) == {KEY}


async def test_deleting_twice_is_fine_and_a_missing_object_says_so(objects: Objects) -> None:
    await objects.put(KEY, stream(b"abc"))
    await objects.delete(KEY)
    await objects.delete(KEY)
    assert await objects.stat(KEY) is None
    for length in (None, 3, 0):
        with pytest.raises(ObjectMissing):
            await read(objects, KEY, 0, length)


async def test_a_listing_holds_exactly_the_objects_under_its_prefix(objects: Objects) -> None:
    mine = {KEY, keys.artifact(MEDIA, "an", 1, "votes.png"), keys.artifact(MEDIA, "an", 2, "votes.png")}
    for key in mine | {keys.original(OTHER)}:
        await objects.put(key, stream(b"abc"))
    assert await listed(objects, keys.media_prefix(MEDIA)) == mine
    assert {found.size async for found in objects.list(keys.media_prefix(MEDIA))} == {3}
    assert await listed(objects) == mine | {keys.original(OTHER)}
    assert await listed(objects, "media/none/") == set()
    for prefix in ("media", "../", "/media/"):
        with pytest.raises(ValueError):
            await listed(objects, prefix)


@pytest.mark.parametrize("key", ["../x/y", "/etc/passwd", "media/../../x", "media//x", "media/.x", "", "a/b\x00", "x"])
async def test_a_key_that_is_not_ours_is_refused(objects: Objects, key: str) -> None:
    with pytest.raises(ValueError):
        await objects.put(key, stream(b"abc"))
    with pytest.raises(ValueError):
        await objects.stat(key)
    with pytest.raises(ValueError):
        await read(objects, key)
    with pytest.raises(ValueError):
        await objects.delete(key)


async def test_a_store_that_answers_passes_its_check_and_keeps_nothing_of_it(objects: Objects) -> None:
    await objects.check()
    await objects.check()
    assert await listed(objects, "check/") == set()
    assert await objects.sweep(3600) == 0


async def test_an_object_at_hand_is_a_file_with_its_bytes(objects: Objects) -> None:
    data = os.urandom(3_000_000)
    stored = await objects.put(KEY, stream(data))
    async with at_hand(objects, KEY, stored) as path:
        assert path.read_bytes() == data
    assert await read(objects, KEY) == data
