"""The envelope that every JSON answer wears, and how refusals and errors become one.

Nothing of a library's own words reaches a client: foreign errors are turned into ours here, once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match

from drishtiksha.domain.errors import (
    EmailTaken,
    Fenced,
    InFlight,
    NotActive,
    NotFound,
    QuotaExceeded,
    RunActive,
    Unavailable,
)

from .problems import VALIDATION_FAILED, Problem, media_not_found, unavailable
from .sentences import finding

log = structlog.get_logger()

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class JSONAnswer(Response):
    """JSON without NaN or infinity: a number that is none is a bug of ours, and must not leave the house."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def success(data: Any, message: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> JSONAnswer:
    """`{statusCode, data, message, success: true}`."""
    body = {"statusCode": status, "data": data, "message": message, "success": True}
    return JSONAnswer(body, status_code=status, headers={"Cache-Control": "private, no-cache", **(headers or {})})


def tagged(request: Request, data: Any, message: str) -> Response:
    """A success with a weak ETag of its content; 304 when the client has it."""
    answer = success(data, message)
    tag = f'W/"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
    answer.headers["ETag"] = tag
    if tag in (given.strip() for given in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "private, no-cache"})
    return answer


def refusal(request: Request, problem: Problem) -> JSONAnswer:
    """`{success: false, statusCode, code, message, errors, details?, requestId}`."""
    body: dict[str, Any] = {
        "success": False,
        "statusCode": problem.status,
        "code": problem.code,
        "message": problem.message,
        "errors": problem.errors or [{"code": problem.code, "message": problem.message}],
        "requestId": request.scope.get("drishtiksha.request_id", ""),
    }
    if problem.details is not None:
        body["details"] = problem.details
    headers = {"Cache-Control": "no-store", **problem.headers}
    if problem.status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    return JSONAnswer(body, status_code=problem.status, headers=headers)


def translate(error: Exception) -> Problem:
    """One of our own errors as the refusal that clients know. Anything else is a bug: INTERNAL."""
    match error:
        case Problem():
            return error
        case Unavailable():
            return unavailable(error.what, error.retry_after)
        case NotFound():
            return media_not_found()
        case EmailTaken():
            return Problem("EMAIL_TAKEN", "User with this email already exists")
        case RunActive():
            details = {"runId": str(error.run_id), "runNumber": error.run_number}
            return Problem("RUN_ACTIVE", "An analysis run of this media is still active.", details=details)
        case NotActive():
            return Problem("NOT_ACTIVE", "The media has no active analysis run.")
        case QuotaExceeded():
            return Problem("QUOTA", "Your storage quota would be exceeded.", headers={"Retry-After": "3600"})
        case InFlight():
            message = "The first request with this Idempotency-Key is still at work."
            return Problem("IDEMPOTENCY_IN_FLIGHT", message, headers={"Retry-After": "2"})
        case Fenced():
            return Problem("FENCED", "This attempt may no longer write.")
        case _:
            return Problem("INTERNAL", "Something went wrong on our side.")


def validation(errors: list[Any]) -> Problem:
    """Pydantic's findings as `errors[]`: field names, and codes and sentences of our own."""
    return Problem("VALIDATION", VALIDATION_FAILED, errors=[finding(error) for error in errors])


def allowed_methods(request: Request) -> str:
    """The methods that the path of this request knows, as an Allow header (RFC 9110 §10.2.1) lists them."""
    known = [m for m in _METHODS if any(_takes(route, request, m) for route in request.app.routes)]
    return ", ".join([*known, *(["HEAD"] if "GET" in known else []), "OPTIONS"])


def _takes(route: BaseRoute, request: Request, method: str) -> bool:
    return route.matches({**request.scope, "method": method})[0] is Match.FULL


def install(app: FastAPI) -> None:
    """Make every error of this application leave in the envelope."""

    async def ours(request: Request, error: Exception) -> Response:
        problem = translate(error)
        if problem.code == "INTERNAL":
            log.error("unexpected error", path=request.url.path, exc_info=error)
        elif problem.code == "UNAVAILABLE":
            log.warning("a neighbour is away", path=request.url.path, what=(problem.details or {}).get("what"))
        return refusal(request, problem)

    async def of_framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = allowed_methods(request)
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=headers)
        by_status = {404: ("NOT_FOUND", "Not found"), 405: ("METHOD_NOT_ALLOWED", "Method not allowed")}
        code, message = by_status.get(error.status_code, ("VALIDATION", VALIDATION_FAILED))
        if error.status_code >= 500:
            code, message = "INTERNAL", "Something went wrong on our side."
        return refusal(request, Problem(code, message, headers=headers))

    async def of_values(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return refusal(request, validation(list(error.errors())))

    async def of_leavers(_request: Request, _error: Exception) -> Response:
        return Response(status_code=499)  # nobody is there to read it

    app.add_exception_handler(ClientDisconnect, of_leavers)
    for kind in (
        Problem,
        Unavailable,
        NotFound,
        EmailTaken,
        RunActive,
        NotActive,
        QuotaExceeded,
        InFlight,
        Fenced,
        Exception,
    ):
        app.add_exception_handler(kind, ours)
    app.add_exception_handler(HTTPException, of_framework)
    app.add_exception_handler(RequestValidationError, of_values)
