"""What can end an attempt, and the one function that reads an ML service's error.

`door` and `model` raise these; `run` turns them into a handed-in failure and an exit code.
"""

from __future__ import annotations

import re

from drishtiksha.domain.errors import ErrorClass

MAX_TEXT = 4000
"""Longest message or server response that the door stores."""

_NAMES_THE_FILE = re.compile(r"file|media|video|audio|image|decod|codec|corrupt|format", re.IGNORECASE)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
BUSY = frozenset({408, 429, 503})
"""The service asks to come again: a queue, not a failure."""


class Fault(Exception):
    """The attempt failed, and the door should know: one class, a sentence, and what the service said.

    `for_log` is the sentence without the service's own words, where it has some: they are about somebody's media, and
    a log outlives it.
    """

    def __init__(
        self, error_class: ErrorClass, message: str, server_response: str | None = None, *, for_log: str | None = None
    ) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.message = message
        self.server_response = server_response
        self.for_log = for_log or message


class Busy(Exception):
    """The ML service is busy; `retry_after` in seconds if it said so."""

    def __init__(self, status: int, retry_after: float | None, said: str) -> None:
        super().__init__(f"The ML service is busy ({status}).")
        self.retry_after = retry_after
        self.said = said


class DoorRefused(Exception):
    """The door answered 4xx other than 409: repeating cannot help. `status` is its code."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"The internal door refused ({status}).")
        self.status = status
        self.said = said


class DeadlinePassed(Exception):
    """No time is left. The class DEADLINE is the operator's to give; the runner only leaves."""


def classify(status: int, detail: object) -> ErrorClass | None:
    """Which class an error answer of the ML service is; None: it is busy, ask again later.

    `detail` as the service sent it: a string, an object, a list, or None where there was none.
    """
    if status in BUSY:
        return None
    if status in (413, 415):
        return ErrorClass.BAD_MEDIA
    if status in (400, 422):
        coded = isinstance(detail, dict) and detail.get("code") == ErrorClass.BAD_MEDIA
        named = isinstance(detail, str) and _NAMES_THE_FILE.search(detail) is not None
        return ErrorClass.BAD_MEDIA if coded or named else ErrorClass.ML_CONTRACT
    if status >= 500 and status != 501:
        return ErrorClass.ML_UNAVAILABLE
    return ErrorClass.ML_CONTRACT


def storable(text: str, limit: int = MAX_TEXT) -> str:
    """The text without NUL characters and lone surrogates, cut to `limit` characters."""
    return _UNSTORABLE.sub("", text)[:limit]
