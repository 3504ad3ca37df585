"""Bytes of an object over HTTP: one range at a time, by RFC 9110 §14, with a strong ETag that is the sha256."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from drishtiksha.objects import ObjectMissing, Objects

from .problems import Problem, media_not_found

_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$")

_POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""A browser that opens a link by itself shows its own page around the bytes, and must be allowed to play them."""


@dataclass(frozen=True)
class Served:
    """An object as it is served: `disposition` is inline or attachment."""

    key: str
    size: int
    sha256: str
    mimetype: str
    filename: str
    disposition: str = "inline"


def wanted_range(header: str | None, if_range: str | None, size: int, etag: str) -> tuple[int, int] | None:
    """First and last byte asked for, None for the whole. Raises Problem 416 for a range that has no byte.

    Several ranges, another unit or a malformed header are ignored, as the RFC allows; so is a range whose If-Range
    names another version.
    """
    if header is None or (if_range is not None and if_range.strip() != etag):
        return None
    match = _RANGE.match(header.replace(" ", ""))
    if match is None or (not match[1] and not match[2]):
        return None
    if not match[1]:
        suffix = int(match[2])
        first, last = max(0, size - suffix), size - 1
        if suffix == 0:
            first = size
    else:
        first, last = int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)
        if match[2] and int(match[2]) < first:
            return None
    if first >= size:
        raise Problem(
            "RANGE_NOT_SATISFIABLE",
            "The range lies outside of the file.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return first, last


def content_disposition(kind: str, filename: str) -> str:
    """RFC 6266: an ASCII form for old clients, and the real name."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in filename)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


async def serve(request: Request, objects: Objects, served: Served) -> Response:
    """200, 206 or 304 with the bytes; a HEAD reads none of them, and knows no range (RFC 9110 §14.2)."""
    head = request.scope.get("drishtiksha.head", False)
    etag = f'"{served.sha256}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": content_disposition(served.disposition, served.filename),
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Content-Security-Policy": _POLICY,
    }
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    asked = None if head else request.headers.get("range")
    window = wanted_range(asked, request.headers.get("if-range"), served.size, etag)
    first, last = window or (0, served.size - 1)
    headers["Content-Length"] = str(last - first + 1)
    status = 200
    if window is not None:
        status = 206
        headers["Content-Range"] = f"bytes {first}-{last}/{served.size}"
    if head:
        return Response(status_code=status, headers=headers, media_type=served.mimetype)
    chunks = objects.get(served.key, first, last - first + 1)
    try:
        opening = await anext(aiter(chunks))
    except (ObjectMissing, StopAsyncIteration):  # deleted meanwhile
        raise media_not_found() from None
    return StreamingResponse(_rest(opening, chunks), status_code=status, headers=headers, media_type=served.mimetype)


async def _rest(opening: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield opening
    async for chunk in chunks:
        yield chunk
