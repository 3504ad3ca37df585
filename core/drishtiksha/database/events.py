"""Durable events: appended by whoever writes the change, read by the relay and by clients that come back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from ..domain.events import Event, EventType
from .session import Database, new_id
from .tables import Event as EventRow
from .tables import EventCounter


@dataclass(frozen=True)
class Announcement:
    """What to publish after the commit: this user's events go up to `seq` now."""

    user_id: uuid.UUID
    seq: int


@dataclass(frozen=True)
class StoredEvent:
    """One event as it is kept. `payload` is {message, data}, or empty when its media was deleted."""

    seq: int
    type: EventType
    media_id: uuid.UUID | None
    run_id: uuid.UUID | None
    payload: dict[str, Any]
    created_at: datetime


async def append(
    session: AsyncSession, user_id: uuid.UUID, media_id: uuid.UUID, run_id: uuid.UUID | None, told: Sequence[Event]
) -> Announcement:
    """Write events in the caller's transaction. The counter's row is locked last, just before COMMIT: call this last."""
    taken = (
        upsert(EventCounter)
        .values(user_id=user_id, last_seq=len(told))
        .on_conflict_do_update(index_elements=["user_id"], set_={"last_seq": EventCounter.last_seq + len(told)})
        .returning(EventCounter.last_seq)
    )
    last: int = (await session.execute(taken)).scalar_one()
    first = last - len(told) + 1
    rows = [
        {
            "id": new_id(),
            "user_id": user_id,
            "seq": first + offset,
            "media_id": media_id,
            "run_id": run_id,
            "type": event.type,
            "payload": {"message": event.message, "data": event.data},
        }
        for offset, event in enumerate(told)
    ]
    await session.execute(insert(EventRow), rows)
    return Announcement(user_id, last)


async def forget_media(session: AsyncSession, media_id: uuid.UUID) -> None:
    """Turn a deleted media's stored events into bare MEDIA_DELETED: the numbers stay, what they told goes."""
    await session.execute(
        update(EventRow).where(EventRow.media_id == media_id).values(type=EventType.MEDIA_DELETED, payload={})
    )


class Events:
    """Reads of the durable events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, user_id: uuid.UUID, seq: int, limit: int = 500) -> list[StoredEvent]:
        """A user's events with a number above `seq`, in order, at most `limit`."""

        async def read(session: AsyncSession) -> list[StoredEvent]:
            rows = await session.scalars(
                select(EventRow)
                .where(EventRow.user_id == user_id, EventRow.seq > seq)
                .order_by(EventRow.seq)
                .limit(limit)
            )
            return [_stored(row) for row in rows]

        return await self._database.transaction(read)

    async def last_seq(self, user_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
        """The last number of each of these users; users without events are missing."""

        async def read(session: AsyncSession) -> dict[uuid.UUID, int]:
            rows = await session.execute(
                select(EventCounter.user_id, EventCounter.last_seq).where(EventCounter.user_id.in_(user_ids))
            )
            return dict(rows.tuples().all())

        return await self._database.transaction(read)

    async def of_media(self, user_id: uuid.UUID, media_id: uuid.UUID, seq: int, limit: int) -> list[StoredEvent]:
        """The events of one media with a number above `seq`, in order."""

        async def read(session: AsyncSession) -> list[StoredEvent]:
            rows = await session.scalars(
                select(EventRow)
                .where(EventRow.user_id == user_id, EventRow.media_id == media_id, EventRow.seq > seq)
                .order_by(EventRow.seq)
                .limit(limit)
            )
            return [_stored(row) for row in rows]

        return await self._database.transaction(read)

    async def prune(self, older_than: float) -> int:
        """Remove events older than so many seconds, of each user the first ones; the counters stay. How many went.

        Two events may have changed places in time, but not in number: what goes has no gap.
        """

        async def write(session: AsyncSession) -> int:
            limit = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, older_than)
            last = select(EventRow.user_id, func.max(EventRow.seq).label("seq")).where(EventRow.created_at < limit)
            old = last.group_by(EventRow.user_id).subquery()
            first_ones = delete(EventRow).where(EventRow.user_id == old.c.user_id, EventRow.seq <= old.c.seq)
            return len((await session.execute(first_ones.returning(EventRow.id))).all())

        return await self._database.transaction(write)


def _stored(row: EventRow) -> StoredEvent:
    return StoredEvent(row.seq, EventType(row.type), row.media_id, row.run_id, row.payload, row.created_at)
