"""Which pages of other origins may call, and with what: CORS for the exact origins of FRONTEND_URL.

Starlette's middleware does the work; only its preflight answers are ours: they have no body, and a strange origin
learns nothing. Stands inside `edge.py`, around the routes.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_ALLOWED = [
    "Authorization", "Content-Type", "X-Requested-With", "X-API-Key", "X-Request-ID", "Idempotency-Key",
    "If-None-Match", "Prefer", "Last-Event-ID",
]  # fmt: skip
_EXPOSED = [
    "Content-Disposition", "Content-Length", "Content-Range", "ETag", "Location", "Retry-After", "X-Next-Cursor",
    "X-Request-ID", "Idempotency-Replayed",
]  # fmt: skip
_SECONDS_REMEMBERED = 600
"""How long a browser may remember a preflight."""


class CrossOrigin(CORSMiddleware):
    """Wraps the routes. `origins` are exact, like https://app.example.org."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_credentials=True,
            allow_methods=_METHODS,
            allow_headers=_ALLOWED,
            expose_headers=_EXPOSED,
            max_age=_SECONDS_REMEMBERED,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """204: what is allowed, for an origin that may call. The browser itself refuses what is not in it."""
        if not self.is_allowed_origin(origin=request_headers["origin"]):
            return Response(status_code=204, headers={"Vary": self.preflight_headers["Vary"]})
        allowed = {**self.preflight_headers, "Access-Control-Allow-Origin": request_headers["origin"]}
        return Response(status_code=204, headers=allowed)
