"""What went wrong with a store on the network, said in the log. Its own texts hold addresses: only a word of them."""

from __future__ import annotations

import time

import structlog

log = structlog.get_logger()

_told: dict[tuple[str, str | None], float] = {}
_SILENCE = 5.0
"""Seconds between two lines of the log about the same: of a store that is away, every request of every client tells."""


def complain(kind: str, code: str | None) -> None:
    """A line, unless the same was said just now. `kind`: the error's class; `code`: the store's own word for it."""
    now = time.monotonic()
    if now - _told.get((kind, code), -_SILENCE) >= _SILENCE:
        _told[kind, code] = now
        log.warning("the object store failed", kind=kind, code=code)
