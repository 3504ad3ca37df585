"""The keys of our objects: everything of a media lies under one prefix, so that one listing erases it.

media/<media id>/original                                     the bytes as uploaded
media/<media id>/artifacts/<analysis id>/<attempt>-<unique>   what one attempt handed in
"""

from __future__ import annotations

import re

MEDIA = "media/"
"""Prefix of all objects that belong to a media."""

_KEY = re.compile(r"^[a-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$")
_OWNER = re.compile(r"^media/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/")


def media_prefix(media_id: str) -> str:
    """Prefix of all objects of one media."""
    return f"{MEDIA}{media_id}/"


def original(media_id: str) -> str:
    """Key of the uploaded bytes."""
    return f"{media_prefix(media_id)}original"


def artifact(media_id: str, analysis_id: str, attempt: int, unique: str) -> str:
    """Key of one artifact. `unique` is fresh for each writing, so that no reader sees another's bytes."""
    return f"{media_prefix(media_id)}artifacts/{analysis_id}/{attempt}-{unique}"


def owner(key: str) -> str | None:
    """The media id that a key belongs to, None when it is none of ours."""
    match = _OWNER.match(key)
    return match[1] if match else None


def checked(key: str) -> str:
    """The key itself, if it can only mean one place inside the store; ValueError otherwise."""
    if not is_ours(key):
        raise ValueError(f"not an object key of ours: {key[:80]!r}")
    return key


def checked_prefix(prefix: str) -> str:
    """The beginning of keys, a folder with its slash; ValueError otherwise."""
    if not prefix.endswith("/"):
        raise ValueError("a prefix ends with a slash")
    checked(prefix + "x")
    return prefix


def is_ours(key: str) -> bool:
    """Whether it is a key that we could have made."""
    return len(key) <= 512 and _KEY.match(key) is not None
