"""Ephemeral progress: which of it may reach a client, and whose it is.

Messages come from runners by way of the door, and from ML services; neither is believed about the owner.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from drishtiksha.domain.events import may_pass_as_progress

from .shapes.values import moment

_KEEP_OWNER = 2.0
"""Seconds that an owner is remembered; a deletion forgets at once."""
_GAP = 0.25
"""Seconds between two messages of one model about one media."""
_MOST = 5_000
_MAX_TEXT = 4000

Owner = Callable[[uuid.UUID], Awaitable[uuid.UUID | None]]


class Ticks:
    """Looks owners up by media; drops what is too often, unknown, or named like a durable event."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._owners: dict[uuid.UUID, tuple[float, uuid.UUID | None]] = {}
        self._last: dict[tuple[uuid.UUID, str], float] = {}

    async def admit(
        self, message: dict[str, Any], *, ours: bool, now: float
    ) -> tuple[uuid.UUID, dict[str, Any]] | None:
        """The owner and the payload; None for what is dropped. `ours`: it came through the door, already bounded."""
        event = message.get("event")
        media_id = _uuid(
            next((message[k] for k in ("mediaId", "media_id", "videoId", "video_id") if k in message), None)
        )
        if not isinstance(event, str) or media_id is None or not may_pass_as_progress(event):
            return None
        data = _data(message.get("data"))
        model = str(data.get("modelName") or data.get("model_name") or "")[:63]
        if not ours and not self._due((media_id, model), now):
            return None
        user_id = await self._owner_of(media_id, now)
        if user_id is None:
            return None
        if model:
            data |= {"modelName": model, "model_name": model}
        run_id = _uuid(message.get("runId"))
        text = message.get("message")
        return user_id, {
            "id": str(media_id),
            "mediaId": str(media_id),
            "userId": str(user_id),
            "runId": str(run_id) if run_id else None,
            "event": event,
            "message": text[:_MAX_TEXT] if isinstance(text, str) else "",
            "data": data,
            "timestamp": moment(datetime.now(UTC)),
        }

    def forget(self, media_id: uuid.UUID) -> None:
        """The media was deleted: nothing more about it."""
        self._owners[media_id] = (time.monotonic(), None)

    def _due(self, key: tuple[uuid.UUID, str], now: float) -> bool:
        if now - self._last.get(key, -math.inf) < _GAP:
            return False
        if len(self._last) >= _MOST:
            self._last.clear()
        self._last[key] = now
        return True

    async def _owner_of(self, media_id: uuid.UUID, now: float) -> uuid.UUID | None:
        known = self._owners.get(media_id)
        if known is not None and now - known[0] < _KEEP_OWNER:
            return known[1]
        if len(self._owners) >= _MOST:
            self._owners.clear()
        found = await self._owner(media_id)
        self._owners[media_id] = (now, found)
        return found


def _uuid(value: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _data(value: object) -> dict[str, Any]:
    """The flat, finite, short part of what was said."""
    if not isinstance(value, dict):
        return {}
    kept: dict[str, Any] = {}
    for key, item in list(value.items())[:50]:
        if isinstance(item, str):
            kept[str(key)[:200]] = item[:_MAX_TEXT]
        elif item is None or isinstance(item, bool) or (isinstance(item, int | float) and math.isfinite(item)):
            kept[str(key)[:200]] = item
    return kept
