"""A database that is slow: who finds no connection free is told so once, and no connection more is opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from drishtiksha.database.session import Database
from drishtiksha.domain.errors import Unavailable
from drishtiksha.settings import sqlalchemy_url

MOST = 2


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    found = Database(sqlalchemy_url(database_url), pool_size=MOST, application="busy")
    found.engine.sync_engine.pool._timeout = 0.3  # type: ignore[attr-defined]
    yield found
    await found.close()


async def test_a_busy_pool_says_so_after_one_wait_and_opens_no_connection_more(database: Database) -> None:
    held, may_end = 0, asyncio.Event()

    async def hold(session: AsyncSession) -> None:
        nonlocal held
        await session.execute(text("SELECT 1"))
        held += 1
        await may_end.wait()

    async def look(session: AsyncSession) -> int:
        query = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drishtiksha-busy'")
        return int((await session.execute(query)).scalar_one())

    holders = [asyncio.create_task(database.transaction(hold)) for _ in range(MOST)]
    async with asyncio.timeout(30):
        while held < MOST:
            await asyncio.sleep(0.01)
    with capture_logs() as logs:
        told = await asyncio.gather(*(database.transaction(look) for _ in range(50)), return_exceptions=True)
    assert [(type(one), getattr(one, "what", None)) for one in told] == [(Unavailable, "postgres")] * 50
    assert logs == [], "somebody waited again"
    may_end.set()
    await asyncio.gather(*holders)
    assert await database.transaction(look) == MOST
