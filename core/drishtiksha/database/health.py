"""The history of looks at the ML service: one row in ten seconds at most over all replicas, kept for thirty days.

The api's `mlstatus` looks and writes here, its janitor lets old rows go.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Text, case, cast, delete, exists, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from .session import Database, new_id
from .tables import ServerHealth

APART_SECONDS = 10.0
"""Two rows are at least so far apart, by the database's clock."""
KEPT_DAYS = 30
MAX_PAYLOADS = 8 * 1024 * 1024
"""Characters of all payloads in one answer, newest first; those beyond are left out."""
_WRITER = 0x6865616C7468
"""Advisory lock of the one who writes a row."""


class Health(StrEnum):
    """How the ML service was found."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    """It answers, but says that it is not well, or has no model loaded."""
    UNHEALTHY = "UNHEALTHY"
    """It gave no status: away, refusing our key, or saying something that is none."""


@dataclass(frozen=True)
class HealthLook:
    """One look. The time is null where no status came; `stats` as received, `error` a sentence of ours."""

    status: Health
    response_time_ms: float | None = None
    version: str | None = None
    error: str | None = None
    stats: dict[str, Any] | None = None


@dataclass(frozen=True)
class PastLook:
    """A look that was written down."""

    id: uuid.UUID
    checked_at: datetime
    look: HealthLook


class HealthHistory:
    """Written by whoever looked; read by everybody who is logged in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, look: HealthLook) -> bool:
        """Write one look down; False when there is a row younger than ten seconds already."""

        async def write(session: AsyncSession) -> bool:
            # Whoever holds the lock writes a row now, or has just seen a young one: ours would be too many.
            mine = await session.execute(select(func.pg_try_advisory_xact_lock(_WRITER)))
            young = func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, APART_SECONDS)
            seen = select(exists().where(ServerHealth.checked_at > young))
            if not mine.scalar_one() or (await session.execute(seen)).scalar_one():
                return False
            values = {"status": look.status, "response_time_ms": look.response_time_ms, "version": look.version}
            more = {"error_message": look.error, "stats_payload": look.stats, "checked_at": func.clock_timestamp()}
            await session.execute(insert(ServerHealth).values(id=new_id(), **values, **more))
            return True

        return await self._database.transaction(write)

    async def recent(self, limit: int) -> list[PastLook]:
        """The newest looks first."""

        async def read(session: AsyncSession) -> list[PastLook]:
            size = func.coalesce(func.octet_length(cast(ServerHealth.stats_payload, Text)), 0).label("size")
            newest = select(ServerHealth, size).order_by(ServerHealth.checked_at.desc(), ServerHealth.id.desc())
            row = newest.limit(limit).subquery().c
            order = (row.checked_at.desc(), row.id.desc())
            payload = case((func.sum(row.size).over(order_by=order) <= MAX_PAYLOADS, row.stats_payload))
            of_look = (row.status, row.response_time_ms, row.version, row.error_message, payload)
            rows = await session.execute(select(row.id, row.checked_at, *of_look).order_by(*order))
            return [
                PastLook(key, at, HealthLook(Health(status), *rest))
                for key, at, status, *rest in map(tuple, rows.all())
            ]

        return await self._database.transaction(read)

    async def age(self) -> float | None:
        """Seconds since the newest look; None when there is none."""

        async def read(session: AsyncSession) -> float | None:
            passed = func.clock_timestamp() - func.max(ServerHealth.checked_at)
            found = (await session.execute(select(func.extract("epoch", passed)))).scalar_one()
            return None if found is None else float(found)

        return await self._database.transaction(read)

    async def forget(self) -> int:
        """Let the rows go that are older than thirty days; how many went."""

        async def write(session: AsyncSession) -> int:
            old = func.now() - func.make_interval(0, 0, 0, KEPT_DAYS)
            gone = await session.execute(
                delete(ServerHealth).where(ServerHealth.checked_at < old).returning(ServerHealth.id)
            )
            return len(gone.all())

        return await self._database.transaction(write)
