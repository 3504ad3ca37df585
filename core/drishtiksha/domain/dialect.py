"""The dialects of the ML contract: which one a service speaks, and which media can be shown to it in that dialect.

The operator asks before it freezes a run's models, the runner before it asks a model: both get the same answer here.
"""

from __future__ import annotations

from .media import MediaType

OLD, NEW = 2, 3
MEDIA_OF: dict[int, frozenset[MediaType]] = {
    OLD: frozenset({MediaType.VIDEO, MediaType.AUDIO}),
    NEW: frozenset({MediaType.VIDEO, MediaType.AUDIO, MediaType.IMAGE}),
}
"""Dialect 2 has no way to send a picture."""


def spoken(wanted: str, version: object) -> int:
    """2 or 3, as set (`wanted`: 2, 3 or auto), else by the major of the service's version.

    Major 1, no version and one that cannot be read mean 2: services that old do not tell.
    """
    if wanted in ("2", "3"):
        return int(wanted)
    major = version.strip().lstrip("vV").split(".", 1)[0] if isinstance(version, str) else ""
    return NEW if major.isascii() and major.isdecimal() and len(major) < 10 and int(major) >= NEW else OLD
