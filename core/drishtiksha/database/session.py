"""The engine, and the one way to run a transaction.

A transaction is a function of a session; it may be run again after a deadlock, a serialisation failure or a lost
connection, so it has no side effect but SQL, and makes its ids before it writes.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import psycopg
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
_PATIENCE = 30.0
"""Seconds after which a transaction is not run again, however few its tries: somebody waits for the answer."""
_SLACK = 5.0
"""Seconds beyond the statement's own limit after which a server that says nothing is given up."""
_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 20_000}
"""A peer whose machine is lost sends nothing, not even an end: the kernel finds out (seconds; the last: ms)."""


def new_id() -> uuid_utils.compat.UUID:
    """A UUID version 7: made before the write, so that a lost answer to COMMIT can be looked up."""
    return uuid_utils.compat.uuid7()


class _Connection(psycopg.AsyncConnection[Any]):
    """Hangs up on a server that has fallen silent in the middle of a statement.

    PostgreSQL's own limits are kept by PostgreSQL: behind a dead network, or a server that is stopped, they never come.
    The call ends as one whose connection was lost.
    """

    patience = 20.0

    async def wait(self, *arguments: Any, **more: Any) -> Any:
        timer = asyncio.get_running_loop().call_later(self.patience, self._hang_up)
        try:
            return await super().wait(*arguments, **more)
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        with suppress(OSError, psycopg.OperationalError):  # it is closed already
            with socket.socket(fileno=os.dup(self.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)


class Database:
    """One pool of connections. `url` is `postgresql+psycopg://…`; times out instead of waiting for ever."""

    def __init__(
        self, url: str, *, pool_size: int = 10, statement_timeout: float = 15.0, application: str = ""
    ) -> None:

        async def connect(*arguments: Any, **more: Any) -> _Connection:
            made = await _Connection.connect(*arguments, **more)
            made.patience = statement_timeout + _SLACK
            return made

        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=20,
            pool_pre_ping=False,
            pool_recycle=1800,
            hide_parameters=True,  # they are a person's words: no log and no error text may hold them
            connect_args={
                "async_creator_fn": connect,
                "connect_timeout": 5,
                "application_name": f"drishtiksha-{application}".rstrip("-"),
                **_KEEPALIVE,
            },
        )
        milliseconds = int(statement_timeout * 1000)

        @event.listens_for(self.engine.sync_engine, "connect")
        def _limits(connection, _record) -> None:  # type: ignore[no-untyped-def]
            with connection.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = {milliseconds}")
                cursor.execute("SET lock_timeout = '10s'")
                cursor.execute("SET idle_in_transaction_session_timeout = '30s'")
            connection.commit()

        @event.listens_for(self.engine.sync_engine, "handle_error")
        def _first_line_only(context) -> None:  # type: ignore[no-untyped-def]
            # What follows it (DETAIL) quotes keys and whole rows.
            for error in (context.original_exception, context.sqlalchemy_exception):
                if error is not None:
                    error.args = tuple(str(error.args[0]).splitlines()[:1]) if error.args else ()

    async def transaction(self, story: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Run `story` in one transaction and commit. Raises Unavailable("postgres") when the budget of tries is spent."""
        loop = asyncio.get_running_loop()
        began = loop.time()
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
                if attempt == _TRIES or loop.time() - began > _PATIENCE:
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
