"""Questions about the database itself: which schema it has, and whether somebody else does a chore already."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from ..domain.errors import Unavailable
from .session import Database

JANITOR = 0x6A616E69746F72
"""Lock of the janitor of orphan bytes."""
_LOCK, _UNLOCK = text("SELECT pg_try_advisory_lock(:lock)"), text("SELECT pg_advisory_unlock_all()")


async def schema_version(database: Database) -> str | None:
    """The revision of the schema; None when no migration ever ran. Raises Unavailable."""

    async def read(session: AsyncSession) -> str | None:
        return (await session.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()

    try:
        return await database.transaction(read)
    except ProgrammingError:
        return None


@asynccontextmanager
async def exclusively(database: Database, lock: int) -> AsyncIterator[bool]:
    """Hold an advisory lock for the time of the block; False when somebody else holds it. Raises Unavailable.

    The lock is the connection's: one that may still hold it is closed, and not given back to the pool.
    """
    try:
        async with database.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            held = True
            try:
                held = bool((await connection.execute(_LOCK, {"lock": lock})).scalar())
                try:
                    yield held
                finally:
                    if held:
                        await connection.execute(_UNLOCK)
                        held = False
            finally:
                if held:
                    await connection.invalidate()
    except DBAPIError as error:
        raise Unavailable("postgres", "The database does not answer.") from error
