"""The runner protocol, version 1, as routes: each checks the token, makes one call of the stores, answers.

Commits first, then wakes the operator and the relays; a lost wake-up costs latency, nothing else.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, cast

import structlog
from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.responses import Response

from drishtiksha import bus, protocol
from drishtiksha.database.events import Announcement
from drishtiksha.database.results import Assigned, NewArtifact, Results
from drishtiksha.domain.errors import ErrorClass, Unavailable
from drishtiksha.domain.events import may_pass_as_progress
from drishtiksha.objects import keys
from drishtiksha_api.bodies import believe, parse_json, read_limited
from drishtiksha_api.envelope import JSONAnswer
from drishtiksha_api.neighbours import Neighbours, neighbours_of
from drishtiksha_api.pace import paced
from drishtiksha_api.problems import Problem, invalid, too_large, unavailable
from drishtiksha_api.ranges import Served, serve
from drishtiksha_api.shapes.values import moment

from . import places
from .attempt import AttemptId
from .places import Places, Throttle

log = structlog.get_logger()
router = APIRouter(prefix="/internal/v1/attempt", tags=["runner protocol"])

_NAME = re.compile(protocol.ARTIFACT_NAME)
_KIND = re.compile(protocol.ARTIFACT_KINDS)
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


def _results(request: Request) -> Results:
    return cast(Results, request.app.state.results)


ResultStore = Annotated[Results, Depends(_results)]
Around = Annotated[Neighbours, Depends(neighbours_of)]


@router.get("")
async def assignment(attempt_id: AttemptId, results: ResultStore, around: Around) -> Response:
    """What this attempt has to do. The first call starts it."""
    assigned = await results.begin(attempt_id)
    await _announce(around, assigned.run_id, assigned.announcement)
    return JSONAnswer(_assignment(assigned).model_dump(by_alias=True))


@router.get("/media")
async def media(request: Request, attempt_id: AttemptId, results: ResultStore, around: Around) -> Response:
    """The bytes to examine, with Range."""
    assigned = await results.heartbeat(attempt_id)
    served = Served(assigned.object_key, assigned.size, assigned.sha256, assigned.mimetype, "media", "attachment")
    return await serve(request, around.objects, served)


@router.post("/progress")
async def progress(request: Request, attempt_id: AttemptId, results: ResultStore, around: Around) -> Response:
    """A heartbeat, and maybe a word about how far it is: told live, never stored."""
    assigned = await results.heartbeat(attempt_id)
    raw = await read_limited(request.stream(), protocol.MAX_PROGRESS_BYTES)
    if raw.strip():
        said = believe(protocol.Progress, parse_json(raw))
        throttle = cast(Throttle, request.app.state.throttle)
        if may_pass_as_progress(said.event) and throttle.allows(attempt_id):
            await around.bus.publish(bus.TICKS, _tick(assigned, said))
    return JSONAnswer({"secondsLeft": round(assigned.seconds_left, 3)})


@router.put("/artifacts/{name}")
async def artifact(
    request: Request,
    attempt_id: AttemptId,
    results: ResultStore,
    around: Around,
    name: Annotated[str, Path()],
    kind: Annotated[str | None, Header(alias="X-Kind")] = None,
    sha256: Annotated[str | None, Header(alias="X-Content-SHA256")] = None,
) -> Response:
    """Bytes that a result may list: a picture, the raw answer. The same name again replaces them."""
    mimetype = _checked_artifact(request, name, kind, sha256)
    assigned = await results.heartbeat(attempt_id)
    number = assigned.attempt_number
    key = keys.artifact(str(assigned.media_id), str(assigned.analysis_id), number, secrets.token_hex(8))
    stored = await around.objects.put(key, _counted(request))
    try:
        if stored.sha256 != sha256:
            raise invalid("X-Content-SHA256", "The bytes do not have this hash.", code="HASH_MISMATCH")
        new = NewArtifact(name, kind or "", key, mimetype, stored.size, stored.sha256)
        unused = await results.put_artifact(attempt_id, new, protocol.MAX_ARTIFACTS)
    except Unavailable:  # the row may have been written: the janitor decides
        raise
    except ValueError as error:
        await around.objects.delete(key)
        raise invalid("name", str(error), code="TOO_MANY_ARTIFACTS") from None
    except BaseException:
        await asyncio.shield(around.objects.delete(key))
        raise
    if unused:
        await around.objects.delete(unused)
    return JSONAnswer({"name": name, "size": stored.size, "sha256": stored.sha256})


@router.put("/result")
async def result(request: Request, attempt_id: AttemptId, results: ResultStore, around: Around) -> Response:
    """The one result of an analysis. `accepted` false: this attempt already handed one in."""
    with cast(Places, request.app.state.places).taken(attempt_id):
        raw = await _received(request)
        handed_in = await asyncio.to_thread(_read_result, raw)
        del raw
        try:
            stored = await results.store(attempt_id, handed_in)
        except ValueError as error:
            raise invalid("result", str(error)) from None
    await _announce(around, stored.run_id, stored.announcement)
    return JSONAnswer(protocol.Accepted(accepted=stored.accepted).model_dump(by_alias=True))


@router.put("/failure")
async def failure(request: Request, attempt_id: AttemptId, results: ResultStore, around: Around) -> Response:
    """The runner's own word for why this attempt gives no result."""
    raw = await read_limited(request.stream(), 64 * 1024)
    said = believe(protocol.AttemptFailure, parse_json(raw))
    run_id, announcement = await results.failed(
        attempt_id, ErrorClass(said.error_class), said.message, said.server_response
    )
    await _announce(around, run_id, announcement)
    return JSONAnswer(protocol.Accepted(accepted=True).model_dump(by_alias=True))


