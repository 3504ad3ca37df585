"""What is wrong with a value, in our own codes and sentences.

Stands between pydantic, which finds out, and `envelope.py`, which tells: a library's words never reach a client, and
do not change under one when the library does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SENTENCES: dict[str, tuple[str, str]] = {
    "missing": ("REQUIRED", "This field is required."),
    "extra_forbidden": ("UNKNOWN_FIELD", "This field is unknown or cannot be set."),
    "string_type": ("WRONG_TYPE", "A text is expected."),
    "list_type": ("WRONG_TYPE", "A list is expected."),
    "int_type": ("WRONG_TYPE", "A whole number is expected."),
    "int_parsing": ("WRONG_TYPE", "A whole number is expected."),
    "int_from_float": ("WRONG_TYPE", "A whole number is expected."),
    "string_too_short": ("TOO_SHORT", "The text is too short; the least is {min_length}."),
    "string_too_long": ("TOO_LONG", "The text is too long; the most is {max_length}."),
    "too_short": ("TOO_SHORT", "The list is too short; the least is {min_length}."),
    "too_long": ("TOO_LONG", "The list is too long; the most is {max_length}."),
    "string_pattern_mismatch": ("BAD_FORMAT", "The value does not have the form that is expected here."),
    "greater_than_equal": ("TOO_SMALL", "The value must be at least {ge}."),
    "less_than_equal": ("TOO_LARGE", "The value must be at most {le}."),
    "enum": ("NOT_ALLOWED", "Allowed are {expected}."),
    "literal_error": ("NOT_ALLOWED", "Allowed are {expected}."),
}
_ANYTHING_ELSE = ("INVALID", "The value is not valid.")
_OURS = "Value error, "
"""What pydantic puts before a sentence that one of our own validators raised."""


def finding(error: Mapping[str, Any]) -> dict[str, str]:
    """One of pydantic's errors as {field?, code, message}. Its `ctx` may be absent."""
    kind, said = str(error["type"]), str(error.get("msg", ""))
    where = [str(part) for part in error.get("loc", ()) if part not in ("body", "query", "path", "header")]
    field = {"field": ".".join(where)} if where else {}
    if kind == "value_error" and said.startswith(_OURS):
        return {**field, "code": "INVALID", "message": said.removeprefix(_OURS)}
    code, sentence = _SENTENCES.get(kind, _ANYTHING_ELSE)
    try:
        return {**field, "code": code, "message": sentence.format_map(error.get("ctx", {}))}
    except KeyError:  # the limit was not told
        return {**field, "code": code, "message": _ANYTHING_ELSE[1]}
