"""Neighbours of all tests: one real PostgreSQL and one real Valkey per session, and a database per test that writes.

Ask for `database_url` (migrated, yours alone), `redis_url` (an empty database number), or `postgres_server` (the
owner's URL of the whole server). They start only when a test asks. DRISHTIKSHA_TEST_DATABASE_URL, the URL of a role
that may create databases, uses a server that is already there.
"""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis
import socketio  # noqa: F401  whole, with its client: the api would load it without (drishtiksha_api.lean_socketio)

from drishtiksha_devcluster.postgres import throwaway_postgres
from drishtiksha_devcluster.valkey import throwaway_valkey

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Leave out the collector of pytest-alembic (its fixtures stay): it breaks on pytest 9.2 (`_nodeid` is gone)."""
    config.pluginmanager.set_blocked("pytest-alembic")
    # Whoever starts the tests behind a script's `&` has SIGINT ignored in all of them, and what they start hears no Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, ""))


def _run_sql(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The owner's URL of the session's PostgreSQL (fsync off, free port)."""
    given = os.environ.get("DRISHTIKSHA_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with throwaway_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> Iterator[str]:
    """The name of a database that has been migrated to the head once; nobody connects to it again."""
    name = f"template_{secrets.token_hex(6)}"
    _run_sql(postgres_server, f"CREATE DATABASE {name}")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DRISHTIKSHA_")}
    environment["DATABASE_URL"] = _with_database(postgres_server, name)
    command = [sys.executable, "-m", "drishtiksha.database.migrate"]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"the migration failed ({done.returncode}):\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    yield name
    _run_sql(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """A migrated, empty database for this test alone, as postgresql://…"""
    name = f"test_{next(_numbers)}_{secrets.token_hex(4)}"
    _run_sql(postgres_server, f"CREATE DATABASE {name} TEMPLATE {migrated_template} STRATEGY FILE_COPY")
    yield _with_database(postgres_server, name)
    _run_sql(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[str]:
    """The URL of the session's Valkey, database 0 (of 256)."""
    with throwaway_valkey() as url:
        yield url


@pytest.fixture
def redis_url(valkey_server: str) -> str:
    """An empty database number for this test. Publish/subscribe channels know no database: they are the session's."""
    url = _with_database(valkey_server, str(1 + next(_numbers) % 255))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url
