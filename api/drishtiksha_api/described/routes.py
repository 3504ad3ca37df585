"""What each route answers and may refuse: one line per route. A route without a line fails the document's test.

Every route may answer 500 INTERNAL; one that asks for a token 401, one with a body of JSON 400 and 413.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import media as m
from . import others as o
from .analysis import Frame
from .values import Answer, Empty


@dataclass(frozen=True, slots=True)
class Said:
    """One route: its status of success, the type of its answer (None: bytes), and the codes that it may refuse with."""

    status: int
    answer: Any
    codes: tuple[str, ...] = ()
    also: tuple[int, ...] = ()
    """Other statuses without an error: 206, 302, 304."""
    headers: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    """Headers of the request that it reads."""
    example: str | None = None
    """Which example of `examples.json` it shows."""
    stream: bool = False
    """The same as Server-Sent Events for who asks for them."""


_TOKEN = ("TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED")
_BODY = ("MALFORMED_JSON", "VALIDATION", "TOO_LARGE")
_AWAY = ("UNAVAILABLE",)
_OWN = (*_TOKEN, "NOT_FOUND", *_AWAY)
_REPEAT = ("IDEMPOTENCY_IN_FLIGHT", "IDEMPOTENCY_MISMATCH")
_BYTES = (*_OWN, "VALIDATION", "RANGE_NOT_SATISFIABLE")
_RANGES = ("Range", "If-Range", "If-None-Match")

_A = "/api/v1/auth"
_M = "/api/v1/media"
_S = "/api/v1/monitoring"

ROUTES: dict[str, Said] = {
    "GET /": Said(200, Answer[o.Alive]),
    "GET /api/health": Said(200, Answer[o.Alive]),
    "GET /healthz": Said(200, o.Alive),
    "GET /readyz": Said(200, o.Ready, also=(503,)),
    f"POST {_A}/signup": Said(201, Answer[o.Welcome], (*_BODY, "EMAIL_TAKEN", "RATE_LIMITED", *_AWAY), example="welcome"),
    f"POST {_A}/login": Said(200, Answer[o.Welcome], (*_BODY, "BAD_CREDENTIALS", "RATE_LIMITED", *_AWAY), example="welcome"),
    f"POST {_A}/logout": Said(200, Answer[None], (*_TOKEN, *_AWAY)),
    f"GET {_A}/profile": Said(200, Answer[o.User], (*_TOKEN, *_AWAY), example="user"),
    f"PUT {_A}/profile": Said(200, Answer[o.User], (*_TOKEN, *_BODY, *_AWAY), example="user"),
    f"PUT {_A}/profile/password": Said(
        200, Answer[None], (*_TOKEN, *_BODY, "WRONG_PASSWORD", "RATE_LIMITED", *_AWAY)
    ),
    f"PUT {_A}/profile/avatar": Said(200, Answer[o.User], (*_TOKEN, *_BODY, *_AWAY), example="user"),
    f"DELETE {_A}/profile/avatar": Said(200, Answer[o.User], (*_TOKEN, *_AWAY), example="user"),
    f"GET {_M}": Said(
        200, Answer[list[m.FullMedia]], (*_TOKEN, "VALIDATION", *_AWAY), headers=("X-Next-Cursor",), example="list"
    ),
    f"POST {_M}": Said(
        202,
        Answer[m.Media],
        (
            *_TOKEN, "VALIDATION", "FILE_REQUIRED", "TOO_MANY_FILES", "EMPTY_FILE", "NOT_FOUND", *_REPEAT, "TOO_LARGE",
            "UNSUPPORTED_TYPE", "UNDECODABLE", "QUOTA", *_AWAY,
        ),
        headers=("Location", "Idempotency-Replayed"),
        asks=("Idempotency-Key", "traceparent"),
        example="media",
    ),
    f"GET {_M}/{{media_id}}": Said(
        200, Answer[m.FullMedia], (*_OWN, "VALIDATION", "RATE_LIMITED"), (304,), ("ETag", "Preference-Applied"),
        ("If-None-Match", "Prefer"), "full",
    ),
    f"PATCH {_M}/{{media_id}}": Said(200, Answer[m.FullMedia], (*_OWN, *_BODY), example="full"),
    f"DELETE {_M}/{{media_id}}": Said(200, Answer[Empty], _OWN),
    f"POST {_M}/{{media_id}}/analyze": Said(
        202,
        Answer[m.FullMedia],
        (*_OWN, *_BODY, "RUN_ACTIVE", *_REPEAT, "QUOTA"),
        headers=("Idempotency-Replayed",),
        asks=("Idempotency-Key", "traceparent"),
        example="full",
    ),
    f"POST {_M}/{{media_id}}/cancel": Said(202, Answer[m.FullMedia], (*_OWN, "NOT_ACTIVE"), example="full"),
    f"GET {_M}/{{media_id}}/runs": Said(200, Answer[list[m.Run]], _OWN, (304,), ("ETag",), ("If-None-Match",)),
    f"GET {_M}/{{media_id}}/runs/{{number}}": Said(200, Answer[m.RunWithAttempts], _OWN, (304,), ("ETag",), ("If-None-Match",)),
    f"GET {_M}/{{media_id}}/frames": Said(
        200, Answer[list[Frame]], (*_OWN, "VALIDATION"), headers=("X-Next-Cursor",), example="frames"
    ),
    f"GET {_M}/{{media_id}}/events": Said(
        200, Answer[list[o.Event]], (*_OWN, "VALIDATION", "RATE_LIMITED"), headers=("X-Next-Cursor",), example="events",
        stream=True,
    ),
    f"GET {_M}/content/{{media_id}}": Said(200, None, _BYTES, (206, 302, 304), ("ETag", "Accept-Ranges"), _RANGES),
    f"GET {_M}/content/{{media_id}}/artifacts/{{artifact_id}}": Said(
        200, None, _BYTES, (206, 302, 304), ("ETag", "Accept-Ranges"), _RANGES
    ),
    f"GET {_S}/server-status": Said(200, Answer[o.ServerStatus], (*_TOKEN, *_AWAY)),
    f"GET {_S}/server-history": Said(200, Answer[list[o.PastLook]], (*_TOKEN, "VALIDATION", *_AWAY)),
    f"GET {_S}/queue-status": Said(200, Answer[o.QueueStatus], (*_TOKEN, *_AWAY), example="queue"),
    f"GET {_S}/stats/analysis": Said(200, Answer[o.Outcomes], (*_TOKEN, "VALIDATION", *_AWAY)),
    f"GET {_S}/analysis-stats": Said(
        200, Answer[o.Outcomes], (*_TOKEN, "VALIDATION", *_AWAY), headers=("Deprecation", "Sunset")
    ),
}  # fmt: skip
