"""What the api refuses, in the words that clients know: a status, a code for machines, a plain sentence.

Routes and stories raise `Problem`; `envelope.py` makes the answer of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CODES: dict[str, int] = {
    "VALIDATION": 400,
    "MALFORMED_JSON": 400,
    "FILE_REQUIRED": 400,
    "TOO_MANY_FILES": 400,
    "EMPTY_FILE": 400,
    "TOKEN_MISSING": 401,
    "TOKEN_INVALID": 401,
    "TOKEN_EXPIRED": 401,
    "BAD_CREDENTIALS": 401,
    "WRONG_PASSWORD": 401,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "EMAIL_TAKEN": 409,
    "RUN_ACTIVE": 409,
    "NOT_ACTIVE": 409,
    "IDEMPOTENCY_IN_FLIGHT": 409,
    "FENCED": 409,
    "TOO_LARGE": 413,
    "UNSUPPORTED_TYPE": 415,
    "RANGE_NOT_SATISFIABLE": 416,
    "UNDECODABLE": 422,
    "IDEMPOTENCY_MISMATCH": 422,
    "RATE_LIMITED": 429,
    "QUOTA": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}
"""Every code and its HTTP status. A code never changes its meaning."""

MEDIA_NOT_FOUND = "Media not found or you do not have permission."
VALIDATION_FAILED = "Validation failed"


class Problem(Exception):
    """A refusal. `errors` are {field?, code, message}; `headers` go with the answer."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        errors: list[dict[str, str]] | None = None,
        details: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = CODES[code]
        self.message = message
        self.errors = errors or []
        self.details = details
        self.headers = dict(headers or {})


def invalid(field: str, message: str, *, code: str = "INVALID") -> Problem:
    """A bad value of one field."""
    return Problem("VALIDATION", VALIDATION_FAILED, errors=[{"field": field, "code": code, "message": message}])


def media_not_found() -> Problem:
    """Unknown, somebody else's, or no id at all: one answer."""
    return Problem("NOT_FOUND", MEDIA_NOT_FOUND)


def unsupported_type(mimetype: str) -> Problem:
    """The content is none of the accepted types."""
    return Problem(
        "UNSUPPORTED_TYPE",
        f"Unsupported file type: '{mimetype}'. Please upload a valid video, image, or audio file.",
    )


def too_large(limit: int) -> Problem:
    """The file has more bytes than may be uploaded."""
    return Problem("TOO_LARGE", f"The file is larger than the limit of {limit} bytes.", details={"limit": limit})


def unavailable(what: str, retry_after: float, message: str | None = None) -> Problem:
    """A neighbour does not answer; `what` is postgres, objects, ml, redis or kubernetes."""
    return Problem(
        "UNAVAILABLE",
        message or "The service is temporarily unavailable. Please try again.",
        details={"what": what},
        headers={"Retry-After": str(max(1, round(retry_after)))},
    )
