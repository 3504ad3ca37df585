"""Reading media: the list, one media, its runs."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from drishtiksha.database.children import Depth
from drishtiksha.database.media import MediaStore
from drishtiksha.database.media_search import Filters, Library, Order, Place, place_of
from drishtiksha.domain.analysis import Prediction
from drishtiksha.domain.media import MediaType
from drishtiksha.domain.status import RunStatus
from drishtiksha_api.cursors import MAX_CURSOR, cursor_of, keys_of, moment_of, no_cursor
from drishtiksha_api.envelope import success, tagged
from drishtiksha_api.links import Links
from drishtiksha_api.longpoll import MAX_WAIT, preferred, when_changed
from drishtiksha_api.principal import Caller
from drishtiksha_api.problems import invalid, media_not_found
from drishtiksha_api.shapes import media as shapes

from .media import media_id_of

router = APIRouter(prefix="/api/v1/media", tags=["media"])

MAX_LIST, MAX_FULL = 1000, 10
"""Media in a list that was asked for without a limit; and in one of full objects."""
_PLUS_LOST = re.compile(r"T[\d:.]+ \d\d:?\d\d$")
"""A plus sign in a query that was not written %2B arrives as a space."""

MediaId = Annotated[str, Path(description="The id of a media.")]
RunNumber = Annotated[str, Path(description="The number of a run, from 1.")]
_More = Annotated[
    str | None,
    Query(
        max_length=MAX_CURSOR, description="The `X-Next-Cursor` of the page before; with the same `sort` and filters."
    ),
]


@router.get("")
async def listing(
    request: Request,
    caller: Caller,
    limit: Annotated[
        int | None, Query(ge=1, le=100, description=f"Media in a page. Without it up to {MAX_LIST} at once.")
    ] = None,
    cursor: _More = None,
    sort: Annotated[
        Order, Query(description="The order: newest first by default; a leading `-` means downwards.")
    ] = Order.NEWEST,
    view: Annotated[
        Literal["full", "summary"] | None,
        Query(
            description="`full`: with arrays per frame, series and regions; needs a `limit` of at most "
            f"{MAX_FULL}. `summary`: without the children of analyses. Without it: all but arrays and series."
        ),
    ] = None,
    status: Annotated[RunStatus | None, Query(description="Only media whose latest run has this status.")] = None,
    media_type: Annotated[
        Literal["VIDEO", "AUDIO", "IMAGE"] | None, Query(alias="mediaType", description="Only media of this type.")
    ] = None,
    verdict: Annotated[Prediction | None, Query(description="Only media whose latest run has this verdict.")] = None,
    since: Annotated[
        str | None,
        Query(alias="from", max_length=40, description="Created at this time or later: ISO 8601 with a time zone."),
    ] = None,
    until: Annotated[
        str | None, Query(alias="to", max_length=40, description="Created before this time: ISO 8601 with a time zone.")
    ] = None,
    sha256: Annotated[
        str | None, Query(pattern="^[0-9a-fA-F]{64}$", description="Only media with these bytes: 64 hex digits.")
    ] = None,
    q: Annotated[
        str | None,
        Query(max_length=200, pattern="^[^\\x00]*$", description="Text in file name or description, in any case."),
    ] = None,
) -> Response:
    """The caller's media, newest first. More than one page: `X-Next-Cursor`."""
    depth = Depth(view or "list")
    if depth is Depth.FULL and (limit is None or limit > MAX_FULL):
        raise invalid("limit", f"view=full needs a limit of at most {MAX_FULL}.", code="TOO_LARGE")
    filters = Filters(
        status=status,
        media_type=MediaType(media_type) if media_type else None,
        verdict=verdict,
        since=_time("from", since),
        until=_time("to", until),
        sha256=sha256.lower() if sha256 else None,
        words=q,
    )
    most = limit or MAX_LIST
    after = _place(cursor, sort) if cursor is not None else None
    views = await _library(request).page(
        caller.user_id, limit=most + 1, filters=filters, order=sort, after=after, depth=depth
    )
    shown, now = views[:most], datetime.now(UTC)
    headers = {"X-Next-Cursor": _cursor(place_of(shown[-1].media, sort), sort)} if len(views) > most else {}
    data = [shapes.full_media(one, _links(request), now, depth) for one in shown]
    return success(data, "Success", headers=headers)


@router.get("/{media_id}")
async def look(
    request: Request,
    caller: Caller,
    media_id: MediaId,
    wait: Annotated[
        int | None,
        Query(
            ge=1,
            le=MAX_WAIT,
            description="Seconds that the answer may wait for a change of status. A final one is answered at once, unless "
            "If-None-Match names the version that is there. `Prefer: wait=N` means the same.",
        ),
    ] = None,
) -> Response:
    """One media with all its runs."""
    wanted = media_id_of(media_id)

    async def now() -> Response:
        view = await _store(request).get(caller.user_id, wanted)
        return tagged(request, shapes.full_media(view, _links(request), datetime.now(UTC)), "Success")

    asked = preferred(request.headers.getlist("prefer")) if wait is None else None
    answer = await when_changed(request, caller, wanted, seconds, now) if (seconds := wait or asked) else await now()
    if asked:
        answer.headers["Preference-Applied"] = f"wait={asked}"
    return answer


@router.get("/{media_id}/runs")
async def runs(request: Request, caller: Caller, media_id: MediaId) -> Response:
    """All runs of a media, highest number first."""
    view = await _store(request).get(caller.user_id, media_id_of(media_id))
    now = datetime.now(UTC)
    return tagged(request, [shapes.run(run, view, _links(request), now) for run in view.runs], "Success")


@router.get("/{media_id}/runs/{number}")
async def one_run(request: Request, caller: Caller, media_id: MediaId, number: RunNumber) -> Response:
    """One run, each analysis with its attempts."""
    view = await _store(request).get(caller.user_id, media_id_of(media_id))
    found = next((run for run in view.runs if str(run.number) == number), None)
    if found is None:
        raise media_not_found()
    data = shapes.run(found, view, _links(request), datetime.now(UTC), attempts=True)
    return tagged(request, data, "Success")


def _time(field: str, said: str | None) -> datetime | None:
    if said is None:
        return None
    if _PLUS_LOST.search(said):
        raise invalid(field, "The sign of the time zone is lost: write + as %2B, or the time in UTC with a Z.")
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        raise invalid(field, "A time like 2026-01-31T12:00:00Z is expected.", code="BAD_FORMAT") from None
    if moment.tzinfo is None:
        raise invalid(field, "The time needs a time zone, like 2026-01-31T12:00:00Z.", code="BAD_FORMAT")
    return moment


def _cursor(place: Place, order: Order) -> str:
    key, media_id = place
    return cursor_of(order.value, key.isoformat() if isinstance(key, datetime) else key, str(media_id))


def _place(given: str, order: Order) -> Place:
    key, media_id = keys_of(given, order.value, int if order is Order.SIZE else str, str)
    try:
        last = uuid.UUID(str(media_id))
    except ValueError:
        raise no_cursor() from None
    return (moment_of(key) if order in (Order.NEWEST, Order.OLDEST) else key), last


def _store(request: Request) -> MediaStore:
    return cast(MediaStore, request.app.state.media)


def _library(request: Request) -> Library:
    return cast(Library, request.app.state.library)


def _links(request: Request) -> Links:
    return cast(Links, request.app.state.links)
