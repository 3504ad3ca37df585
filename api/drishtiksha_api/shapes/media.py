"""A media as clients see it: the short object of an upload, the list's, and the full one.

The rows come with their relationships loaded; links are made for the owner at the moment `now`.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from drishtiksha.database.children import Depth
from drishtiksha.database.media_views import MediaView
from drishtiksha.database.tables import Media, Run
from drishtiksha.domain.media import FOLDERS, MediaType
from drishtiksha.domain.status import RunStatus
from drishtiksha_api.links import Links

from .analysis import analysis, attempt
from .payload import result_payload
from .users import owner
from .values import columns, maybe_moment, moment


def media(row: Media, links: Links, now: datetime) -> dict[str, Any]:
    """The media object without its analyses: what an upload answers."""
    return {
        "id": str(row.id),
        "filename": row.filename,
        "url": links.media(row.id, row.created_at, now),
        "publicId": f"{FOLDERS[MediaType(row.media_type)]}/{row.id}",
        **columns(row, "mimetype", "size", "sha256", "description", "status", "media_type", "has_audio"),
        "userId": str(row.user_id),
        "createdAt": moment(row.created_at),
        "updatedAt": moment(row.updated_at),
        "latestRunId": str(row.latest_run_id),
        "latestAnalysisRunId": str(row.latest_run_id),
    }


def as_uploaded(shown: dict[str, Any], run_id: uuid.UUID) -> dict[str, Any]:
    """The media object as its upload was answered, whatever has become of it since."""
    first = {"status": RunStatus.QUEUED, "latestRunId": str(run_id), "latestAnalysisRunId": str(run_id)}
    return {**shown, **first, "updatedAt": shown["createdAt"]}


def full_media(view: MediaView, links: Links, now: datetime, depth: Depth = Depth.FULL) -> dict[str, Any]:
    """The full object of a view; one for a list holds only the latest run, and no arrays per frame."""
    row = view.media
    latest = next((r for r in view.runs if r.id == row.latest_run_id), None)
    runs = [run(r, view, links, now, depth) for r in view.runs]
    shown: list[dict[str, Any]] = next((r["analyses"] for r in runs if r["id"] == str(row.latest_run_id)), [])
    return {
        **media(row, links, now),
        "user": owner(row.user),
        "videoMetadata": _video(row),
        "imageMetadata": _image(row),
        "audioMetadata": _audio(row),
        "verdict": verdict(latest) if latest else None,
        "analyses": [{key: one[key] for key in one if key != "resultPayload"} for one in shown],
        "analysisRuns": runs,
    }


def run(
    row: Run, view: MediaView, links: Links, now: datetime, depth: Depth = Depth.FULL, *, attempts: bool = False
) -> dict[str, Any]:
    """One run with its analyses; with their attempts where they were asked for."""
    shown = _analyses(view, row, links, now, depth)
    for one, shape in zip(row.analyses, shown, strict=True):
        frames = view.frames.get(one.id, [])
        drawn = (
            None
            if depth is Depth.SUMMARY
            else result_payload(one, view.children[one.id], view.media.media_type, frames)
        )
        shape["resultPayload"] = drawn
        if attempts:
            shape["attempts"] = [attempt(a) for a in view.children[one.id].attempts]
    return {
        "id": str(row.id),
        "mediaId": str(row.media_id),
        "runNumber": row.number,
        **columns(row, "status", "reason", "requested_reason"),
        "message": row.message,
        "verdict": verdict(row),
        "createdAt": moment(row.created_at),
        "startedAt": maybe_moment(row.started_at),
        "finishedAt": maybe_moment(row.finished_at),
        "analyses": shown,
    }


def verdict(row: Run) -> dict[str, Any] | None:
    """Null until the run is terminal, and when it FAILED."""
    if row.verdict is None:
        return None
    return {
        "label": row.verdict,
        "basis": row.verdict_basis,
        "score": row.verdict_score,
        "models": list(row.verdict_models or []),
    }


def _analyses(view: MediaView, row: Run, links: Links, now: datetime, depth: Depth) -> list[dict[str, Any]]:
    of = view.media

    def link(artifact_id: uuid.UUID) -> str:
        return links.artifact(of.id, artifact_id, of.created_at, now)

    return [
        analysis(one, view.children[one.id], of.media_type, view.frames.get(one.id, []), link, depth)
        for one in row.analyses
    ]


def _video(row: Media) -> dict[str, Any] | None:
    facts = row.video
    if facts is None:
        return None
    names = ("duration", "width", "height", "fps", "codec", "bitrate", "rotation")
    return {**columns(facts, *names), "resolution": f"{facts.width}x{facts.height}"}


def _image(row: Media) -> dict[str, Any] | None:
    facts = row.image
    if facts is None:
        return None
    return {**columns(facts, "width", "height", "format", "color_space", "animated"), "fileSize": row.size}


def _audio(row: Media) -> dict[str, Any] | None:
    return columns(row.audio, "duration", "bitrate", "codec", "channels", "sample_rate") if row.audio else None
