"""Requests that may be repeated: a key of the client's, and what was made for it. Called by the api.

A request claims its key first, and keeps the claim fresh while it is at work; a claim that nobody keeps fresh is free
again. What was made is written with the same transaction that makes it (`Claim.fulfil`), so that of all requests with
one key exactly one makes something, whoever dies when. Nothing personal is kept: only which media and run it was.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from ..domain.errors import InFlight
from .session import Database, new_id
from .tables import IdempotencyKey

KEPT = timedelta(hours=24)
"""So long a key remembers what was made for it."""
STALE = timedelta(seconds=60)
"""A claim that was not kept fresh for so long is that of a request that died."""

_Row = IdempotencyKey


@dataclass(frozen=True)
class Made:
    """What the first request with a key made. `fingerprint`: SHA-256 of what it asked for."""

    fingerprint: str
    media_id: uuid.UUID
    run_id: uuid.UUID


@dataclass(frozen=True)
class Claim:
    """The right of one request to be the first with its key."""

    user_id: uuid.UUID
    route: str
    key: str
    owner: uuid.UUID = field(default_factory=new_id)

    async def fulfil(self, session: AsyncSession, made: Made) -> None:
        """Remember what this transaction makes. Raises InFlight when the claim went stale and another request has it."""
        remembered = {"mediaId": str(made.media_id), "runId": str(made.run_id)}
        values = {"request_sha256": made.fingerprint, "status_code": 202, "response": remembered}
        kept = update(_Row).where(self._mine()).values(**values, created_at=func.now()).returning(_Row.key)
        if (await session.execute(kept)).one_or_none() is None:
            raise InFlight("Another request with this key is at work.")

    def _mine(self) -> ColumnElement[bool]:
        return and_(_at(self), _Row.status_code.is_(None), _Row.response["owner"].astext == str(self.owner))


class Claims:
    """One row per user, route and key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, claim: Claim) -> Made | None:
        """Take the claim: None. Or what was made for this key. Raises InFlight while another request is at work."""

        async def write(session: AsyncSession) -> Made | None:
            place = {"user_id": claim.user_id, "route": claim.route, "key": claim.key}
            fresh = {"request_sha256": None, "status_code": None, "response": {"owner": str(claim.owner)}}
            free = or_(
                claim._mine(),  # the answer to an earlier COMMIT was lost
                and_(_Row.status_code.is_(None), _Row.created_at < func.now() - STALE),
                _Row.created_at < func.now() - KEPT,
            )
            taken = (
                upsert(_Row)
                .values(**place, **fresh)
                .on_conflict_do_update(
                    index_elements=list(place), set_={**fresh, "created_at": func.now()}, where=free
                )
                .returning(_Row.key)
            )  # fmt: skip
            if (await session.execute(taken)).one_or_none() is not None:
                return None
            row = (await session.scalars(select(_Row).where(_at(claim)))).one_or_none()
            if row is None or row.status_code is None:
                raise InFlight("Another request with this key is at work.")
            return _made(row)

        return await self._database.transaction(write)

    async def keep(self, claim: Claim) -> None:
        """Keep a claim fresh. One that is lost stays lost."""

        async def write(session: AsyncSession) -> None:
            await session.execute(update(_Row).where(claim._mine()).values(created_at=func.now()))

        await self._database.transaction(write)

    async def release(self, claim: Claim) -> None:
        """Nothing was made: the key is free again. One that was fulfilled stays."""

        async def write(session: AsyncSession) -> None:
            await session.execute(delete(_Row).where(claim._mine()))

        await self._database.transaction(write)

    async def forget_old(self) -> int:
        """Remove keys whose time has passed; how many."""

        async def write(session: AsyncSession) -> int:
            old = delete(_Row).where(_Row.created_at < func.now() - KEPT).returning(_Row.key)
            return len((await session.execute(old)).all())

        return await self._database.transaction(write)


def _at(claim: Claim) -> ColumnElement[bool]:
    return and_(_Row.user_id == claim.user_id, _Row.route == claim.route, _Row.key == claim.key)


def _made(row: IdempotencyKey) -> Made:
    remembered: dict[str, Any] = row.response or {}
    return Made(row.request_sha256 or "", uuid.UUID(remembered["mediaId"]), uuid.UUID(remembered["runId"]))
