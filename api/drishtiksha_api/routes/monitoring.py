"""How the platform is doing: the ML service's own words, how it was found before, and counts over all users."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from drishtiksha.database.counts import Counts
from drishtiksha.database.health import HealthHistory
from drishtiksha_api.envelope import success
from drishtiksha_api.mlstatus import MLStatus
from drishtiksha_api.principal import Caller
from drishtiksha_api.shapes import monitoring as shapes

router = APIRouter(prefix="/api/v1/monitoring", tags=["monitoring"])

Timeframe = Literal["1h", "24h", "7d", "30d"]
_HOURS = {"1h": 1, "24h": 24, "7d": 7 * 24, "30d": 30 * 24}
_ON_ITS_WAY_OUT = {
    "Deprecation": "@1796083200",  # RFC 9745: 1 December 2026
    "Sunset": "Wed, 01 Dec 2027 00:00:00 GMT",  # RFC 8594
    "Link": '</api/v1/monitoring/stats/analysis>; rel="successor-version"',
}


@router.get("/server-status")
async def server_status(request: Request, _caller: Caller) -> Response:
    """What the ML service says about itself, at most ten seconds old."""
    status = await cast(MLStatus, request.app.state.ml_status).look()
    return success(status, "Server status retrieved successfully")


@router.get("/server-history")
async def server_history(
    request: Request, _caller: Caller, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> Response:
    """How the ML service was found, newest first."""
    looks = await cast(HealthHistory, request.app.state.health_history).recent(limit)
    return success([shapes.past_look(look) for look in looks], "Server history retrieved successfully")


@router.get("/queue-status")
async def queue_status(request: Request, _caller: Caller) -> Response:
    """Analyses waiting, running, completed, failed, delayed."""
    counts = asdict(await cast(Counts, request.app.state.counts).queue())
    data = {f"{name}Jobs": number for name, number in counts.items()} | counts
    return success(data, "Video processing queue status retrieved successfully.")


@router.get("/stats/analysis")
async def analysis_stats(
    request: Request, _caller: Caller, timeframe: Annotated[Timeframe, Query()] = "24h"
) -> Response:
    """How the analyses of the last hours or days ended, all together and by model."""
    outcomes = await cast(Counts, request.app.state.counts).outcomes(_HOURS[timeframe])
    return success(shapes.outcomes(timeframe, outcomes), "Analysis statistics retrieved successfully")


@router.get("/analysis-stats", deprecated=True)
async def analysis_stats_of_old(
    request: Request, caller: Caller, timeframe: Annotated[Timeframe, Query()] = "24h"
) -> Response:
    """The same under its older name, which goes."""
    answer = await analysis_stats(request, caller, timeframe)
    answer.headers.update(_ON_ITS_WAY_OUT)
    return answer
