"""`drishtiksha-migrate objects --from local --to s3`: copy all bytes to another object store, and say what became of it.

Both stores are opened by their names, from the settings of the environment. Nothing is removed from the first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence

from .. import logs, settings
from ..database.session import Database
from ..database.stored import StoredRows
from ..domain.errors import BadSettings, Unavailable
from ..objects.providers import open_objects
from .copying import Copied, Copying

EVERY = 2.0
"""Seconds between two lines of progress."""
STATEMENT_TIMEOUT = 120.0
"""Seconds: counting all rows of a large platform takes longer than a request may."""
_NAMED = 1000
"""So many missing and damaged objects are named; the counts are whole."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit 0 when the target has everything, 1 when it lacks something, 2 for a bad setting."""
    parser = argparse.ArgumentParser(
        prog="drishtiksha-migrate objects",
        description="Copy all bytes that the database knows to another object store; again at any time, it goes on.",
    )
    parser.add_argument(
        "--from", dest="source", required=True, metavar="PROVIDER", help="local, s3, gcs, azure, cloudinary, …"
    )
    parser.add_argument("--to", dest="target", required=True, metavar="PROVIDER", help="the other one")
    parser.add_argument("--deep", action="store_true", help="read and compare what the target has already, too")
    options = parser.parse_args(arguments)
    logs.configure("migrate")
    try:
        if options.source == options.target:
            raise BadSettings(f"--from and --to both name {options.source}: name two stores")
        done = asyncio.run(_copy(options.source, options.target, deep=options.deep))
    except BadSettings as error:
        print(f"drishtiksha-migrate objects: {error}", file=sys.stderr)
        sys.exit(2)
    except Unavailable as error:
        sys.exit(f"drishtiksha-migrate objects: {error} Start it again: it goes on where it stopped.")
    print(json.dumps(summary(done, options.source, options.target), indent=2))
    sys.exit(0 if done.whole else 1)


def summary(done: Copied, source: str, target: str) -> dict[str, object]:
    """What was done, for machines."""
    return {
        "from": source,
        "to": target,
        "complete": done.whole,
        "copied": done.copied,
        "copiedBytes": done.copied_bytes,
        "alreadyThere": done.there,
        "alreadyThereBytes": done.there_bytes,
        "gone": done.gone,
        "missing": len(done.missing),
        "damaged": len(done.damaged),
        "missingKeys": done.missing[:_NAMED],
        "damagedKeys": done.damaged[:_NAMED],
    }


async def _copy(source: str, target: str, *, deep: bool) -> Copied:
    url = settings.load(settings.Database).url.get_secret_value()
    there, here = open_objects(source), open_objects(target)
    database = Database(url, pool_size=4, statement_timeout=STATEMENT_TIMEOUT, application="migrate")
    try:
        await here.check()
        rows = StoredRows(database)
        count, size = await rows.total()
        progress = Progress(count, size)
        done = await Copying(rows, there, here, progress.tell).run(deep=deep)
        progress.tell(done, last=True)
        return done
    finally:
        await database.close()


class Progress:
    """A line on stderr every few seconds."""

    def __init__(self, count: int, size: int) -> None:
        self._count, self._size = count, size
        self._last = time.monotonic() - EVERY

    def tell(self, done: Copied, *, last: bool = False) -> None:
        """Say how far it is."""
        if not last and time.monotonic() - self._last < EVERY:
            return
        self._last = time.monotonic()
        size = (done.copied_bytes + done.there_bytes) / 1e6
        print(
            f"{done.seen} of {self._count} objects, {size:.1f} of {self._size / 1e6:.1f} MB "
            f"({done.copied} copied, {done.there} were there)",
            file=sys.stderr, flush=True,
        )  # fmt: skip
