"""The bundles of a running service: looks at their folder again and again, and has the pool serve what has changed.

`staging` copies and remembers, `pool` loads. A bundle that is refused is told in `/stats`; the one before it stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from ..pool import Pool
from .staging import Staging

log = structlog.get_logger()

LOOK_SECONDS = 2.0
"""Between two looks at the folder."""


class Bundles:
    """What lies in `source` is copied into `home` and served by `pool`."""

    def __init__(self, source: Path, home: Path, pool: Pool) -> None:
        copies = home / "bundles"
        copies.mkdir(mode=0o700)
        self._staging, self._pool = Staging(source, copies), pool

    async def start(self) -> None:
        """Start the pool with what is there."""
        await asyncio.to_thread(self._staging.look)
        self._pool.start([copy.path for copy in self._staging.proposed.values()])
        self._staging.settle()
        self._tell()

    async def watch(self) -> None:
        """Until cancelled."""
        await self._pool.ready.wait()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if await asyncio.to_thread(self._staging.look):
                    await self._serve()
            except Exception:
                log.exception("the bundles could not be looked at; the next look tries again")

    async def _serve(self) -> None:
        """Have what is proposed served; where a newer bundle is refused, the older one again."""
        for _ in range(len(self._staging.proposed) + 1):
            paths = [copy.path for copy in self._staging.proposed.values()]
            if await self._pool.renew(paths, lambda models: not self._staging.review(models)):
                break
        self._staging.settle()
        self._tell()

    def told(self, listed: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The listing with the reasons that its workers cannot know."""
        models = [dict(model) for model in listed]
        by_name = {model["name"]: model for model in models}
        for folder, why in self._staging.refused.items():
            served = self._staging.served.get(folder)
            if served is not None and served.name in by_name:
                if by_name[served.name]["loaded"]:
                    by_name[served.name]["reason"] = f"An older one is served; the newer was refused: {why}"
            else:
                models.append(_unserved(folder, why))
        return models

    def _tell(self) -> None:
        log.info("bundles are served", names=sorted(copy.name for copy in self._staging.served.values()))
        for folder, why in self._staging.refused.items():
            log.warning("a bundle is refused", folder=folder, reason=why)


def _unserved(folder: str, why: str) -> dict[str, Any]:
    from ..registry import as_name

    nothing: dict[str, Any] = {"class_name": "BundleDetector", "description": "", "version": "", "media_types": []}
    return {
        **nothing,
        "name": as_name(folder),
        "limits": [],
        "loaded": False,
        "reason": why,
        "load_ms": None,
        "device": "cpu",
    }
