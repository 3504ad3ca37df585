"""Where a picture may be fetched that an answer only points to: from the ML service's own origin, and nowhere else. Pure.

An answer is data of somebody we do not trust. Whatever stands in it, scheme, host and port of what is asked are those
of `SERVER_URL` (RFC 6454): they are taken from there, never from the answer.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, urlsplit

_MAX = 2048
_VISIBLE = re.compile(r"[!-\[\]-~]+")
"""Visible ASCII without the backslash, which some parsers read as a slash."""
_UNCLEAR = re.compile(r"%(2e|2f|5c|25|00)", re.IGNORECASE)
"""A dot, a slash, a backslash, a percent sign or a NUL in disguise: two servers may read such a path in two ways."""
_NO_NAME = re.compile(r"[/\\%\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|^\.*$")
_PORTS = {"http": 80, "https": 443}


def of_url(server: str, told: str) -> str:
    """The address of a `url` or `spectrogram_url`: absolute, or a path. Raises ValueError with half a sentence."""
    if len(told) > _MAX or not _VISIBLE.fullmatch(told):
        raise ValueError("its address holds characters that an address cannot have")
    try:
        own, parts = urlsplit(server), urlsplit(told)
        elsewhere = bool(parts.scheme or parts.netloc) and _origin(parts) != _origin(own)
    except ValueError:
        raise ValueError("its address cannot be read") from None
    if elsewhere or "@" in parts.netloc:
        raise ValueError("its address is not one of the ML service")
    path = parts.path if parts.netloc or told.startswith("/") else f"{own.path}/{parts.path}"
    if not path.startswith("/") or "//" in path or _UNCLEAR.search(path) or {".", ".."} & set(path.split("/")):
        raise ValueError("its address holds a path that cannot be told for certain")
    return f"{own.scheme}://{own.netloc}{path}" + (f"?{parts.query}" if parts.query else "")


def of_filename(server: str, told: str) -> str:
    """The address of a `visualization_filename`. Raises ValueError with half a sentence."""
    if len(told) > 255 or _NO_NAME.search(told):
        raise ValueError("its file name is none")
    return f"{server}/analyze/visualization/{quote(told, safe='')}"


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    return scheme, host, port if port is not None else _PORTS.get(scheme)
