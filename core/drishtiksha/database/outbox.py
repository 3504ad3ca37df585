"""The outbox: wishes towards the cluster and the object store, kept until they are fulfilled.

Claim, commit, call, remove: no transaction is open during a call, and a claim that is never finished comes up again.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from .session import Database
from .tables import Outbox as OutboxRow

Kind = Literal["create", "erase"]

CLAIM_SECONDS = 60.0
"""A claimed row comes up again after this time when its claimer died."""


@dataclass(frozen=True)
class Wish:
    """One claimed row: `key` is a run (create) or a media (erase). `age` in seconds since it was written."""

    kind: Kind
    key: uuid.UUID
    tries: int
    age: float


async def wish(session: AsyncSession, kind: Kind, key: uuid.UUID) -> None:
    """Write a wish in the caller's transaction; the same wish twice is one."""
    await session.execute(upsert(OutboxRow).values(kind=kind, key=key).on_conflict_do_nothing())


class Outbox:
    """Claims and their ends. Called by the api's dispatcher; `again` by the operator."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, limit: int) -> list[Wish]:
        """Take up to `limit` due rows: nobody else gets them for CLAIM_SECONDS."""
        mine: list[Wish] = []
        until: datetime | None = None

        async def write(session: AsyncSession) -> list[Wish]:
            nonlocal mine, until
            if until is not None:  # the answer to an earlier COMMIT may have been lost
                ours = (OutboxRow.next_try_at == until) & OutboxRow.key.in_([wished.key for wished in mine])
                if (await session.execute(select(func.count()).where(ours))).scalar_one():
                    return mine
            due = (
                select(OutboxRow.kind, OutboxRow.key)
                .where(OutboxRow.rejected_at.is_(None), OutboxRow.next_try_at <= func.now())
                .order_by(OutboxRow.next_try_at)
                .limit(limit)
                .with_for_update(skip_locked=True)
                .cte("due")
            )
            taken = await session.execute(
                update(OutboxRow)
                .where(OutboxRow.kind == due.c.kind, OutboxRow.key == due.c.key)
                .values(
                    next_try_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, CLAIM_SECONDS),
                    tries=OutboxRow.tries + 1,
                )
                .returning(
                    OutboxRow.kind,
                    OutboxRow.key,
                    OutboxRow.tries,
                    func.extract("epoch", func.now() - OutboxRow.created_at),
                    OutboxRow.next_try_at,
                )
            )
            mine = []
            for kind, key, tries, age, until in taken:  # noqa: B007  one moment for all: the transaction's
                mine.append(Wish(cast(Kind, kind), key, tries, float(age)))
            return mine

        return await self._database.transaction(write)

    async def next_due(self) -> datetime | None:
        """When the next row comes up; None when there is none."""

        async def read(session: AsyncSession) -> datetime | None:
            first = select(func.min(OutboxRow.next_try_at)).where(OutboxRow.rejected_at.is_(None))
            return (await session.execute(first)).scalar_one()

        return await self._database.transaction(read)

    async def done(self, wished: Wish) -> None:
        """Remove a fulfilled wish."""

        async def write(session: AsyncSession) -> None:
            await session.execute(delete(OutboxRow).where(OutboxRow.kind == wished.kind, OutboxRow.key == wished.key))

        await self._database.transaction(write)

    async def later(self, wished: Wish, delay: float, error: str | None) -> None:
        """Try again after `delay` seconds."""

        async def write(session: AsyncSession) -> None:
            await session.execute(
                update(OutboxRow)
                .where(OutboxRow.kind == wished.kind, OutboxRow.key == wished.key)
                .values(next_try_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, delay), last_error=error)
            )

        await self._database.transaction(write)

    async def rejected(self, wished: Wish, error: str) -> None:
        """The cluster refuses: the operator's sweep concludes the run."""

        async def write(session: AsyncSession) -> None:
            await session.execute(
                update(OutboxRow)
                .where(OutboxRow.kind == wished.kind, OutboxRow.key == wished.key)
                .values(rejected_at=func.now(), last_error=error)
            )

        await self._database.transaction(write)

    async def again(self, run_id: uuid.UUID) -> None:
        """A run's resource was lost: wish for it once more."""

        async def write(session: AsyncSession) -> None:
            await wish(session, "create", run_id)

        await self._database.transaction(write)
