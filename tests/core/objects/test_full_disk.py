"""A disk that fails at any step: the store says so in one way, leaves nothing, and works again when the disk does."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from drishtiksha.domain.errors import Unavailable
from drishtiksha.objects import keys
from drishtiksha.objects.local import LocalObjects

KEY = keys.artifact("01890000-0000-7000-8000-00000000000a", "an", 1, "x")
DATA = os.urandom(1_300_000)
STEPS = ("open", "mkdir", "write", "fsync", "replace", "sync")
"""What a put asks of the system; `sync` is the opening of a folder to flush it."""


class Disk:
    """Lets the call number `fails_at` fail, and remembers what was called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails_at: int | None = None
        self.error = 0
        self.calls: list[str] = []
        disk, real_open = self, io.open

        class Writing(io.FileIO):
            def write(self, data: Any) -> int:
                disk.call("write")
                return super().write(data)

        def opened(path: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
            if mode != "xb":
                return real_open(path, mode, *more, **named)
            self.call("open")
            return Writing(path, mode)

        monkeypatch.setattr(io, "open", opened)
        for name, step in (("mkdir", "mkdir"), ("fsync", "fsync"), ("replace", "replace"), ("open", "sync")):
            monkeypatch.setattr(os, name, self._counted(step, getattr(os, name)))

    def call(self, step: str) -> None:
        self.calls.append(step)
        if len(self.calls) - 1 == self.fails_at:
            raise OSError(self.error, os.strerror(self.error))

    def _counted(self, step: str, real: Any) -> Any:
        def counted(*args: Any, **named: Any) -> Any:
            self.call(step)
            return real(*args, **named)

        return counted


async def stream(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 65536):
        yield data[at : at + 65536]


async def refused(objects: LocalObjects) -> str | None:
    """Puts the data; who was said to be away, None when it went well."""
    try:
        await objects.put(KEY, stream(DATA))
    except Unavailable as error:
        return error.what
    return None


def left(root: Path) -> list[str]:
    return [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() or p.parent.name == "media"]


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EDQUOT", "EMFILE", "EROFS"])
async def test_whichever_call_fails_nothing_is_left_and_the_next_put_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    disk = Disk(monkeypatch)
    disk.error = getattr(errno, error)
    failed: set[str] = set()
    for number in range(100):
        objects = LocalObjects(tmp_path / str(number))
        disk.calls, disk.fails_at = [], number
        said = await refused(objects)
        assert said in (None, "objects")
        if said:
            failed.add(disk.calls[number])
            assert left(tmp_path / str(number)) == [], disk.calls
            disk.fails_at = None
            await objects.put(KEY, stream(DATA))
        assert b"".join([block async for block in objects.get(KEY)]) == DATA
        if len(disk.calls) <= number:
            break
    assert failed == set(STEPS)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with room for one mebibyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_real_disk_that_is_full_is_empty_again_afterwards(small_disk: Path) -> None:
    objects = LocalObjects(small_disk)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await objects.put(KEY, stream(DATA))
        assert left(small_disk) == []
    await objects.put(KEY, stream(DATA[:900_000]))
    with pytest.raises(Unavailable):
        await objects.put(KEY + "y", stream(DATA[:200_000]))
    assert len(left(small_disk)) == 2  # the first object, and the folder of its media
    await objects.delete(KEY)
    await objects.put(KEY + "y", stream(DATA[:900_000]))


async def test_a_put_that_is_cancelled_waits_for_its_thread_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, real = LocalObjects(tmp_path), os.replace
    reached, may_go = threading.Event(), threading.Event()

    def slow(*args: Any) -> None:
        reached.set()
        assert may_go.wait(30)
        real(*args)

    monkeypatch.setattr(os, "replace", slow)
    putting = asyncio.create_task(objects.put(KEY, stream(DATA)))
    assert await asyncio.to_thread(reached.wait, 30)
    putting.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not putting.done(), "it left while its thread was at work"
    may_go.set()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert left(tmp_path) == []


async def test_open_files_hold_less_each_the_more_there_are(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    many, may_end = 400, asyncio.Event()
    waiting = 0

    async def trickling() -> AsyncIterator[bytes]:
        nonlocal waiting
        for _ in range(30):
            yield bytes(16 * 1024)
        waiting += 1
        await may_end.wait()

    puts = [
        asyncio.create_task(
            objects.put(keys.artifact("01890000-0000-7000-8000-00000000000a", "an", n, "x"), trickling())
        )
        for n in range(many)
    ]
    async with asyncio.timeout(60):
        while waiting < many:
            await asyncio.sleep(0.01)
    written = sum(path.stat().st_size for path in (tmp_path / ".incoming").iterdir())
    assert many * 30 * 16 * 1024 - written <= 8 * 1024 * 1024
    may_end.set()
    await asyncio.gather(*puts)
