"""Copies all bytes that the rows need from one store to another, and believes a copy when its sha256 is the row's.

An object that is there with the right size is left alone: stores name an object only when it is whole. So it may be
killed and started again at any time, and runs while the platform does; what comes in meanwhile is for the next run.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from ..database.stored import Bytes, StoredRows
from ..domain.errors import Unavailable
from ..objects import ObjectMissing, Objects

AT_ONCE = 4
"""Objects on their way together."""
TRIES = 3
"""How often a store that does not answer is asked about one object, before all ends."""

Told = Callable[["Copied"], None]


@dataclass
class Copied:
    """What has been done so far. `missing`: the source lacks them; `damaged`: it has other bytes than the row says."""

    copied: int = 0
    copied_bytes: int = 0
    there: int = 0
    there_bytes: int = 0
    gone: int = 0
    """Deleted by their owners while we worked, or never listed and collected."""
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @property
    def seen(self) -> int:
        """Objects that were looked at."""
        return self.copied + self.there + self.gone + len(self.missing) + len(self.damaged)

    @property
    def whole(self) -> bool:
        """The target has everything."""
        return not (self.missing or self.damaged)


class Copying:
    """One pass over all rows."""

    def __init__(self, rows: StoredRows, source: Objects, target: Objects, told: Told = lambda so_far: None) -> None:
        self._rows = rows
        self._source = source
        self._target = target
        self._told = told
        self._places = asyncio.Semaphore(AT_ONCE)
        self.so_far = Copied()

    async def run(self, *, deep: bool = False, pause: float = 1.0) -> Copied:
        """Copy what the target lacks. `deep`: also read what it has, and copy again what is wrong there.

        Raises Unavailable when a store, or the database, goes away; what was copied until then stays.
        """
        async for page in self._pages():
            try:
                async with asyncio.TaskGroup() as group:
                    for one in page:
                        await self._places.acquire()
                        group.create_task(self._place_held(one, deep, pause))
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None
        return self.so_far

    async def _pages(self) -> AsyncIterator[list[Bytes]]:
        after: uuid.UUID | None = None
        while page := await self._rows.page(after):
            after = page[-1].media_id
            yield page

    async def _place_held(self, one: Bytes, deep: bool, pause: float) -> None:
        try:
            await _patiently(lambda: self._bring(one, deep), pause)
            self._told(self.so_far)
        finally:
            self._places.release()

    async def _bring(self, one: Bytes, deep: bool) -> None:
        # What is there already needs nothing.
        there = await self._target.stat(one.key)
        if there is not None and there.size == one.size and not (deep and await self._differs(one)):
            self.so_far.there += 1
            self.so_far.there_bytes += one.size
            return

        # Copy it. The source may have lost it, or its owner has deleted it since we read the rows.
        try:
            stored = await self._target.put(one.key, self._source.get(one.key))
        except ObjectMissing:
            if one.listed and await self._rows.needs(one):
                self.so_far.missing.append(one.key)
            else:
                self.so_far.gone += 1
            return

        # Other bytes than the row says are no copy of anything.
        if (stored.size, stored.sha256) != (one.size, one.sha256):
            await self._target.delete(one.key)
            self.so_far.damaged.append(one.key)
            return
        self.so_far.copied += 1
        self.so_far.copied_bytes += one.size

    async def _differs(self, one: Bytes) -> bool:
        digest = hashlib.sha256()
        async for block in self._target.get(one.key):
            digest.update(block)
        return digest.hexdigest() != one.sha256


async def _patiently(work: Callable[[], Awaitable[None]], pause: float) -> None:
    for number in range(1, TRIES + 1):
        try:
            return await work()
        except Unavailable:
            if number == TRIES:
                raise
            await asyncio.sleep(pause * number)
    return None
