"""Object storage in a folder of this machine, or of a volume that the api and the door share.

A write goes to `.incoming/`, is flushed to the disk, renamed to its key, and its folders are flushed too: after `put`
returned, a power cut loses nothing, and a reader never sees half an object. The janitor collects what a crash left.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from drishtiksha.domain.errors import Unavailable

from . import ObjectMissing, ObjectStat, Stored, keys

_BLOCK, _LEAST_BLOCK = 512 * 1024, 16 * 1024
"""Bytes written or read in one step: the more, the less threads cost. Shorter steps when many files are open."""
_HELD = 8 * 1024 * 1024
"""Bytes that all open files of a process may hold in memory together, as far as the least step allows."""
_INCOMING = ".incoming"

P = ParamSpec("P")
T = TypeVar("T")


class _Hash(Protocol):
    def update(self, data: bytes | bytearray, /) -> None: ...


class LocalObjects:
    """The protocol `Objects` on a file system. File work runs in threads; the event loop never waits for the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open = 0

    def path(self, key: str) -> Path:
        """Where the object of this key lies."""
        return self._root / keys.checked(key)

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        target = self.path(key)
        part = self._root / _INCOMING / uuid.uuid4().hex
        digest, size, block, waiting = hashlib.sha256(), 0, list[bytes](), 0
        self._open += 1
        try:
            file = await _translated(_open_part, part)
            writing: asyncio.Future[None] | None = None
            try:
                async for chunk in chunks:
                    block.append(chunk)
                    size, waiting = size + len(chunk), waiting + len(chunk)
                    if waiting >= self._step():  # is written while the next block arrives
                        if writing is not None:
                            await writing
                        writing = asyncio.ensure_future(_translated(_write, file, digest, block))
                        block, waiting = [], 0
                if writing is not None:
                    await writing
                await _translated(_write, file, digest, block)
                await _translated(_finish, file, part, target, self._root)
            finally:
                if writing is not None:
                    await _over(writing)
                file.close()
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            with suppress(OSError):
                _remove(target, self._root)  # a folder that cannot be flushed fails after the file has its name
            raise
        finally:
            self._open -= 1
        return Stored(size, digest.hexdigest())

    async def get(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        file = await _translated(_open_existing, self.path(key))
        self._open += 1
        try:
            await _translated(file.seek, start)
            left = length
            while left is None or left > 0:
                step = self._step()
                block = await _translated(file.read, step if left is None else min(step, left))
                if not block:
                    return
                if left is not None:
                    left -= len(block)
                yield block
        finally:
            self._open -= 1
            file.close()

    async def stat(self, key: str) -> ObjectStat | None:
        path = self.path(key)
        try:
            found = await _translated(os.stat, path)
        except ObjectMissing:
            return None
        return ObjectStat(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    async def delete(self, key: str) -> None:
        await _translated(_remove, self.path(key), self._root)

    def sign(self, key: str, expires: datetime) -> str | None:
        return None  # a folder has no address of its own: the api serves the bytes

    async def list(self, prefix: str) -> AsyncIterator[ObjectStat]:
        folder = self._root / keys.checked_prefix(prefix)
        walk = _walk(folder)
        while page := await _translated(_page, walk):
            for path, found in page:
                key = path.relative_to(self._root).as_posix()
                yield ObjectStat(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def _step(self) -> int:
        return max(_LEAST_BLOCK, min(_BLOCK, _HELD // (2 * self._open)))  # one block is written, one arrives

    async def check(self) -> None:
        """Write and remove one small file: raises Unavailable when the folder cannot take an upload."""
        await _translated(_try_out, self._root / _INCOMING)

    async def sweep(self, older_than: float) -> int:
        """Remove unfinished writes, and folders that stayed empty, that nobody touched for `older_than` seconds.

        Returns how many writes were removed.
        """
        await _translated(_sweep_folders, self._root, older_than)
        return await _translated(_sweep, self._root / _INCOMING, older_than)


async def _translated(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run file work in a thread; its OSError leaves as one of ours. Who is cancelled waits for the thread to end:
    a file that is closed under it may be another's by the time it writes."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        running.exception()
        raise
    except FileNotFoundError as error:
        raise ObjectMissing("No such object.") from error
    except OSError as error:
        raise Unavailable("objects", "The object store does not answer.") from error


async def _over(work: asyncio.Future[None]) -> None:
    """Until it has ended, however it did: who has started it is told of its end elsewhere, or is on the way out."""
    work.cancel()
    await asyncio.wait([work])
    if not work.cancelled():
        work.exception()


def _open_part(part: Path) -> FileIO:
    part.parent.mkdir(parents=True, exist_ok=True)
    return part.open("xb", buffering=0)


def _open_existing(path: Path) -> FileIO:
    return path.open("rb", buffering=0)


def _write(file: FileIO, digest: _Hash, block: list[bytes]) -> None:
    for chunk in block:
        view = memoryview(chunk)
        while view:
            view = view[file.write(view) :]
        digest.update(chunk)


def _finish(file: FileIO, part: Path, target: Path, root: Path) -> None:
    os.fsync(file.fileno())
    for _ in range(5):
        made = _make_folders(target.parent, root)
        try:
            part.replace(target)
            break
        except FileNotFoundError:  # a delete beside us took the empty folder away
            continue
    else:
        raise OSError("the folder of the object keeps vanishing")
    for folder in made:
        _sync_folder(folder)


def _make_folders(folder: Path, root: Path) -> list[Path]:
    """Make the folders; the list of those whose entries changed: the object's own and the parents of new ones."""
    changed = [folder]
    while not folder.exists() and folder != root:
        folder = folder.parent
        changed.append(folder)
    changed[0].mkdir(parents=True, exist_ok=True)
    return changed


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path, root: Path) -> None:
    path.unlink(missing_ok=True)
    _remove_folder(path.parent, root)


def _remove_folder(folder: Path, root: Path) -> None:
    """Remove a folder if it is empty, and those above it that are empty then."""
    while folder not in (root, root / "media"):
        try:
            folder.rmdir()
        except FileNotFoundError:  # never made, or already gone
            pass
        except OSError:  # not empty
            return
        folder = folder.parent


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for base, _folders, files in os.walk(folder):
        for name in files:
            path = Path(base, name)
            with suppress(FileNotFoundError):  # deleted while we walk
                yield path, path.stat()


def _page(walk: Iterator[tuple[Path, os.stat_result]]) -> list[tuple[Path, os.stat_result]]:
    return [found for _, found in zip(range(500), walk, strict=False)]


def _try_out(incoming: Path) -> None:
    probe = incoming / f"check-{uuid.uuid4().hex}"
    incoming.mkdir(parents=True, exist_ok=True)
    probe.write_bytes(b"x")
    probe.unlink()


def _sweep_folders(root: Path, older_than: float) -> None:
    """A process that dies between making an object's folder and naming the object leaves the folder empty."""
    for base, folders, found in os.walk(root / "media", topdown=False):
        folder = Path(base)
        if not folders and not found and _older(folder, older_than):
            _remove_folder(folder, root)


def _older(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime > seconds
    except FileNotFoundError:  # somebody else was faster
        return False


def _sweep(incoming: Path, older_than: float) -> int:
    removed = 0
    if not incoming.is_dir():
        return 0
    for path in incoming.iterdir():
        if _older(path, older_than):
            with suppress(FileNotFoundError):
                path.unlink()
                removed += 1
    return removed
