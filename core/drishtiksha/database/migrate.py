"""`drishtiksha-migrate`: bring the schema to head, once per deployment, under an advisory lock.

`drishtiksha-migrate objects` moves the bytes to another object store: `drishtiksha.relocation` does that.
The scripts stand in `migrations/` of a source tree, or inside the installed package.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from .. import logs, settings
from ..domain.errors import BadSettings

LOCK = 0x6472697368  # "drish": one number for all migrations of this product
_WAIT = 60.0
"""Seconds to wait for a database that does not answer yet."""


def scripts() -> Path:
    """The folder of the migration scripts: the source tree's, else the installed copy."""
    package = Path(__file__).resolve().parents[1]
    source = package.parents[1] / "migrations"
    return source if (source / "env.py").is_file() else package / "data" / "migrations"


def config(url: str) -> Config:
    """Alembic's configuration for a database; `url` is `postgresql+psycopg://…`."""
    found = Config()
    found.set_main_option("script_location", str(scripts()))
    found.set_main_option("prepend_sys_path", "")
    found.attributes["url"] = url
    return found


def head() -> str:
    """The newest revision that this code knows."""
    revision = ScriptDirectory.from_config(config("")).get_current_head()
    if revision is None:
        raise RuntimeError("no migration scripts were found")
    return revision


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema to `revision`. Two at once: the second waits for the first."""
    command.upgrade(config(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the schema back to `revision`; `base` removes everything."""
    command.downgrade(config(url), revision)


def _wait_for(url: str) -> None:
    engine = create_engine(url, connect_args={"connect_timeout": 5})
    give_up, told = time.monotonic() + _WAIT, False
    while True:
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
            engine.dispose()
            return
        except OperationalError as error:
            if time.monotonic() > give_up:
                raise
            if not told:
                print(f"waiting for PostgreSQL: {str(error.orig).splitlines()[0]}", file=sys.stderr)
                told = True
            time.sleep(0.5)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: `drishtiksha-migrate [--to REVISION] [--downgrade]`. Exit 2 for bad settings, 1 for a failure."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["objects"]:
        from ..relocation import command as relocation

        relocation.main(words[1:])
        return
    parser = argparse.ArgumentParser(
        prog="drishtiksha-migrate",
        description="Bring the database schema to head.",
        epilog="`drishtiksha-migrate objects --help`: move the bytes to another object store.",
    )
    parser.add_argument(
        "--to", default="head", help="revision to reach (default: head; with --downgrade: base is empty)"
    )
    parser.add_argument("--downgrade", action="store_true", help="go back instead of forward: data may be lost")
    options = parser.parse_args(words)
    logs.configure("migrate")
    try:
        url = settings.load(settings.Database).url.get_secret_value()
        _wait_for(url)
    except BadSettings as error:
        sys.exit(f"drishtiksha-migrate: {error}")
    except OperationalError as error:
        sys.exit(
            f"drishtiksha-migrate: PostgreSQL does not answer ({str(error.orig).splitlines()[0]}). Check DATABASE_URL."
        )
    if options.downgrade:
        downgrade(url, options.to)
    else:
        upgrade(url, options.to)


if __name__ == "__main__":
    main()
