"""What the rows name is in the other store afterwards, or is named; nothing is believed without its sha256."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cloudinary_double import cloudinary_double
from cloudinary_store import store
from obstore.store import MemoryStore
from stored_platform import Platform, held, stream

from drishtiksha.database.stored import StoredRows
from drishtiksha.domain.errors import Unavailable
from drishtiksha.objects import Stored
from drishtiksha.objects.local import LocalObjects
from drishtiksha.objects.remote import RemoteObjects
from drishtiksha.relocation import copying
from drishtiksha.relocation.copying import Copying


@pytest.fixture
def target() -> RemoteObjects:
    return RemoteObjects(MemoryStore())


async def test_everything_that_a_row_names_is_copied_once(
    platform: Platform, target: RemoteObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = StoredRows.page
    monkeypatch.setattr(StoredRows, "page", lambda rows, after: page(rows, after, 2))
    ada = await platform.stores.user()
    media = [await platform.upload(ada, size) for size in (2, 1, 1000, 3_000_000, 7)]
    await platform.artifact(media[1])
    await platform.artifact(media[4])
    deleted = await platform.upload(ada)
    await platform.stores.media.remove(ada, deleted.id)
    del platform.kept[deleted.object_key]
    await platform.objects.put("media/00000000-0000-7000-8000-00000000000f/original", stream(b"an orphan"))

    assert await platform.rows.total() == (7, 3_001_010 + 2 * len(b"a picture"))
    done = await Copying(platform.rows, platform.objects, target).run()
    assert (done.copied, done.there, done.gone, done.whole) == (7, 0, 0, True)
    assert done.copied_bytes == 3_001_010 + 2 * len(b"a picture")
    assert await held(target) == platform.kept
    again = await Copying(platform.rows, platform.objects, target).run()
    assert (again.copied, again.there, again.there_bytes) == (0, 7, done.copied_bytes)


async def test_a_platform_moves_to_cloudinary_and_back(platform: Platform) -> None:
    """To a double of Cloudinary, which is written from its documented protocol."""
    ada = await platform.stores.user()
    media = [await platform.upload(ada, size) for size in (1, 1000, 7_000_000)]
    await platform.artifact(media[0])
    with cloudinary_double() as double:
        there = store(double.url)
        assert (await Copying(platform.rows, platform.objects, there).run()).copied == 4
        assert await held(there) == platform.kept
        assert (await Copying(platform.rows, platform.objects, there).run(deep=True)).there == 4
        assert len(double.assets) == 4
        for key in platform.kept:
            await platform.objects.delete(key)
        assert (await Copying(platform.rows, there, platform.objects).run()).copied == 4
    assert await held(platform.objects) == platform.kept


async def test_what_the_source_lacks_or_has_damaged_is_named_and_not_copied(
    platform: Platform, target: RemoteObjects
) -> None:
    ada = await platform.stores.user()
    lost, bent, cut, good = [(await platform.upload(ada)).object_key for _ in range(4)]
    platform.objects.path(lost).unlink()
    platform.objects.path(bent).write_bytes(b"x" * 1000)
    platform.objects.path(cut).write_bytes(b"x" * 10)
    done = await Copying(platform.rows, platform.objects, target).run()
    assert (done.missing, sorted(done.damaged), done.copied) == ([lost], sorted([bent, cut]), 1)
    assert not done.whole
    assert await held(target) == {good: platform.kept[good]}


async def test_media_that_are_deleted_meanwhile_are_not_missed(platform: Platform, target: RemoteObjects) -> None:
    ada = await platform.stores.user()
    media = [await platform.upload(ada) for _ in range(2)]
    first = media[0].object_key

    class Deleting(LocalObjects):
        async def get(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
            if key == first:
                await platform.stores.media.remove(ada, media[0].id)
                await self.delete(key)
            async for block in super().get(key, start, length):
                yield block

    done = await Copying(platform.rows, Deleting(platform.objects.path("media/x").parents[1]), target).run()
    assert (done.gone, done.copied, done.whole) == (1, 1, True)


async def test_an_artifact_that_no_result_lists_may_have_been_collected(
    platform: Platform, target: RemoteObjects
) -> None:
    ada = await platform.stores.user()
    key = await platform.artifact(await platform.upload(ada))
    platform.objects.path(key).unlink()
    done = await Copying(platform.rows, platform.objects, target).run()
    assert (done.gone, done.copied, done.whole) == (1, 1, True)


async def test_other_bytes_of_the_same_size_are_seen_by_a_deep_look(platform: Platform, target: RemoteObjects) -> None:
    ada = await platform.stores.user()
    key = (await platform.upload(ada)).object_key
    await target.put(key, stream(b"x" * 1000))
    assert (await Copying(platform.rows, platform.objects, target).run()).there == 1
    assert (await Copying(platform.rows, platform.objects, target).run(deep=True)).copied == 1
    assert await held(target) == platform.kept
    await target.put(key, stream(b"x" * 999))
    assert (await Copying(platform.rows, platform.objects, target).run()).copied == 1


class Failing(LocalObjects):
    """Refuses so many of the next uploads."""

    def __init__(self, root: Path, times: int) -> None:
        super().__init__(root)
        self.times = times

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        self.times -= 1
        if self.times >= 0:
            raise Unavailable("objects", "The object store does not answer.")
        return await super().put(key, chunks)


async def test_a_store_that_stumbles_is_asked_again_and_one_that_stays_away_ends_it(
    platform: Platform, tmp_path: Path
) -> None:
    ada = await platform.stores.user()
    for _ in range(3):
        await platform.upload(ada)
    stumbling = Failing(tmp_path / "stumbling", copying.TRIES - 1)
    assert (await Copying(platform.rows, platform.objects, stumbling).run(pause=0.01)).copied == 3
    away = Failing(tmp_path / "away", 10**6)
    with pytest.raises(Unavailable):
        await Copying(platform.rows, platform.objects, away).run(pause=0.01)
    assert away.times > 10**6 - 20
    away.times = 0
    assert (await Copying(platform.rows, platform.objects, away).run()).copied == 3


async def test_only_a_few_are_on_their_way_together(platform: Platform, tmp_path: Path) -> None:
    ada = await platform.stores.user()
    for _ in range(2 * copying.AT_ONCE):
        await platform.upload(ada)
    now, most = 0, 0

    class Counting(LocalObjects):
        async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.02)
            now -= 1
            return await super().put(key, chunks)

    await Copying(platform.rows, platform.objects, Counting(tmp_path / "target")).run()
    assert most == copying.AT_ONCE
