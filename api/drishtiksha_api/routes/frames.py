"""The frames of a media, one row each, across the analyses of one run."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from drishtiksha.database.frames import Frames
from drishtiksha.domain.analysis import Prediction
from drishtiksha_api.cursors import MAX_CURSOR, cursor_of, keys_of
from drishtiksha_api.envelope import success
from drishtiksha_api.principal import Caller
from drishtiksha_api.problems import invalid
from drishtiksha_api.shapes.analysis import frame_row

from .library import MediaId
from .media import media_id_of

router = APIRouter(prefix="/api/v1/media", tags=["media"])

_LIST = "frames"
_LIMIT, _MOST = 1000, 10_000
_LARGEST = 2**31 - 1
"""The largest number that a run can have."""


@router.get("/{media_id}/frames")
async def frames(
    request: Request,
    caller: Caller,
    media_id: MediaId,
    prediction: Annotated[Prediction | None, Query(description="Only frames with this prediction.")] = None,
    min_score: Annotated[
        float | None,
        Query(alias="minScore", ge=0, le=1, allow_inf_nan=False, description="Only frames with at least this P(fake)."),
    ] = None,
    model: Annotated[str | None, Query(max_length=63, description="Only frames that this model has looked at.")] = None,
    run: Annotated[
        int | None, Query(ge=1, le=_LARGEST, description="The number of a run; without it the latest one.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="Frames in a page.")] = _LIMIT,
    cursor: Annotated[
        str | None,
        Query(
            max_length=MAX_CURSOR, description="The `X-Next-Cursor` of the page before. It holds on to the page's run."
        ),
    ] = None,
) -> Response:
    """Single frames by model and number. More than one page: `X-Next-Cursor`."""
    after = None
    if cursor is not None:
        number, name, last = keys_of(cursor, _LIST, int, str, int)
        if run not in (None, number):
            raise invalid("cursor", f"This cursor belongs to run {number}, not to run {run}.", code="OTHER_LIST")
        run, after = min(int(number), _LARGEST), (str(name), min(int(last), _LARGEST))
    page = await cast(Frames, request.app.state.frames).page(
        caller.user_id,
        media_id_of(media_id),
        limit=limit + 1,
        run=run,
        model=model,
        prediction=prediction,
        min_score=min_score,
        after=after,
    )
    shown, headers = page.frames[:limit], {}
    if len(page.frames) > limit:
        headers["X-Next-Cursor"] = cursor_of(_LIST, page.run, shown[-1].model, shown[-1].number)
    return success([frame_row(one) for one in shown], "Success", headers=headers)
