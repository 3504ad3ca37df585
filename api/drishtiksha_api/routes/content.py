"""The bytes of media and artifacts, by signed link, or by the owner's token."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, cast

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from drishtiksha.database.media import MediaStore
from drishtiksha.database.tables import Media
from drishtiksha_api.links import PREFIX, Links
from drishtiksha_api.neighbours import neighbours_of
from drishtiksha_api.principal import recognised
from drishtiksha_api.problems import media_not_found
from drishtiksha_api.ranges import Served, serve

from .media import media_id_of

router = APIRouter(prefix=PREFIX, tags=["content"])

Word = Annotated[str | None, Query(max_length=200)]


@router.get("/{media_id}")
async def original(
    request: Request,
    media_id: str,
    expires: Word = None,
    key: Word = None,
    signature: Word = None,
    download: Word = None,
) -> Response:
    """The bytes as uploaded, with Range."""
    row = await _permitted(request, media_id, expires, key, signature)
    disposition = "attachment" if download == "1" else "inline"
    served = Served(row.object_key, row.size, row.sha256, row.mimetype, row.filename, disposition)
    return await _bytes(request, served)


@router.get("/{media_id}/artifacts/{artifact_id}")
async def artifact(
    request: Request,
    media_id: str,
    artifact_id: str,
    expires: Word = None,
    key: Word = None,
    signature: Word = None,
    download: Word = None,
) -> Response:
    """The bytes of an artifact that a result lists."""
    await _permitted(request, media_id, expires, key, signature)
    found = await _store(request).artifact(media_id_of(artifact_id))
    if found is None or not _belongs(found.key, media_id):
        raise media_not_found()
    disposition = "attachment" if download == "1" else "inline"
    served = Served(found.key, found.size, found.sha256, found.mimetype, found.name, disposition)
    return await _bytes(request, served)


async def _permitted(
    request: Request, media_id: str, expires: str | None, key: str | None, signature: str | None
) -> Media:
    """The media, for whoever holds a good link or is its owner. Otherwise 401 or 404."""
    wanted: uuid.UUID
    if signature is None:
        caller = await recognised(request)
        wanted = media_id_of(media_id)
        row = await _store(request).content(wanted)
        if row is None or row.user_id != caller.user_id:
            raise media_not_found()
        return row
    links = cast(Links, request.app.state.links)
    links.check(request.url.path, expires=expires or "", key=key or "", signature=signature, now=time.time())
    wanted = media_id_of(media_id)
    row = await _store(request).content(wanted)
    if row is None:
        raise media_not_found()
    return row


async def _bytes(request: Request, served: Served) -> Response:
    """The bytes, or the way to them where the settings say so. A name to save under, and a HEAD, only we can give."""
    around = neighbours_of(request)
    if around.redirect is not None and served.disposition == "inline" and not request.scope.get("drishtiksha.head"):
        expires = datetime.now(UTC) + timedelta(seconds=around.redirect)
        address = await asyncio.to_thread(around.objects.sign, served.key, expires)
        if address is not None:
            return Response(status_code=302, headers={"Location": address, "Cache-Control": "private, no-store"})
    return await serve(request, around.objects, served)


def _belongs(key: str, media_id: str) -> bool:
    return key.startswith(f"media/{media_id}/")


def _store(request: Request) -> MediaStore:
    return cast(MediaStore, request.app.state.media)
