"""Keeps the door informed: a heartbeat when there is nothing to say, the model's progress when there is.

`run` starts it beside the story as a task of its own, so that a silent model or a slow upload never looks dead.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque

from drishtiksha.domain.errors import Fenced
from drishtiksha.domain.events import may_pass_as_progress

from .door import Door
from .faults import storable
from .journal import Redactor
from .timing import Timing

_MAX_NAME = 64
_MAX_BYTES = 3500
"""Of one message's JSON, below the door's 4096."""
_MAX_KEYS = 50
_WHOLE = 2**53
"""Beyond it a JSON number is not the same everywhere."""


class Reporter:
    """Collects progress and sends it at most four times a second; of ticks only the newest counts."""

    def __init__(self, door: Door, timing: Timing, redact: Redactor) -> None:
        self._door = door
        self._timing = timing
        self._redact = redact
        self._waiting: deque[tuple[str, str, dict[str, object]]] = deque(maxlen=16)
        self._something = asyncio.Event()
        self._last_word = False

    def last_word(self) -> None:
        """From now on the attempt is handing in. The door fences an attempt that has ended, so a heartbeat may be
        refused because our own result was taken; whether we are fenced, the answer to the last word tells.
        """
        self._last_word = True

    def tell(self, progress: object) -> None:
        """Take one `progress` object as a service sent it; what is no progress is dropped."""
        if not isinstance(progress, dict):
            return
        event, message, data = progress.get("event"), progress.get("message"), progress.get("data")
        # The durable names are ours and come with a commit; a service's own word for them comes too early.
        if not isinstance(event, str) or len(event) > _MAX_NAME or not may_pass_as_progress(event):
            return
        text = storable(self._redact(message), 1000) if isinstance(message, str) else ""
        kept = _scalars(data) if isinstance(data, dict) else {}
        if len(json.dumps([event, text, kept])) > _MAX_BYTES:
            text, kept = text[:200], {k: v for k, v in kept.items() if k in ("progress", "total")}
        if self._waiting and self._waiting[-1][0] == event:
            self._waiting.pop()
        self._waiting.append((event, text, kept))
        self._something.set()

    async def keep_telling(self) -> None:
        """Run until cancelled. Raises Fenced when the door says so before the last word."""
        try:
            await self._tell()
        except Fenced:
            if not self._last_word:
                raise
            await asyncio.Event().wait()

    async def _tell(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._timing.heartbeat):
                    await self._something.wait()
            except TimeoutError:
                await self._door.progress(None)
                continue
            event, message, data = self._waiting.popleft()
            if not self._waiting:
                self._something.clear()
            await self._door.progress(event, message, data)
            await asyncio.sleep(self._timing.progress_gap)


def _scalars(data: dict[str, object]) -> dict[str, object]:
    """Numbers, truth values and texts of a flat object, as the door takes them."""
    kept: dict[str, object] = {}
    for key, value in data.items():
        if len(kept) == _MAX_KEYS:
            break
        name = storable(key, 100)
        if isinstance(value, str):
            kept[name] = storable(value, 500)
        elif value is None or (isinstance(value, (bool, int, float)) and -_WHOLE <= value <= _WHOLE):
            kept[name] = value
    return kept
