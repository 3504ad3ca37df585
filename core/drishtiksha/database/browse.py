"""Looking into the database for people: its tables, their first rows, the schema's revision. The server refuses writes.

A short-lived connection per question, without the engine of the processes; `drishtiksha db` and `doctor` ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ..domain.errors import NotFound, Unavailable
from ..urls import libpq_url

PATIENCE = 5
"""Seconds to connect."""
LONGEST = "15s"
"""For one statement."""
HIDDEN = frozenset({"password_hash"})
"""Columns whose values are nobody's to read."""


@dataclass(frozen=True)
class Rows:
    """Some rows of a table, each in the order of `columns`."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def tables(url: str) -> dict[str, int]:
    """The tables of the schema with their number of rows. Raises Unavailable."""
    with _reading(url) as connection:
        return {name: _count(connection, name) for name in _names(connection)}


def rows(url: str, table: str, limit: int) -> Rows:
    """The first rows, the newest first where the table knows when they were made. Raises NotFound, Unavailable."""
    with _reading(url) as connection:
        if table not in (there := _names(connection)):
            raise NotFound(f"there is no table {table}; there are: {', '.join(there) or 'none'}")
        columns = _columns(connection, table)
        order = sql.SQL(" ORDER BY created_at DESC") if "created_at" in columns else sql.SQL("")
        shown = [sql.SQL("'(hidden)'") if name in HIDDEN else sql.Identifier(name) for name in columns]
        query = sql.SQL("SELECT {} FROM {}{} LIMIT {}").format(
            sql.SQL(", ").join(shown), sql.Identifier(table), order, sql.Literal(limit)
        )
        return Rows(columns, connection.execute(query).fetchall())


def revision(url: str) -> str | None:
    """The revision of the schema; None when no migration ever ran. Raises Unavailable."""
    with _reading(url) as connection:
        if "alembic_version" not in _names(connection):
            return None
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(found[0]) if found else None


@contextmanager
def _reading(url: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(libpq_url(url), connect_timeout=PATIENCE) as connection:
            connection.read_only = True
            connection.execute(sql.SQL("SET statement_timeout = {}").format(sql.Literal(LONGEST)))
            yield connection
    except psycopg.Error as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Unavailable("postgres", f"PostgreSQL does not answer: {said}") from None


def _names(connection: psycopg.Connection[Any]) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
    return [row[0] for row in connection.execute(query)]


def _columns(connection: psycopg.Connection[Any], table: str) -> list[str]:
    query = (
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND table_name = %s ORDER BY ordinal_position"
    )
    return [row[0] for row in connection.execute(query, (table,))]


def _count(connection: psycopg.Connection[Any], table: str) -> int:
    found = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    return int(found[0]) if found else 0
