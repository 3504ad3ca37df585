"""Looks at the ML service when nobody else does, so that its history has no holes while no visitor asks."""

from __future__ import annotations

import asyncio
import random

import structlog

from drishtiksha.database.health import HealthHistory
from drishtiksha.domain.errors import DrishtikshaError

from .mlstatus import MLStatus
from .problems import Problem

log = structlog.get_logger()

EVERY_SECONDS = 60.0
_FRESH = 0.75
"""Share of that time within which another look, by a visitor or another replica, is as good as ours."""


class HealthWatch:
    """One in each replica; together they look about once a minute."""

    def __init__(self, status: MLStatus, history: HealthHistory, every: float = EVERY_SECONDS) -> None:
        self._status = status
        self._history = history
        self._every = every

    async def run(self) -> None:
        """Until cancelled; at once over when no ML service is set. The first look waits a little: all start together."""
        pause = self._every * random.uniform(0.05, 0.2)
        while self._status.is_set:
            await asyncio.sleep(pause)
            try:
                await self.once()
            except DrishtikshaError as error:
                log.warning("the watch over the ML service looks again later", error=str(error))
            except Exception:
                log.exception("the watch over the ML service stumbled; it looks again later")
            pause = self._every * random.uniform(0.8, 1.2)

    async def once(self) -> bool:
        """Look, unless somebody just did; whether we looked. Raises Unavailable when the database is away."""
        age = await self._history.age()
        if age is not None and age < self._every * _FRESH:
            return False
        try:
            await self._status.look()
        except Problem as away:  # written down already
            log.info("the ML service gives no status", why=away.message)
        return True
