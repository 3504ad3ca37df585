"""The stored events of one media: as a list, or as a stream that goes on."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from drishtiksha.database.events import Events
from drishtiksha.database.media_search import Library
from drishtiksha.database.users import Users
from drishtiksha_api.envelope import success
from drishtiksha_api.eventstream import HEADERS, MEDIA_TYPE, EventStream, Told, wanted
from drishtiksha_api.principal import Caller
from drishtiksha_api.problems import invalid
from drishtiksha_api.shapes.events import progress_update
from drishtiksha_api.waiters import Waiters

from .library import MediaId
from .media import media_id_of

router = APIRouter(prefix="/api/v1/media", tags=["media"])

_MOST = 1000


@router.get("/{media_id}/events")
async def events(
    request: Request,
    caller: Caller,
    media_id: MediaId,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="Only events with a `seq` above this.")] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="Events in a list; a stream knows no limit.")] = _MOST,
    last_event_id: Annotated[
        str | None, Header(description="Of a stream: the `id` of the last event that came; goes before `after`.")
    ] = None,
) -> Response:
    """The events of a media in order. `Accept: text/event-stream`: the same as Server-Sent Events, and what comes."""
    state, wanted_media = request.app.state, media_id_of(media_id)
    stored = cast(Events, state.events)
    await cast(Library, state.library).standing(caller.user_id, wanted_media)
    if wanted(request.headers.get("accept", "")):
        if request.scope.get("drishtiksha.head", False):
            return Response(headers=HEADERS, media_type=MEDIA_TYPE)
        newest = (await stored.last_seq([caller.user_id])).get(caller.user_id, 0)
        start = min(after if last_event_id is None else _seq(last_event_id), newest)
        told = Told(caller.user_id, caller.session_id, wanted_media, start)
        return EventStream(told, stored, cast(Users, state.users), cast(Waiters, state.waiters))
    found = await stored.of_media(caller.user_id, wanted_media, after, limit + 1)
    shown = found[:limit]
    headers = {"X-Next-Cursor": str(shown[-1].seq)} if len(found) > limit else {}
    return success([progress_update(caller.user_id, one)[1] for one in shown], "Success", headers=headers)


def _seq(said: str) -> int:
    if not (said.isascii() and said.isdigit() and len(said) < 19):
        raise invalid("Last-Event-ID", "The number of an event is expected, as `id` gave it.", code="WRONG_TYPE")
    return int(said)
