"""`/docs`: the OpenAPI document as a page, from files of our own: it needs no internet."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import Response

from drishtiksha_api.problems import Problem

router = APIRouter(prefix="/docs", include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Drishtiksha API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="ui"></div><script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body>
</html>
"""
_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null});\n'
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)
_TYPES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


@router.get("")
async def page() -> Response:
    """The page."""
    return Response(_PAGE, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


@router.get("/start.js")
async def start() -> Response:
    """The two lines that start it; in a file, for the page allows no script of its own."""
    return Response(_START, media_type="text/javascript")


@router.get("/{name}")
def part(name: str) -> Response:
    """Swagger UI's own files."""
    if name not in _TYPES:
        raise Problem("NOT_FOUND", "Not found")
    return Response(_read(name), media_type=_TYPES[name], headers={"Cache-Control": "public, max-age=86400"})


@cache
def _read(name: str) -> bytes:
    return (files("drishtiksha_api") / "static" / "swagger" / name).read_bytes()
