"""How the platform is doing: the ML service's own words, and counts over all users."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import Response

from drishtiksha.database.counts import Counts
from drishtiksha_api.envelope import success
from drishtiksha_api.mlstatus import MLStatus
from drishtiksha_api.principal import Caller

router = APIRouter(prefix="/api/v1/monitoring", tags=["monitoring"])


@router.get("/server-status")
async def server_status(request: Request, _caller: Caller) -> Response:
    """What the ML service says about itself, at most ten seconds old."""
    status = await cast(MLStatus, request.app.state.ml_status).look()
    return success(status, "Server status retrieved successfully")


@router.get("/queue-status")
async def queue_status(request: Request, _caller: Caller) -> Response:
    """Analyses waiting, running, completed, failed, delayed."""
    counts = asdict(await cast(Counts, request.app.state.counts).queue())
    data = {f"{name}Jobs": number for name, number in counts.items()} | counts
    return success(data, "Video processing queue status retrieved successfully.")
