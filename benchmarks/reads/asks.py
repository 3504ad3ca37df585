"""One request beside its bare queries: the same statements with the same values, rows fetched and thrown away."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import event
from starlette.types import ASGIApp

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


async def answer(api: ASGIApp, token: str, path: str) -> bytes:
    """The body of a GET, as the api hands it to its server."""
    where, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": where, "raw_path": where.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"api"), (b"authorization", token.encode())], "client": ("::1", 1), "server": ("api", 80),
    }  # fmt: skip
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    await api(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in told)
    assert told[0]["status"] == 200, body
    return body


async def measure(
    ask: Ask, api: ASGIApp, token: str, database: Database, bare: psycopg.AsyncConnection[Any], rounds: int
) -> Measured:
    """Request and bare queries take turns, so that both meet the same machine."""
    said: list[tuple[str, Any]] = []

    def remember(_c: Any, _k: Any, statement: str, values: Any, *_more: Any) -> None:
        said.append((statement, values))

    event.listen(database.engine.sync_engine, "before_cursor_execute", remember)
    body = await answer(api, token, ask.path)
    event.remove(database.engine.sync_engine, "before_cursor_execute", remember)
    ours, theirs = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        await answer(api, token, ask.path)
        between = time.perf_counter()
        async with bare.transaction(), bare.cursor() as cursor:
            for statement, values in said:
                await cursor.execute(statement.encode(), values)
                await cursor.fetchall()
        ours.append(between - began)
        theirs.append(time.perf_counter() - between)
    medians = [1000 * statistics.median(times) for times in (ours, theirs)]
    return Measured(ask.name, ask.limit, *medians, len(said), len(body))
