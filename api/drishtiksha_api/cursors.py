"""Cursors: where a page ended, as a word that clients hand back and do not read.

Each names the list it belongs to; in another one its keys would mean something else.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import datetime

from .problems import Problem, invalid

MAX_CURSOR = 2000
"""Characters: a file name of 255 characters fits in."""
Key = str | int
_LIST = re.compile(r"-?[A-Za-z]{1,20}")


def cursor_of(of: str, *keys: Key) -> str:
    """The cursor of a place in the list `of`."""
    said = json.dumps([of, *keys], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def keys_of(given: str, of: str, *kinds: type[str] | type[int]) -> list[Key]:
    """The keys of a cursor of the list `of`. Raises Problem VALIDATION for one of another list, or none at all."""
    try:
        said = json.loads(base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True))
        if not isinstance(said, list) or len(said) < 1 or not isinstance(said[0], str):
            raise ValueError("no list of keys")
    except (ValueError, RecursionError, binascii.Error):
        raise no_cursor() from None
    if said[0] != of and _LIST.fullmatch(said[0]):
        message = f"This cursor belongs to the list {said[0]}, not to {of}: ask as before, or begin without a cursor."
        raise invalid("cursor", message, code="OTHER_LIST")
    keys = said[1:]
    if len(keys) != len(kinds) or not all(map(_is_key, keys, kinds)):
        raise no_cursor()
    return keys


def moment_of(key: Key) -> datetime:
    """A time in a cursor. Raises Problem VALIDATION."""
    try:
        moment = datetime.fromisoformat(str(key))
    except ValueError:
        raise no_cursor() from None
    if moment.tzinfo is None:
        raise no_cursor()
    return moment


def no_cursor() -> Problem:
    """It was not made by us, or has been changed."""
    return invalid("cursor", "This is no cursor of ours.")


def _is_key(key: object, kind: type) -> bool:
    """Whether PostgreSQL can compare with it."""
    if kind is int:
        return isinstance(key, int) and not isinstance(key, bool) and 0 <= key < 2**63
    return isinstance(key, str) and "\x00" not in key and not any("\ud800" <= c <= "\udfff" for c in key)
