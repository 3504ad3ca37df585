"""Collects what nobody needs, hourly, one replica at a time: bytes without a row, and events, keys, looks and tokens of old.

Bytes go once they are older than a grace period: an upload stores its bytes before its row, and may take its time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import structlog

from drishtiksha.database.events import Events
from drishtiksha.database.health import HealthHistory
from drishtiksha.database.idempotency import Claims
from drishtiksha.database.media import MediaStore
from drishtiksha.database.session import Database
from drishtiksha.database.upkeep import JANITOR, exclusively
from drishtiksha.database.users import Users
from drishtiksha.domain.errors import DrishtikshaError
from drishtiksha.objects import Objects, ObjectStat, keys

log = structlog.get_logger()

EVERY_SECONDS = 3600.0
GRACE = timedelta(hours=24)
KEPT_EVENTS = 30 * 86400.0
"""Seconds; DRISHTIKSHA_EVENT_RETENTION says otherwise."""
_PAGE = 200


class Janitor:
    """Sleeps most of the time."""

    def __init__(
        self,
        database: Database,
        media: MediaStore,
        objects: Objects,
        grace: timedelta = GRACE,
        keep_events: float = KEPT_EVENTS,
    ) -> None:
        self._database = database
        self._media = media
        self._objects = objects
        self._grace = grace
        self._keep_events = keep_events
        self._events = Events(database)
        self._history = HealthHistory(database)
        self._claims = Claims(database)
        self._users = Users(database)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS * random.uniform(0.8, 1.2))
            try:
                await self.once()
            except DrishtikshaError as error:
                log.warning("the janitor comes again later", error=str(error))
            except Exception:
                log.exception("the janitor stumbled; it comes again later")

    async def once(self) -> int:
        """Collect what is due; the number of objects removed. 0 when another replica is at it."""
        async with exclusively(self._database, JANITOR) as mine:
            if not mine:
                return 0
            await self._claims.forget_old()
            await self._users.forget_expired()
            await self._events.prune(self._keep_events)
            await self._history.forget()
            removed = await self._objects.sweep(self._grace.total_seconds())
            async for page in _pages(self._objects.list(keys.MEDIA)):
                removed += await self._collect(page)
        if removed:
            log.info("orphan bytes collected", objects=removed)
        return removed

    async def _collect(self, page: list[ObjectStat]) -> int:
        oldest = datetime.now(UTC) - self._grace
        old = [found.key for found in page if found.modified < oldest]
        orphans = set(old) - await self._media.known_keys(old) if old else set()
        for key in orphans:
            await self._objects.delete(key)
        return len(orphans)


async def _pages(listing: AsyncIterator[ObjectStat]) -> AsyncIterator[list[ObjectStat]]:
    page: list[ObjectStat] = []
    async for found in listing:
        page.append(found)
        if len(page) >= _PAGE:
            yield page
            page = []
    if page:
        yield page