async def _announce(around: Neighbours, run_id: uuid.UUID, announcement: Announcement | None) -> None:
    if announcement is not None:
        await around.bus.wake_user(announcement.user_id, announcement.seq)
        await around.bus.wake_run(run_id)


async def _received(request: Request) -> bytes:
    gzip = request.headers.get("content-encoding", "").strip().lower() == "gzip"
    try:
        async with asyncio.timeout(places.RESULT_SECONDS):
            return await read_limited(request.stream(), protocol.MAX_RESULT_BYTES, gzip=gzip)
    except TimeoutError:
        raise unavailable("door", 1, "The result took too long to arrive; please hand it in again.") from None


def _read_result(raw: bytes) -> protocol.AttemptResult:
    return believe(protocol.AttemptResult, parse_json(raw))


def _checked_artifact(request: Request, name: str, kind: str | None, sha256: str | None) -> str:
    """The declared type, if everything that is declared is allowed."""
    if not _NAME.match(name):
        raise invalid("name", "Letters, digits, dot, underscore and dash, at most 100.")
    if kind is None or not _KIND.match(kind):
        raise invalid("X-Kind", "A word of small letters, digits and dashes is needed.")
    if sha256 is None or not _SHA256.match(sha256):
        raise invalid("X-Content-SHA256", "The sha256 of the bytes is needed, as 64 hex digits.")
    mimetype = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if mimetype not in protocol.ARTIFACT_TYPES:
        raise Problem("UNSUPPORTED_TYPE", "An artifact of this type is not taken.")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > protocol.MAX_ARTIFACT_BYTES:
        raise too_large(protocol.MAX_ARTIFACT_BYTES)
    return mimetype


async def _counted(request: Request) -> AsyncIterator[bytes]:
    seen = 0
    async for chunk in paced(request.stream()):
        seen += len(chunk)
        if seen > protocol.MAX_ARTIFACT_BYTES:
            raise too_large(protocol.MAX_ARTIFACT_BYTES)
        yield chunk


def _assignment(assigned: Assigned) -> protocol.Assignment:
    return protocol.Assignment(
        attempt=protocol.AssignedAttempt(id=str(assigned.attempt_id), number=assigned.attempt_number),
        analysis=protocol.AssignedAnalysis(
            id=str(assigned.analysis_id), model=assigned.model, model_version=assigned.model_version
        ),
        run=protocol.AssignedRun(id=str(assigned.run_id)),
        media=protocol.AssignedMedia(
            id=str(assigned.media_id),
            user_id=str(assigned.user_id),
            type=assigned.media_type,
            mimetype=assigned.mimetype,
            size=assigned.size,
            sha256=assigned.sha256,
            has_audio=assigned.has_audio,
        ),
        deadline=moment(assigned.deadline),
        seconds_left=round(assigned.seconds_left, 3),
    )


def _tick(assigned: Assigned, said: protocol.Progress) -> dict[str, object]:
    """Ephemeral progress as the relays get it: whose it is, is looked up there by the media."""
    data = {**said.data, "modelName": assigned.model, "model_name": assigned.model}
    return {
        "mediaId": str(assigned.media_id),
        "runId": str(assigned.run_id),
        "event": said.event,
        "message": said.message,
        "data": data,
    }
