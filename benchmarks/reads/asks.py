"""One request beside its bare queries: the same statements with the same values, rows fetched and thrown away."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from sqlalchemy import event

from drishtiksha.database.session import Database


@dataclass(frozen=True)
class Measured:
    """Medians in milliseconds over so many rounds; `statements` per request, those about the token included."""

    name: str
    limit: float
    request: float
    bare: float
    statements: int
    size: int

    @property
    def ratio(self) -> float:
        return self.request / self.bare

    @property
    def held(self) -> bool:
        return self.ratio <= self.limit


@dataclass(frozen=True)
class Ask:
    """A path and how many times its bare queries the answer may take."""

    name: str
    path: str
    limit: float


async def measure(
    ask: Ask, client: httpx.AsyncClient, database: Database, bare: psycopg.AsyncConnection[Any], rounds: int
) -> Measured:
    """Request and bare queries take turns, so that both meet the same machine."""
    said: list[tuple[str, Any]] = []

    def remember(_c: Any, _k: Any, statement: str, values: Any, *_more: Any) -> None:
        said.append((statement, values))

    event.listen(database.engine.sync_engine, "before_cursor_execute", remember)
    answer = await client.get(ask.path)
    event.remove(database.engine.sync_engine, "before_cursor_execute", remember)
    assert answer.status_code == 200, answer.text
    ours, theirs = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        await client.get(ask.path)
        between = time.perf_counter()
        async with bare.transaction(), bare.cursor() as cursor:
            for statement, values in said:
                await cursor.execute(statement.encode(), values)
                await cursor.fetchall()
        ours.append(between - began)
        theirs.append(time.perf_counter() - between)
    medians = [1000 * statistics.median(times) for times in (ours, theirs)]
    return Measured(ask.name, ask.limit, *medians, len(said), len(answer.content))
