"""Media: upload, describe, delete, analyse again, cancel. Reading stands in `library.py`."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, StringConstraints

from drishtiksha.database.events import Announcement
from drishtiksha.database.media import MediaStore, NewMedia, Quota
from drishtiksha.database.session import new_id
from drishtiksha.domain.errors import InFlight, QuotaExceeded
from drishtiksha.domain.media import MAX_DESCRIPTION, MAX_FILENAME, clean_filename
from drishtiksha_api.bodies import documented, json_body
from drishtiksha_api.dispatcher import Dispatcher
from drishtiksha_api.envelope import success
from drishtiksha_api.intake.upload import Intake, Received
from drishtiksha_api.links import Links
from drishtiksha_api.neighbours import neighbours_of
from drishtiksha_api.principal import Caller, Principal
from drishtiksha_api.problems import VALIDATION_FAILED, Problem, invalid, media_not_found
from drishtiksha_api.repeats import REPLAYED, Repeat, repeatable
from drishtiksha_api.shapes import media as shapes

router = APIRouter(prefix="/api/v1/media", tags=["media"])

_UUID = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_TRACEPARENT = re.compile(r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
_UPLOAD_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "description": {"type": "string", "maxLength": MAX_DESCRIPTION},
                    },
                }
            }
        },
    }
}


class Change(BaseModel):
    """What an owner may change; any other key is refused by name."""

    model_config = {"extra": "allow"}

    description: Annotated[str, StringConstraints(max_length=MAX_DESCRIPTION)] | None = None
    filename: Annotated[str, StringConstraints(min_length=1, max_length=MAX_FILENAME)] | None = None


class Rerun(BaseModel):
    """A rerun: only these models, and why."""

    models: Annotated[list[ModelName], Field(min_length=1, max_length=32)] | None = None
    reason: Annotated[str, StringConstraints(max_length=500)] | None = None


def media_id_of(text: str) -> uuid.UUID:
    """An id from a path; anything that is none is as unknown as an unknown one."""
    if not _UUID.match(text):
        raise media_not_found()
    return uuid.UUID(text)


@router.post("", status_code=202, openapi_extra=_UPLOAD_FORM)
async def upload(request: Request, caller: Caller) -> Response:
    """Take in a file. 202 means: its bytes are durable, and its row is committed."""
    intake, length = cast(Intake, request.app.state.intake), request.headers.get("content-length", "")
    async with repeatable(request, caller, "POST /media") as repeat:
        received = await intake.receive(
            new_id(),
            request.headers.get("content-type", ""),
            int(length) if length.isdigit() else None,
            request.stream(),
        )
        try:
            accepted = await _accept(request, caller, received, repeat)
        except (QuotaExceeded, InFlight, Problem):  # any other error may have come after the commit: then the janitor
            await intake.discard(received.key)  # decides about the bytes
            raise
        if accepted is None:
            await intake.discard(received.key)
    row = await _store(request).content(repeat.made.media_id if repeat.made else received.media_id)
    if row is None:  # deleted since
        raise media_not_found()
    data = shapes.media(row, _links(request), _now())
    headers = {"Location": f"{_links(request).base}/api/v1/media/{row.id}"}
    if repeat.made is not None:
        data, headers = shapes.as_uploaded(data, repeat.made.run_id), headers | REPLAYED
    return success(data, "Media uploaded and queued for analysis.", status=202, headers=headers)


async def _accept(request: Request, caller: Principal, received: Received, repeat: Repeat) -> Announcement | None:
    """Commit what was received, and tell; None when an earlier request with the same key did."""
    fingerprint = repeat.same(
        sha256=received.stored.sha256, filename=received.filename, description=received.description
    )
    if repeat.made is not None:
        return None
    new = NewMedia(
        id=received.media_id,
        run_id=new_id(),
        user_id=caller.user_id,
        filename=received.filename,
        description=received.description,
        object_key=received.key,
        size=received.stored.size,
        sha256=received.stored.sha256,
        probe=received.probe,
        traceparent=_traceparent(request),
    )
    quota = cast(Quota, request.app.state.quota)
    announcement = await _store(request).accept(new, quota, repeat=repeat.claim, fingerprint=fingerprint)
    _dispatcher(request).poke()
    await neighbours_of(request).bus.wake_user(announcement.user_id, announcement.seq)
    return announcement


@router.patch("/{media_id}", openapi_extra=documented(Change))
async def describe(
    request: Request, caller: Caller, media_id: str, body: Annotated[Change, json_body(Change)]
) -> Response:
    """Change the description or the shown file name."""
    changes = _changes(body)
    wanted = media_id_of(media_id)
    await _store(request).describe(caller.user_id, wanted, changes)
    view = await _store(request).get(caller.user_id, wanted)
    return success(shapes.full_media(view, _links(request), _now()), "Media updated successfully.")


@router.delete("/{media_id}")
async def remove(request: Request, caller: Caller, media_id: str) -> Response:
    """Delete a media: running work ends, bytes and rows follow within minutes."""
    announcement = await _store(request).remove(caller.user_id, media_id_of(media_id))
    _dispatcher(request).poke()
    await neighbours_of(request).bus.wake_user(announcement.user_id, announcement.seq)
    return success({}, "Media deleted successfully.")


@router.post("/{media_id}/analyze", status_code=202, openapi_extra=documented(Rerun, required=False))
async def analyze(
    request: Request, caller: Caller, media_id: str, body: Annotated[Rerun, json_body(Rerun, empty=True)]
) -> Response:
    """One more run of the same media."""
    wanted = media_id_of(media_id)
    async with repeatable(request, caller, f"POST /media/{wanted}/analyze") as repeat:
        fingerprint = repeat.same(models=body.models, reason=body.reason)
        if repeat.made is None:
            announcement = await _store(request).rerun(
                caller.user_id,
                wanted,
                models=body.models,
                reason=body.reason,
                traceparent=_traceparent(request),
                repeat=repeat.claim,
                fingerprint=fingerprint,
            )
            _dispatcher(request).poke()
            await neighbours_of(request).bus.wake_user(announcement.user_id, announcement.seq)
    view = await _store(request).get(caller.user_id, wanted)
    data = shapes.full_media(view, _links(request), _now())
    message = "A new analysis run has been successfully queued for this media."
    return success(data, message, status=202, headers=REPLAYED if repeat.made else None)


@router.post("/{media_id}/cancel", status_code=202)
async def cancel(request: Request, caller: Caller, media_id: str) -> Response:
    """Ask for the end of the active run; the operator carries it out."""
    wanted = media_id_of(media_id)
    run_id = await _store(request).request_cancel(caller.user_id, wanted)
    await neighbours_of(request).bus.wake_run(run_id)
    view = await _store(request).get(caller.user_id, wanted)
    data = shapes.full_media(view, _links(request), _now())
    return success(data, "The analysis is being cancelled.", status=202)


def _changes(body: Change) -> dict[str, Any]:
    for name in body.model_extra or {}:
        errors = [{"field": name, "code": "NOT_UPDATABLE", "message": f"Field '{name}' is not updatable."}]
        raise Problem("VALIDATION", f"Field '{name}' is not updatable.", errors=errors)
    changes = body.model_dump(include=body.model_fields_set)
    if not changes:
        raise Problem("VALIDATION", VALIDATION_FAILED)
    if "filename" in changes:
        if changes["filename"] is None:
            raise invalid("filename", "A file name cannot be null.")
        changes["filename"] = clean_filename(changes["filename"])
    return changes


def _traceparent(request: Request) -> str | None:
    offered = request.headers.get("traceparent", "")
    return offered if _TRACEPARENT.match(offered) else None


def _now() -> datetime:
    return datetime.now(UTC)


def _store(request: Request) -> MediaStore:
    return cast(MediaStore, request.app.state.media)


def _links(request: Request) -> Links:
    return cast(Links, request.app.state.links)


def _dispatcher(request: Request) -> Dispatcher:
    return cast(Dispatcher, request.app.state.dispatcher)
