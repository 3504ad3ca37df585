"""The OpenAPI document: what every route answers, with whom, and what it may refuse.

FastAPI knows paths, parameters and bodies; `described/` knows the answers. Nothing of it takes part in an answer: the
document is made when it is first asked for.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from . import cookies
from .problems import CODES

if TYPE_CHECKING:
    from .described.routes import Said

_REF = "#/components/schemas/{model}"
_ERROR = {
    "type": "object",
    "description": "Every refusal. Programs look at `code`, which never changes its meaning.",
    "additionalProperties": False,
    "required": ["success", "statusCode", "code", "message", "errors", "requestId"],
    "properties": {
        "success": {"type": "boolean", "const": False},
        "statusCode": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(CODES)},
        "message": {"type": "string"},
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["code", "message"],
                "properties": {"field": {"type": "string"}, "code": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "details": {"type": "object"},
        "requestId": {"type": "string"},
    },
}
_HEADERS = {
    "Location": "Where the media is.",
    "Idempotency-Replayed": "`true`: an earlier request with the same Idempotency-Key did this.",
    "X-Next-Cursor": "There is more: give it as `cursor` (events: as `after`) with the same query.",
    "ETag": "The version of what is answered; for If-None-Match, and If-Range.",
    "Accept-Ranges": "`bytes`.",
    "Preference-Applied": "The `wait=` that was taken from Prefer.",
    "Deprecation": "RFC 9745: this name goes; see `Link`.",
    "Sunset": "RFC 8594: the day it is gone.",
    "Retry-After": "Seconds after which it may be asked again.",
}
_ASKED = {
    "Idempotency-Key": "Made up by the client, one for each thing that it means to do: sent again with the same key, it is done once.",
    "traceparent": "W3C Trace Context; it is stored with the run and handed to its Jobs.",
    "If-None-Match": "An ETag that the client has: 304 while it is still so.",
    "If-Range": "An ETag: the part only while it is still so, else the whole.",
    "Range": "One range of bytes, like `bytes=0-1023`.",
    "Prefer": "`wait=30`: the answer may wait so many seconds for a change.",
}
_OTHER = {206: "The part that Range asked for.", 302: "The store has the bytes: follow `Location`.",
          304: "What If-None-Match named is still so.", 503: "A neighbour is away."}  # fmt: skip
_SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "`Authorization: Bearer …`; the word Bearer may be left out.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": cookies.NAME,
        "description": "Set at login. What changes something is taken only from pages of our own origins.",
    },
    "link": {
        "type": "apiKey",
        "in": "query",
        "name": "signature",
        "description": "The signed link as an answer gave it (`url`, `visualizedUrl`, `artifacts[].url`), with all its parameters.",
    },
}


def document(app: FastAPI) -> None:
    """Make `/openapi.json` say what the routes do not say by themselves."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    from pydantic import TypeAdapter

    from .described.routes import ROUTES

    schema = get_openapi(title=app.title, version=app.version, routes=app.routes, description=_WELCOME)
    components = schema.setdefault("components", {})
    named = [(name, "serialization", TypeAdapter(said.answer)) for name, said in ROUTES.items() if said.answer]
    answers, more = TypeAdapter.json_schemas(named, ref_template=_REF)  # type: ignore[arg-type]
    components.setdefault("schemas", {}).update(more.get("$defs", {}) | {"Error": _ERROR})
    components["securitySchemes"] = _SECURITY
    examples = json.loads((files(__package__) / "described" / "examples.json").read_text())
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            said = ROUTES.get(name)
            if said is not None:
                _complete(operation, said, answers.get((name, "serialization")), examples.get(said.example))
    _link(schema["paths"])
    return schema


def _link(paths: dict[str, Any]) -> None:
    """Say where the id of an upload, and the number of a run, may be used next."""
    upload = paths["/api/v1/media"]["post"]["responses"]["202"].setdefault("links", {})
    rerun = paths["/api/v1/media/{media_id}/analyze"]["post"]["responses"]["202"].setdefault("links", {})
    media_id, number = "$response.body#/data/id", "$response.body#/data/analysisRuns/0/runNumber"
    for path, methods in paths.items():
        for operation in methods.values():
            link = {"operationId": operation["operationId"], "parameters": {"media_id": media_id}}
            if path.endswith("/runs/{number}"):
                rerun[operation["operationId"]] = {**link, "parameters": {"media_id": media_id, "number": number}}
            elif "{media_id}" in path and "{artifact_id}" not in path:
                upload[operation["operationId"]] = link


def _complete(operation: dict[str, Any], said: Said, answer: Any, example: Any) -> None:
    """Put the responses of one route in the place of FastAPI's guesses."""
    content: dict[str, Any] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    if answer is not None:
        content = {"application/json": {"schema": answer}}
        if example:  # routes share them, whatever their status
            content["application/json"]["example"] = {**example, "statusCode": said.status}
    if said.stream:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    headers = {name: _header(name) for name in said.headers}
    description = operation.get("description", "").partition("\n")[0] or "Success."
    responses: dict[str, Any] = {str(said.status): {"description": description, "content": content}}
    if headers:
        responses[str(said.status)]["headers"] = headers
    for status in said.also:
        responses[str(status)] = {"description": _OTHER[status]}
        if status in (206, 503):
            responses[str(status)]["content"] = content
    for code in ("VALIDATION", "INTERNAL", *said.codes):
        responses.setdefault(str(CODES[code]), {"description": "", "codes": []}).setdefault("codes", []).append(code)
    for refusal, response in responses.items():
        if "codes" in response:
            responses[refusal] = _refused(int(refusal), sorted(set(response.pop("codes"))))
    for name in said.asks:
        asked = {"name": name, "in": "header", "description": _ASKED[name], "schema": {"type": "string"}}
        operation.setdefault("parameters", []).append(asked)
    operation["responses"] = dict(sorted(responses.items()))
    if "TOKEN_MISSING" in said.codes:
        operation["security"] = [{"token": []}, {"cookie": []}] + ([{"link": []}] if said.answer is None else [])


def _refused(status: int, codes: list[str]) -> dict[str, Any]:
    only = {"properties": {"code": {"enum": codes}, "statusCode": {"const": status}}}
    errors = [{"code": codes[0], "message": "A sentence for people."}]
    example = {"success": False, "statusCode": status, "code": codes[0], "message": "A sentence for people.",
               "errors": errors, "requestId": "0f3c"}  # fmt: skip
    schema = {"allOf": [{"$ref": "#/components/schemas/Error"}, only]}
    headers = {"headers": {"Retry-After": _header("Retry-After")}} if status in (429, 503) else {}
    return {
        "description": " ".join(codes),
        "content": {"application/json": {"schema": schema, "example": example}},
    } | headers


def _header(name: str) -> dict[str, Any]:
    return {"description": _HEADERS[name], "schema": {"type": "string"}}


_WELCOME = """Upload a video, a picture or a recording; one Kubernetes Job per model examines it; read what each found.

Every JSON answer is `{statusCode, data, message, success: true}` or `{success: false, code, message, errors, …}`. Live events
come over Socket.IO (`/socket.io/`) and as Server-Sent Events (`/api/v1/media/{media_id}/events`)."""
