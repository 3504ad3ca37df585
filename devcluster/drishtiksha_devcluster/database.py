"""The platform's database inside a PostgreSQL server: there, reachable with the password of `.env`, at the newest schema.

The schema itself belongs to `drishtiksha.database.migrate`, which is run here as the process that it is in a cluster.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import psycopg

from drishtiksha.domain.errors import DrishtikshaError

from .postgres import OWNER
from .process import plain_environment


class DatabaseFailed(DrishtikshaError):
    """The database cannot be used or migrated; the text says why and what helps."""


def create(server_url: str, *, change_password: Callable[[], None]) -> None:
    """Make the platform's database if it is not there. `server_url`: the owner's, of the database `postgres`.

    `change_password` is called once when the server knows another password than the URL (a new `.env` over old data).
    """
    try:
        _create(server_url)
    except psycopg.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise DatabaseFailed(f"PostgreSQL does not answer: {error}") from None
        change_password()
        _create(server_url)


def _create(server_url: str) -> None:
    with psycopg.connect(server_url, autocommit=True, connect_timeout=10) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (OWNER,)).fetchone() is None:
            connection.execute(f'CREATE DATABASE "{OWNER}"'.encode())


def migrate(database_url: str, *, patience: float = 300.0) -> str:
    """Bring the schema to its newest revision; the last line that was said. Raises DatabaseFailed."""
    command = [sys.executable, "-m", "drishtiksha.database.migrate"]
    environment = {
        **plain_environment(),
        "DATABASE_URL": database_url,
        "DRISHTIKSHA_ENV": os.environ.get("NODE_ENV", ""),
    }
    try:
        done = subprocess.run(
            command, check=False, cwd="/", env=environment, capture_output=True, text=True, timeout=patience
        )
    except subprocess.TimeoutExpired:
        raise DatabaseFailed(
            f"the migration did not end within {patience:.0f} s: does another one hold its lock?"
        ) from None
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-12:])
        raise DatabaseFailed(f"the migration failed (exit {done.returncode}):\n{tail}")
    said = done.stdout.strip().splitlines()
    return said[-1] if said else ""
