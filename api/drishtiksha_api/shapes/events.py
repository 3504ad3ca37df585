"""Stored events as the messages of Socket.IO, and the messages that are derived from the last event of a run."""

from __future__ import annotations

import uuid
from typing import Any

from drishtiksha.database.events import StoredEvent
from drishtiksha.domain.events import EventType

from .values import moment

Message = tuple[str, dict[str, Any]]
"""Name of the Socket.IO event, and its payload."""


def progress_update(user_id: uuid.UUID, stored: StoredEvent) -> Message:
    """A durable event, with its number."""
    media_id = str(stored.media_id) if stored.media_id else None
    data = stored.payload.get("data", {})
    if stored.type is EventType.MEDIA_DELETED:
        data = {"mediaId": media_id}
    return "progress_update", {
        "seq": stored.seq,
        "id": media_id,
        "mediaId": media_id,
        "userId": str(user_id),
        "runId": str(stored.run_id) if stored.run_id else None,
        "event": stored.type.value,
        "message": stored.payload.get("message", "The media was deleted."),
        "data": data,
        "timestamp": moment(stored.created_at),
    }


def run_ended(user_id: uuid.UUID, stored: StoredEvent, media: dict[str, Any]) -> list[Message]:
    """What follows a RUN_COMPLETED: the media as the list gives it, and what older clients wait for."""
    _, told = progress_update(user_id, stored)
    data = told["data"]
    failed = data.get("status") == "FAILED"
    follow: list[Message] = [("video_update", media)]
    if not failed:
        follow.append(("media_update", media))
    else:
        follow.append(("processing_error", _processing_error(told, media)))
    copy = {key: value for key, value in told.items() if key != "seq"}
    follow.append(("progress_update", {**copy, "event": "ANALYSIS_COMPLETE"}))
    return follow


def _processing_error(told: dict[str, Any], media: dict[str, Any]) -> dict[str, Any]:
    return {
        "mediaId": told["mediaId"],
        "videoId": told["mediaId"],
        "userId": told["userId"],
        "filename": media["filename"],
        "runId": told["runId"],
        "error": "The analysis failed.",
        "code": told["data"].get("reason"),
    }
