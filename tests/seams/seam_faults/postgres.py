"""The seam to PostgreSQL: each transaction, at its beginning and at its COMMIT, and each statement outside of one.

The faults are real where they can be: a commit whose answer is lost has been made and its connection is closed, a slow
statement is cancelled by the server's own clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from drishtiksha.database.session import Database

from .wire import Fault, wire

T = TypeVar("T")

_inside: ContextVar[Fault | None] = ContextVar("inside", default=None)
"""The transaction under way."""
_SOUND = Fault("none")


class SeamDatabase(Database):
    """The platform's pool, every use of which goes over the wire."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        dialect = self.engine.sync_engine.dialect
        commit, execute = dialect.do_commit, dialect.do_execute

        def do_commit(connection: Any) -> None:
            fault = _inside.get()
            if fault is None:
                commit(connection)
                return
            if fault.kind == "error" and fault.tries == 1:
                raise psycopg.errors.SerializationFailure("could not serialize access (injected)")
            commit(connection)
            if fault.kind in ("lost", "unanswered") and fault.tries == 1:
                raise _hang_up(connection)

        def do_execute(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
            kind = None
            if _inside.get() is None:
                kind = wire.get().meet("postgres", _words(statement))
            if kind in ("before", "away"):
                raise _hang_up(context.root_connection.connection)
            if kind == "error":
                raise psycopg.errors.LockNotAvailable("canceling statement due to lock timeout (injected)")
            if kind == "slow":
                raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout (injected)")
            execute(cursor, statement, parameters, context)
            if kind == "repeated":
                execute(cursor, statement, parameters, context)
            if kind in ("lost", "unanswered"):
                raise _hang_up(context.root_connection.connection)

        dialect.do_commit, dialect.do_execute = do_commit, do_execute  # type: ignore[method-assign, assignment]

    async def transaction(self, story: Callable[[AsyncSession], Awaitable[T]]) -> T:
        kind = wire.get().meet("postgres", verb(story))
        fault = Fault(kind) if kind is not None else _SOUND

        async def told(session: AsyncSession) -> T:
            tries = fault.next_try() if fault is not _SOUND else 0
            if kind == "away" or (kind == "before" and tries == 1) or (kind == "unanswered" and tries > 1):
                raise OperationalError("BEGIN", {}, psycopg.OperationalError("connection refused (injected)"))
            if kind == "slow":
                await session.execute(text("SET LOCAL statement_timeout = 30"))
                await session.execute(text("SELECT pg_sleep(60)"))
            return await story(session)

        mark = _inside.set(fault)
        try:
            if kind == "repeated":
                await super().transaction(told)
            return await super().transaction(told)
        finally:
            _inside.reset(mark)


def verb(story: Callable[..., Any]) -> str:
    """The name of a transaction: that of the verb whose function it is."""
    return story.__qualname__.rpartition(".<locals>.")[0]


def _words(statement: str) -> str:
    return statement.partition("(")[0].strip()


def _hang_up(connection: Any) -> psycopg.OperationalError:
    """Close the connection under the client's feet; what the client then sees."""
    connection.dbapi_connection.driver_connection.pgconn.finish()
    return psycopg.OperationalError("server closed the connection unexpectedly (injected)")
