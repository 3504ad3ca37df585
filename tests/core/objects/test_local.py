"""The store on a disk keeps what it promised, and nothing else."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drishtiksha.domain.errors import Unavailable
from drishtiksha.objects import ObjectMissing, keys, local
from drishtiksha.objects.local import LocalObjects

MEDIA = "01890000-0000-7000-8000-00000000000a"
OTHER = "01890000-0000-7000-8000-00000000000b"
KEY = keys.original(MEDIA)


async def stream(*chunks: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if then:
        raise then


async def read(objects: LocalObjects, key: str, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([block async for block in objects.get(key, start, length)])


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path)


def files(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


async def test_what_was_put_comes_back_whole_with_its_size_and_hash(objects: LocalObjects) -> None:
    data = os.urandom(3_000_001)
    stored = await objects.put(KEY, stream(data[:7], data[7:1_500_000], data[1_500_000:]))
    assert (stored.size, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert await read(objects, KEY) == data
    found = await objects.stat(KEY)
    assert found is not None
    assert found.size == len(data)


async def test_a_range_is_exactly_the_bytes_asked_for(objects: LocalObjects) -> None:
    data = bytes(range(256)) * 8192
    await objects.put(KEY, stream(data))
    assert await read(objects, KEY, 5, 10) == data[5:15]
    assert await read(objects, KEY, 1_048_570, 20) == data[1_048_570:1_048_590]
    assert await read(objects, KEY, len(data) - 3) == data[-3:]
    assert await read(objects, KEY, 0, 0) == b""


async def test_a_block_is_written_while_the_next_one_arrives_and_before_the_next_one_is(
    objects: LocalObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first write ends only once more was asked for: who writes first and asks then would wait for ever."""
    asked, later, write = threading.Event(), threading.Event(), local._write

    def patiently(file: Any, digest: Any, block: list[bytes]) -> None:
        if block[0][:1] == b"b":
            later.set()
        elif not asked.wait(30):
            raise OSError("nothing more was asked for while the block was written")
        else:
            later.wait(0.2)  # whoever writes out of order does it now
        write(file, digest, block)

    async def two_blocks() -> AsyncIterator[bytes]:
        yield b"a" * 1_000_000
        asked.set()
        yield b"b" * 1_000

    monkeypatch.setattr(local, "_write", patiently)
    stored = await objects.put(KEY, two_blocks())
    assert stored.sha256 == hashlib.sha256(b"a" * 1_000_000 + b"b" * 1_000).hexdigest()
    assert await read(objects, KEY, 999_999, 2) == b"ab"


async def test_a_write_that_fails_while_the_next_block_arrives_is_told_and_leaves_nothing(
    objects: LocalObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(local, "_write", full)
    for chunks in ([b"a" * 1_000_000], [b"a" * 1_000_000] * 3):
        with pytest.raises(Unavailable):
            await objects.put(KEY, stream(*chunks))
        with pytest.raises(ValueError, match="broken"):
            await objects.put(KEY, stream(b"a" * 1_000_000, then=ValueError("broken")))
        assert files(tmp_path) == []


async def test_a_broken_stream_leaves_nothing_behind(objects: LocalObjects, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="cut"):
        await objects.put(KEY, stream(b"x" * 2_000_000, then=RuntimeError("cut")))
    assert files(tmp_path) == []
    assert await objects.stat(KEY) is None


async def test_the_bytes_and_their_folders_are_flushed_before_put_returns(
    objects: LocalObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (flushed.append(os.readlink(f"/proc/self/fd/{fd}")), real(fd))[1])
    await objects.put(KEY, stream(b"abc"))
    assert ".incoming/" in flushed[0]
    assert str(tmp_path / "media" / MEDIA) in flushed[1:]
    assert str(tmp_path) in flushed[1:]


async def test_deleting_twice_is_fine_and_a_missing_object_says_so(objects: LocalObjects, tmp_path: Path) -> None:
    await objects.put(KEY, stream(b"abc"))
    await objects.delete(KEY)
    await objects.delete(KEY)
    assert await objects.stat(KEY) is None
    assert not (tmp_path / "media" / MEDIA).exists()
    with pytest.raises(ObjectMissing):
        await read(objects, KEY)


async def test_a_listing_holds_exactly_the_objects_under_its_prefix(objects: LocalObjects) -> None:
    mine = {KEY, keys.artifact(MEDIA, "an", 1, "votes.png"), keys.artifact(MEDIA, "an", 2, "votes.png")}
    for key in mine | {keys.original(OTHER)}:
        await objects.put(key, stream(b"abc"))
    assert {found.key async for found in objects.list(keys.media_prefix(MEDIA))} == mine
    assert {keys.owner(found.key) async for found in objects.list(keys.MEDIA)} == {MEDIA, OTHER}
    assert [found async for found in objects.list("media/none/")] == []


@pytest.mark.parametrize("key", ["../x/y", "/etc/passwd", "media/../../x", "media//x", "media/.x", "", "a/b\x00", "x"])
async def test_a_key_that_is_not_ours_is_refused(objects: LocalObjects, key: str) -> None:
    with pytest.raises(ValueError):
        await objects.put(key, stream(b"abc"))


async def test_a_folder_that_cannot_be_written_is_said_to_be_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    objects = LocalObjects(tmp_path / "file" / "below")
    with pytest.raises(Unavailable) as refused:
        await objects.put(KEY, stream(b"abc"))
    assert refused.value.what == "objects"
    with pytest.raises(Unavailable):
        await objects.check()


async def test_unfinished_writes_are_swept_only_after_their_grace(objects: LocalObjects, tmp_path: Path) -> None:
    (tmp_path / ".incoming").mkdir()
    part = tmp_path / ".incoming" / "dead"
    part.write_bytes(b"x")
    assert await objects.sweep(3600) == 0
    os.utime(part, (1, 1))
    assert await objects.sweep(3600) == 1
    assert files(tmp_path) == []


async def test_a_folder_that_a_crash_left_empty_goes_after_its_grace_and_no_other(
    objects: LocalObjects, tmp_path: Path
) -> None:
    await objects.put(KEY, stream(b"abc"))
    left = tmp_path / "media" / OTHER / "artifacts" / "an"
    left.mkdir(parents=True)
    os.utime(tmp_path / "media" / MEDIA, (1, 1))
    await objects.sweep(3600)
    assert left.exists()
    os.utime(left, (1, 1))
    await objects.sweep(3600)
    assert not (tmp_path / "media" / OTHER).exists()
    assert await read(objects, KEY) == b"abc"
