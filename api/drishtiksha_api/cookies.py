"""The token in a cookie: for browsers that keep it there, and only for requests that a page of ours made.

A cookie travels with whatever a foreign page makes a browser send. Reading is harmless (the page never sees the
answer); anything else counts only when the browser says that it comes from an origin of FRONTEND_URL, or from ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from .problems import Problem

NAME = "authToken"
NAMES = ("accessToken", NAME)
"""Under these names clients keep it; the second is the one that we set."""
_HARMLESS = ("GET", "HEAD")


class Cookies:
    """Sets the cookie, clears it, and says which tokens came in cookies. `lifetime` in seconds."""

    def __init__(self, base_url: str, frontend_urls: Sequence[str], lifetime: float) -> None:
        self._secure = base_url.startswith("https://")
        self._origins = frozenset(_origin(url) for url in (base_url, *frontend_urls))
        self._lifetime = int(lifetime)

    def hand_out(self, answer: Response, token: str) -> None:
        """Let the browser keep the token as long as it lives; scripts of the page do not see it."""
        answer.set_cookie(NAME, token, max_age=self._lifetime, httponly=True, samesite="lax", secure=self._secure)

    def take_back(self, answer: Response) -> None:
        """Let the browser forget it."""
        answer.delete_cookie(NAME, httponly=True, samesite="lax", secure=self._secure)

    def offered(self, request: Request) -> list[str]:
        """The tokens in cookies of this request. Raises Problem TOKEN_MISSING when they do not count here."""
        tokens = [request.cookies[name] for name in NAMES if request.cookies.get(name)]
        if tokens and request.method not in _HARMLESS and _sender(request) not in self._origins:
            message = "A cookie counts here only when Origin or Referer names an allowed page."
            errors = [{"code": "ORIGIN_NOT_ALLOWED", "message": message}]
            raise Problem("TOKEN_MISSING", "Access token is required", errors=errors)
        return tokens


def _sender(request: Request) -> str | None:
    said = request.headers.get("origin") or request.headers.get("referer")
    return _origin(said) if said else None


def _origin(url: str) -> str:
    """Scheme, host and port as a browser writes them: lower case, without the port that goes without saying."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port not in (None, usual) else "")
