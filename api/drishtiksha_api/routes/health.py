"""Whether the process lives, and whether its neighbours are there."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from drishtiksha_api.envelope import JSONAnswer, success
from drishtiksha_api.neighbours import neighbours_of
from drishtiksha_api.readiness import missing

router = APIRouter(tags=["health"])

_NO_STORE = {"Cache-Control": "no-store"}


@router.get("/")
@router.get("/api/health")
async def alive() -> Response:
    """For people."""
    return success({"status": "ok"}, "Drishtiksha API is alive and running!", headers=_NO_STORE)


@router.get("/healthz")
async def process() -> Response:
    """The process answers."""
    return JSONAnswer({"status": "ok"}, headers=_NO_STORE)


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """200 when the schema is at head and every neighbour answers; else 503, and who does not."""
    away = await missing(neighbours_of(request))
    status = "ok" if not away else "unavailable"
    return JSONAnswer({"status": status, "missing": away}, status_code=503 if away else 200, headers=_NO_STORE)
