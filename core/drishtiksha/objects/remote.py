"""Object storage in a bucket: S3, GCS or Azure, through obstore. `providers.py` makes the clients.

Beside `local.py`, with the same promises. A stream goes up in parts, which nobody sees before the last one is
confirmed; a refused stream takes its parts back. Bytes come down in ranges, each a request of its own, so that a
reader who pauses holds no connection. All calls run in threads of the store's own: the library's own coroutines can
abort a process that ends soon after them, and a store that is away must not take the threads of others.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import MemoryStore

from drishtiksha.domain.errors import DrishtikshaError, Unavailable

from . import ObjectMissing, ObjectStat, Stored, keys
from .complaint import complain
from .patience import Patience

PART = 5 * 1024 * 1024
"""Bytes of one part: the least that S3 takes. An upload holds one that fills and one that is on its way."""
_STEP = 512 * 1024
"""Bytes handed to the library at a time: the more, the less threads cost."""
_BLOCK, _LEAST_BLOCK = 2 * 1024 * 1024, 128 * 1024
"""Bytes asked for at a time: the more, the fewer requests. Less when many read."""
_HELD = 32 * 1024 * 1024
"""Bytes that all readers of a process may hold in memory together, as far as the least block allows."""
_PAGE = 500
_THREADS = 32
"""Requests at a time; more wait for a thread, and their time runs."""

P = ParamSpec("P")
T = TypeVar("T")


class RemoteObjects:
    """The protocol `Objects` over a store of obstore's."""

    def __init__(self, store: Any, patience: Patience = Patience()) -> None:
        self._store = store
        self._patience = patience
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="objects")
        self._readers = 0
        self._written_once = False

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        upload = _Upload(self._store, keys.checked(key))
        buffer = bytearray()
        try:
            async for chunk in chunks:
                buffer += chunk
                if len(buffer) >= _STEP:
                    await self._finished(upload.write, bytes(buffer))
                    buffer = bytearray()
            await self._finished(upload.write, bytes(buffer))
            return await self._finished(upload.finish)
        except BaseException:
            await self._finished(upload.undo)
            raise

    async def get(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        name, at, version = keys.checked(key), start, None
        end = None if length is None else start + length
        self._readers += 1
        try:
            while end is None or at < end:
                step = max(_LEAST_BLOCK, min(_BLOCK, _HELD // self._readers))
                block, size, version = await self._asked(
                    _range, self._store, name, at, at + step if end is None else min(at + step, end), version
                )
                end = size if end is None else min(end, size)
                if not block and at < end:
                    raise Unavailable("objects", "The object store gave less than there is.")
                at += len(block)
                if block:
                    yield block
            if length == 0 and await self.stat(key) is None:
                raise ObjectMissing("No such object.")
        finally:
            self._readers -= 1

    async def stat(self, key: str) -> ObjectStat | None:
        try:
            return _stat(await self._asked(obstore.head, self._store, keys.checked(key)))
        except ObjectMissing:
            return None

    async def delete(self, key: str) -> None:
        with suppress(ObjectMissing):
            await self._finished(obstore.delete, self._store, keys.checked(key))

    def sign(self, key: str, expires: datetime) -> str | None:
        left = expires - datetime.now(UTC)
        if left <= timedelta() or isinstance(self._store, MemoryStore):
            return None
        try:
            return str(_translated(obstore.sign, self._store, "GET", keys.checked(key), left))
        except Unavailable:  # an identity of the machine, that may not sign
            return None

    async def list(self, prefix: str) -> AsyncIterator[ObjectStat]:
        keys.checked_prefix(prefix)
        pages: Iterator[Any] = obstore.list(self._store, prefix=prefix, chunk_size=_PAGE)
        while page := await self._asked(_next, pages):
            for found in page:
                yield _stat(found)

    async def check(self) -> None:
        """List nothing; the first time, write and remove one small object too. Raises Unavailable."""
        if not self._written_once:
            key = f"check/{uuid.uuid4().hex}"
            await self.put(key, _one_byte())
            await self.delete(key)
            self._written_once = True
        async for _ in self.list("check/none/"):
            pass

    async def sweep(self, older_than: float) -> int:
        """Nothing: unfinished uploads cannot be seen here. A lifecycle rule of the bucket ends them."""
        return 0

    async def _asked(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask in a thread. Who is cancelled, or has waited for too long, leaves the answer to nobody."""
        running = self._started(question, *args, **kwargs)
        try:
            async with asyncio.timeout(self._patience.call):
                return await running
        except TimeoutError:
            raise Unavailable("objects", "The object store does not answer in time.") from None

    async def _finished(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Work in a thread, which is waited for by the cancelled too: what it changes must be known."""
        running = asyncio.ensure_future(self._started(work, *args, **kwargs))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            running.exception()
            raise

    def _started(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        call = functools.partial(_translated, work, *args, **kwargs)
        return asyncio.get_running_loop().run_in_executor(self._threads, call)


class _Upload:
    """One stream on its way up, by one thread at a time. A short one is a single request."""

    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self._key = key
        self._digest, self._size = hashlib.sha256(), 0
        self._writer: Any = obstore.open_writer(store, key, buffer_size=PART, max_concurrency=1)
        self._named = False

    def write(self, data: bytes) -> None:
        with _no_such_upload():
            self._writer.write(data)
        self._digest.update(data)
        self._size += len(data)

    def finish(self) -> Stored:
        """Give it its name, and look whether it is what it should be."""
        writer, self._writer, self._named = self._writer, None, True
        with _no_such_upload():
            writer.close()
            found = obstore.head(self._store, self._key)
        if found["size"] != self._size:
            raise OSError(f"{found['size']} bytes were stored, of {self._size}")
        return Stored(self._size, self._digest.hexdigest())

    def undo(self) -> None:
        """Take everything back. A store that is away keeps what it has: then it is for the janitor or its own rules."""
        with suppress(DrishtikshaError):
            if self._writer is not None:
                _translated(self._writer.__exit__, OSError, None, None)
            if self._named:
                _translated(obstore.delete, self._store, self._key)


@contextmanager
def _no_such_upload() -> Iterator[None]:
    """The answer to the last request was lost, and its repetition finds no upload: that is no missing object."""
    try:
        yield
    except FileNotFoundError as error:
        raise OSError(str(error)) from None


def _range(store: Any, key: str, start: int, end: int, version: str | None) -> tuple[bytes, int, str | None]:
    """Bytes [start, end) as far as there are any, the object's whole size, and its version."""
    options: Any = {"range": (start, end)}
    if version is not None:
        options["if_match"] = version
    try:
        answer = obstore.get(store, key, options=options)
        return bytes(answer.bytes()), answer.meta["size"], answer.meta["e_tag"]
    except FileNotFoundError:
        raise
    except (BaseError, OSError):
        found = obstore.head(store, key)  # behind the end there is no range, and stores call that an error
        if start >= found["size"]:
            return b"", found["size"], found["e_tag"]
        raise


def _next(pages: Iterator[Any]) -> Any:
    return next(pages, [])


def _stat(found: Any) -> ObjectStat:
    return ObjectStat(found["path"], found["size"], found["last_modified"].astimezone(UTC))


async def _one_byte() -> AsyncIterator[bytes]:
    yield b"x"


_CODE = re.compile(r"<Code>(\w{1,60})</Code>")


def _translated(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The library's errors leave as ours. Its texts hold addresses and answers: only a word of them is logged."""
    try:
        return work(*args, **kwargs)
    except (BaseError, OSError, ValueError) as error:
        code = _CODE.search(str(error))
        if isinstance(error, FileNotFoundError) and (code is None or code[1] != "NoSuchBucket"):
            raise ObjectMissing("No such object.") from None
        complain(type(error).__name__, code[1] if code else None)
        raise Unavailable("objects", "The object store does not answer.") from None
