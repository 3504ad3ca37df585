"""Who of our neighbours is there. Asked by `/readyz`, and at the start, where we say for whom we wait."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

import structlog

import drishtiksha
from drishtiksha.database.upkeep import schema_version
from drishtiksha.domain.errors import DrishtikshaError

from .neighbours import Neighbours

log = structlog.get_logger()

_TIMEOUT = 5.0
_REVISION = re.compile(r"^revision(?:: \w+)? = [\"'](\w+)[\"']", re.M)
_DOWN_REVISION = re.compile(r"^down_revision(?:: [\w |]+)? = [\"'](\w+)[\"']", re.M)


async def missing(neighbours: Neighbours) -> dict[str, str]:
    """The neighbours that are away, and a sentence each; empty when all are there."""
    checks: dict[str, Callable[[], Awaitable[str | None]]] = {
        "postgres": lambda: _postgres(neighbours),
        "redis": lambda: _redis(neighbours),
        "objects": lambda: _objects(neighbours),
    }
    said = await asyncio.gather(*(_asked(check) for check in checks.values()))
    return {name: sentence for name, sentence in zip(checks, said, strict=True) if sentence is not None}


async def say_who_is_missing(neighbours: Neighbours) -> None:
    """Log for whom we wait until everybody is there; the routes answer 503 as long."""
    delay = 0.5
    while away := await missing(neighbours):
        log.warning("waiting for neighbours", **away)
        await asyncio.sleep(delay)
        delay = min(delay * 2, 15.0)
    log.info("all neighbours are there")


async def _asked(check: Callable[[], Awaitable[str | None]]) -> str | None:
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await check()
    except TimeoutError:
        return "does not answer in time"
    except (DrishtikshaError, OSError):
        return "does not answer"


async def _postgres(neighbours: Neighbours) -> str | None:
    found, expected = await schema_version(neighbours.database), await asyncio.to_thread(_head)
    return None if found == expected else f"the schema is at {found}, not at {expected}: run drishtiksha-migrate"


@cache
def _head() -> str:
    """The newest revision among the migration scripts. Read as text: Alembic would cost the process 6 MiB for ever."""
    package = Path(drishtiksha.__file__).resolve().parent
    folders = (package.parents[1] / "migrations" / "versions", package / "data" / "migrations" / "versions")
    texts = [path.read_text() for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.py"))]
    revisions = {found[1] for text in texts if (found := _REVISION.search(text))}
    older = {found[1] for text in texts if (found := _DOWN_REVISION.search(text))}
    (head,) = revisions - older
    return head


async def _redis(neighbours: Neighbours) -> str | None:
    return None if await neighbours.bus.ping() else "does not answer"


async def _objects(neighbours: Neighbours) -> str | None:
    await neighbours.objects.check()
    return None
