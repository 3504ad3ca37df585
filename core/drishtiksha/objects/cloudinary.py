"""Object storage at Cloudinary, beside `local.py` and `remote.py`, with the same promises.

`cloudinary_wire.py` carries the requests. A stream goes up in parts, which nobody sees before the last one is taken.
Bytes come down in one answer; when it breaks off, the next one goes on from there. Cloudinary takes no empty file: an
empty object is a file of one byte, whose name says so.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from drishtiksha.domain.errors import DrishtikshaError, Unavailable

from . import ObjectMissing, ObjectStat, Stored, keys
from .cloudinary_wire import Account, Broken, Reading, Wire
from .patience import Patience

PART = 6 * 1024 * 1024
"""Bytes of one part; all but the last must have more than 5 MB. An upload holds one, and what came while it was sent."""
_EMPTY = "~empty"
"""Ends the name of the file that stands for an empty object; no key of ours holds a tilde."""
PATIENCE = Patience(request=40.0, call=90.0)
"""A part of 6 MiB needs 150 KiB/s; the answer to the last one waits until Cloudinary has put the file together."""

T = TypeVar("T")


class CloudinaryObjects:
    """The protocol `Objects` over the raw, authenticated assets of one account, within a folder."""

    def __init__(self, account: Account, folder: str | None = None, patience: Patience = PATIENCE) -> None:
        self._wire = Wire(account, patience)
        self._folder = f"{folder}/" if folder else ""
        self._retries = patience.retries
        self._written_once = False

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        upload = _Upload(self._wire, self._name(key))
        try:
            async for chunk in chunks:
                upload.add(chunk)
                while upload.holds_a_part():
                    await _finished(upload.send_part())
            return await _finished(upload.finish())
        except BaseException:
            await _finished(upload.undo())
            raise

    async def get(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        name, at, first, breaks = self._name(key), start, None, 0
        end = None if length is None else start + length
        if length == 0:
            if await self.stat(key) is None:
                raise ObjectMissing("No such object.")
            return
        while True:
            try:
                reading = await self._wire.open(name, at, end)
            except ObjectMissing:
                if first is None and await self._seen(name + _EMPTY) is not None:
                    return
                raise
            try:
                first = first or reading
                _same(first, reading)
                begun = at
                async for block in reading.blocks():
                    at += len(block)
                    yield block
                break
            except Broken:
                breaks = breaks + 1 if at - begun < PART else 1
                if breaks > self._retries:
                    raise Unavailable("objects", "The object store breaks off.") from None
            finally:
                await reading.close()

        # What came must be all that there is.
        size = reading.size
        if size is None:
            found = await self.stat(key)
            size = found.size if found else 0
        if at < (size if end is None else min(end, size)):
            raise Unavailable("objects", "The object store gave less than there is.")

    async def stat(self, key: str) -> ObjectStat | None:
        name = self._name(key)
        if (found := await self._seen(name)) is not None:
            return _stat(key, found, found["bytes"])
        empty = await self._seen(name + _EMPTY)
        return None if empty is None else _stat(key, empty, 0)

    async def delete(self, key: str) -> None:
        name = self._name(key)
        await _finished(self._destroyed(name, name + _EMPTY))

    def sign(self, key: str, expires: datetime) -> str | None:
        if expires <= datetime.now(UTC):
            return None
        return self._wire.address(self._name(key), int(expires.timestamp()))

    async def list(self, prefix: str) -> AsyncIterator[ObjectStat]:
        keys.checked_prefix(prefix)
        cursor: str | None = None
        cursors = set[str | None]()
        while cursor not in cursors:
            cursors.add(cursor)
            page = await self._wire.page(self._folder + prefix, cursor)
            for found in _assets(page):
                name = found["public_id"]
                plain = name.removesuffix(_EMPTY)
                key = plain.removeprefix(self._folder)
                if not keys.is_ours(key):
                    continue
                if name == plain:
                    yield _stat(key, found, found["bytes"])
                elif await self._seen(plain) is None:  # or else it has been written anew, and is empty no more
                    yield _stat(key, found, 0)
            cursor = page.get("next_cursor")
            if cursor is None:
                return
        raise Unavailable("objects", "The object store's listing has no end.")

    async def check(self) -> None:
        """Ask for what is not there; the first time, write and remove one small object too. Raises Unavailable."""
        if not self._written_once:
            key = f"check/{uuid.uuid4().hex}"
            await self.put(key, _one_byte())
            await self.delete(key)
            self._written_once = True
        await self._seen(self._name("check/none"))

    async def sweep(self, older_than: float) -> int:
        """Nothing: parts of unfinished uploads cannot be seen. Cloudinary forgets them."""
        return 0

    def _name(self, key: str) -> str:
        return self._folder + keys.checked(key)

    async def _seen(self, name: str) -> dict[str, Any] | None:
        """What Cloudinary knows of an asset. `explicit` without a wish changes nothing, and no limit counts it."""
        try:
            found = await self._wire.ask("explicit", name, {})
        except ObjectMissing:
            return None
        return _asset(found)

    async def _destroyed(self, *names: str) -> None:
        done = await asyncio.gather(*(_destroy(self._wire, name) for name in names), return_exceptions=True)
        for one in done:
            if isinstance(one, BaseException):
                raise one


class _Upload:
    """One stream on its way up. A short one is a single request; of a long one each part is, the last one last."""

    def __init__(self, wire: Wire, name: str) -> None:
        self._wire = wire
        self._name = name
        self._id = uuid.uuid4().hex
        self._digest, self._size, self._sent = hashlib.sha256(), 0, 0
        self._buffer = bytearray()
        self._named: str | None = None

    def add(self, data: bytes) -> None:
        self._digest.update(data)
        self._size += len(data)
        self._buffer += data

    def holds_a_part(self) -> bool:
        """A part that is not the last one."""
        return len(self._buffer) > PART

    async def send_part(self) -> None:
        part = bytes(memoryview(self._buffer)[:PART])
        del self._buffer[:PART]
        await self._wire.ask("upload", self._name, _WRITE, part, self._place(len(part), -1))
        self._sent += len(part)

    async def finish(self) -> Stored:
        """Send what is left, which gives it its name, and look whether it is what it should be."""
        stored = Stored(self._size, self._digest.hexdigest())
        self._named = self._name if self._size else self._name + _EMPTY
        rest = bytes(self._buffer) or b"\0"
        place = self._place(len(rest), self._size) if self._sent else None
        found = _asset(await self._wire.ask("upload", self._named, _WRITE, rest, place))
        if (found["public_id"], found["bytes"]) != (self._named, self._size or 1):
            raise Unavailable("objects", "The object store kept another file than it was given.")
        if not self._size:
            await _destroy(self._wire, self._name)
        return stored

    async def undo(self) -> None:
        """Take everything back. If Cloudinary is away, what it has is for the janitor; parts have no name."""
        if self._named is not None:
            with suppress(DrishtikshaError):
                await _destroy(self._wire, self._named)

    def _place(self, length: int, total: int) -> dict[str, str]:
        window = f"bytes {self._sent}-{self._sent + length - 1}/{total}"
        return {"Content-Range": window, "X-Unique-Upload-Id": self._id}


_WRITE = {"overwrite": True, "invalidate": True}


async def _destroy(wire: Wire, name: str) -> None:
    """Remove an asset, if it is there, from the caches of the content network too."""
    said = await wire.ask("destroy", name, {"invalidate": True})
    if said.get("result") not in ("ok", "not found"):
        raise Unavailable("objects", "The object store did not delete what it was told to.")


async def _finished(work: Coroutine[Any, Any, T]) -> T:
    """Work that is waited for by the cancelled too: what it changes must be known."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()
        raise


def _same(first: Reading, later: Reading) -> None:
    sizes, tags = {first.size, later.size} - {None}, {first.tag, later.tag} - {None}
    if len(sizes) > 1 or len(tags) > 1:
        raise Unavailable("objects", "The object changed while it was read.")


def _assets(page: dict[str, Any]) -> list[dict[str, Any]]:
    found = page.get("resources")
    if not isinstance(found, list):
        raise Unavailable("objects", "The object store's listing cannot be read.")
    return [_asset(one) for one in found]


def _asset(found: Any) -> dict[str, Any]:
    """The asset itself, if it has what we read of it."""
    try:
        datetime.fromisoformat(found["created_at"])
        good = isinstance(found["public_id"], str) and isinstance(found["bytes"], int)
    except (KeyError, TypeError, ValueError):
        good = False
    if not good:
        raise Unavailable("objects", "Cloudinary's word on a file cannot be read.")
    assert isinstance(found, dict)
    return found


def _stat(key: str, found: dict[str, Any], size: int) -> ObjectStat:
    return ObjectStat(key, size, datetime.fromisoformat(found["created_at"]).astimezone(UTC))


async def _one_byte() -> AsyncIterator[bytes]:
    yield b"x"
