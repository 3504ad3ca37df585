"""What the first bytes of a file look like: refuses early what cannot be a media, before all of it has come.

libmagic names the type; `child.py` is the authority, by decoding. A declared type and an extension are not asked.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

HEAD = 8192
"""Bytes that are looked at."""

_FAMILIES = ("video/", "audio/", "image/")
_MAYBE = frozenset({"application/octet-stream", "application/mp4", "application/ogg", "application/x-matroska"})
_NEVER = frozenset(
    {"image/svg+xml", "image/svg", "audio/x-mpegurl", "audio/mpegurl", "audio/x-scpls", "image/vnd.djvu", "audio/midi"}
)
_lock = threading.Lock()


def sniff(head: bytes) -> str:
    """The type that libmagic sees in the first bytes."""
    with _lock:  # one cookie of libmagic is not safe for two threads
        return str(_magic().from_buffer(head[:HEAD]))


def may_be_media(mimetype: str) -> bool:
    """Whether it is worth taking the rest and decoding it."""
    return (mimetype.startswith(_FAMILIES) or mimetype in _MAYBE) and mimetype not in _NEVER


@cache
def _magic() -> Any:
    try:
        import magic
    except ImportError:  # no libmagic on this system: the wheel brings one along
        import magic
        import pylibmagic  # noqa: F401
    return magic.Magic(mime=True)
