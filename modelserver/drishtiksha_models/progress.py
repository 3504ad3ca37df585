"""Progress on Redis for callers that do not read it from the answer; lost without harm when Redis is away."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

from drishtiksha.bus import Bus

WAITING = 64
"""Messages kept while Redis is slow; the oldest are dropped first."""


class Publisher:
    """Sends in order, from one task; `tell` never waits."""

    def __init__(self, redis_url: str, channel: str) -> None:
        self._bus = Bus(redis_url)
        self._channel = channel
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING)
        self._task = asyncio.create_task(self._send())

    def tell(self, media_id: str, user_id: str, progress: dict[str, Any]) -> None:
        """Publish one step of an analysis: {media_id, user_id, event, message, data, timestamp}."""
        if self._messages.full():
            self._messages.get_nowait()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._messages.put_nowait({"media_id": media_id, "user_id": user_id, **progress, "timestamp": now})

    async def _send(self) -> None:
        while True:
            await self._bus.publish(self._channel, await self._messages.get())

    async def close(self) -> None:
        """Stop; what was not sent is dropped."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._bus.close()
