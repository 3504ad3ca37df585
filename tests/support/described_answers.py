"""Holds answers to `/openapi.json`: an httpx hook that reads each answer as the document says it is.

Every client of tests/api has it, so that whatever a test asks for is held to the document as well.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import httpx
from pydantic import TypeAdapter, ValidationError

from drishtiksha_api.described.routes import ROUTES, Said
from drishtiksha_api.problems import CODES

_ANYWHERE = {"VALIDATION", "INTERNAL"}


@functools.cache
def _patterns() -> list[tuple[str, re.Pattern[str], str]]:
    # Longer paths first: a literal word is not taken for an id.
    names = sorted(ROUTES, key=lambda name: (name.count("{"), -len(name)))
    made = []
    for name in names:
        method, path = name.split(" ")
        made.append((method, re.compile("^" + re.sub(r"{\w+}", "[^/]+", path.rstrip("/") or "/") + "/?$"), name))
    return made


def route_of(method: str, path: str) -> str | None:
    """The route of a request by its name in `ROUTES`; None where there is none."""
    method = "GET" if method == "HEAD" else method
    return next((name for known, pattern, name in _patterns() if known == method and pattern.match(path)), None)


@functools.cache
def _reader(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(ROUTES[name].answer)


async def hold(answer: httpx.Response) -> None:
    """Raises AssertionError when an answer is not as the document says."""
    request = answer.request
    name = route_of(request.method, request.url.path)
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if name is None or request.method == "HEAD" or kind not in ("application/json", ""):
        return
    wrong = wrong_with(name, answer.status_code, await answer.aread() if kind else b"")
    assert wrong is None, f"{name} answers {answer.status_code}, and the document says otherwise: {wrong}"


def wrong_with(name: str, status: int, body: bytes) -> str | None:
    """What is not as the document says; None when all is."""
    said: Said = ROUTES[name]
    if status in said.also and not (status == 503 and body):
        return None
    if status == said.status or (status == 503 and 503 in said.also):
        return _unread(name, body) if said.answer is not None else None
    refused = json.loads(body)
    code = refused.get("code")
    if code not in _ANYWHERE | {*said.codes}:
        return f"the code {code} is not listed"
    if CODES[code] != status or refused.keys() - {"details"} != {
        "success", "statusCode", "code", "message", "errors", "requestId",
    }:  # fmt: skip
        return f"the envelope is not that of an error: {refused}"
    return None


def _unread(name: str, body: bytes) -> str | None:
    try:
        _reader(name).validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']} ({first.get('input')!r})"
    return None
