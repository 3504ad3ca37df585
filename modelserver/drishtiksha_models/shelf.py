"""Pictures of answers of dialect 2, kept in memory for the moment in which their client fetches them. No file, no disk.

`app.py` puts them here and hands them out. Names are drawn at random, so that nobody can guess one and none is a path.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

SECONDS = 600.0
"""How long a picture is kept; a client fetches it right after its answer."""
MOST = 64
"""Pictures at a time; the oldest goes first."""
MOST_BYTES = 32 * 1024 * 1024
"""Of all of them together."""

_ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


@dataclass(frozen=True, slots=True)
class Kept:
    """One picture, and until when it is kept, on the shelf's clock."""

    mimetype: str
    content: bytes
    until: float


class Shelf:
    """`clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, Kept] = {}

    def keep(self, mimetype: str, content: bytes) -> str:
        """Put a picture there; returns its file name. Older ones make room."""
        name = secrets.token_hex(16) + _ENDINGS.get(mimetype, ".bin")
        self._kept[name] = Kept(mimetype, content, self._clock() + SECONDS)
        self._tidy()
        return name

    def find(self, name: str) -> Kept | None:
        """The picture of this name, while it is kept; it may be fetched again."""
        self._tidy()
        return self._kept.get(name)

    def _tidy(self) -> None:
        """The order of the names is that of their age."""
        now, held = self._clock(), sum(len(kept.content) for kept in self._kept.values())
        for name, kept in list(self._kept.items()):
            if kept.until > now and len(self._kept) <= MOST and held <= MOST_BYTES:
                return
            held -= len(kept.content)
            del self._kept[name]
