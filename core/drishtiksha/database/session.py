"""The engine, and the one way to run a transaction.

A transaction is a function of a session; it may be run again after a deadlock, a serialisation failure or a lost
connection, so it has no side effect but SQL, and makes its ids before it writes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import structlog
import uuid_utils.compat
from sqlalchemy import event, func, select
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from ..domain.errors import Unavailable

log = structlog.get_logger()
T = TypeVar("T")

_TRIES = 4
_AGAIN = frozenset({"40001", "40P01", "55P03"})
"""SQLSTATEs after which the whole transaction is run again: serialisation failure, deadlock, lock not available."""


def new_id() -> uuid_utils.compat.UUID:
    """A UUID version 7: made before the write, so that a lost answer to COMMIT can be looked up."""
    return uuid_utils.compat.uuid7()


class Database:
    """One pool of connections. `url` is `postgresql+psycopg://…`; times out instead of waiting for ever."""

    def __init__(
        self, url: str, *, pool_size: int = 10, statement_timeout: float = 15.0, application: str = ""
    ) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=20,
            pool_pre_ping=False,
            pool_recycle=1800,
            connect_args={"connect_timeout": 5, "application_name": f"drishtiksha-{application}".rstrip("-")},
        )
        milliseconds = int(statement_timeout * 1000)

        @event.listens_for(self.engine.sync_engine, "connect")
        def _limits(connection, _record) -> None:  # type: ignore[no-untyped-def]
            with connection.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = {milliseconds}")
                cursor.execute("SET lock_timeout = '10s'")
                cursor.execute("SET idle_in_transaction_session_timeout = '30s'")
            connection.commit()

    async def transaction(self, story: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Run `story` in one transaction and commit. Raises Unavailable("postgres") when the budget of tries is spent."""
        for attempt in range(1, _TRIES + 1):
            try:
                async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
                    return await story(session)
            except (DBAPIError, PoolTimeout) as error:
                if not _worth_another_try(error):
                    if isinstance(error, PoolTimeout):
                        raise Unavailable("postgres", "All connections to the database are busy.") from error
                    if isinstance(error, (OperationalError, InterfaceError)):  # refused: a wrong password, too many
                        raise Unavailable("postgres", "The database refuses the connection.") from error
                    raise
                if attempt == _TRIES:
                    raise Unavailable("postgres", "The database does not answer. Please try again.") from error
                log.warning("transaction is run again", attempt=attempt, error=str(error).splitlines()[0][:200])
                await asyncio.sleep(random.uniform(0.02, 0.1) * 2**attempt)
        raise AssertionError("unreachable")

    async def now(self) -> datetime:
        """The database's clock, by which all times in rows are compared."""

        async def look(session: AsyncSession) -> datetime:
            found: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
            return found

        return await self.transaction(look)

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def _worth_another_try(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):  # no connection came free in time: who waits longer only piles up
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state in _AGAIN or error.connection_invalidated:
        return True
    # No SQLSTATE, or class 08 (connection) or 57P (shutdown): the connection was lost or never made.
    gone = state is None or state.startswith(("08", "57P"))
    return gone and isinstance(error, (OperationalError, InterfaceError))
