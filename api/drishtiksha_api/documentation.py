"""The OpenAPI document: what every route may refuse, and in which shape."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .problems import CODES

_ERROR = {
    "type": "object",
    "required": ["success", "statusCode", "code", "message", "errors", "requestId"],
    "properties": {
        "success": {"type": "boolean", "const": False},
        "statusCode": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(CODES)},
        "message": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {"field": {"type": "string"}, "code": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "details": {"type": "object"},
        "requestId": {"type": "string"},
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
    schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = _ERROR
    for methods in schema["paths"].values():
        for operation in methods.values():
            _complete(operation)
    return schema


def _complete(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)  # a bad value is a 400 here
    statuses = {400, 500, 503}
    if "security" in operation:
        statuses |= {401, 404}
    for status in sorted(statuses):
        responses.setdefault(str(status), refused(status))


def refused(status: int) -> dict[str, Any]:
    """What a route answers with this status; for `responses` of routes that may say more than all of them."""
    codes = " ".join(code for code, of in CODES.items() if of == status)
    return {
        "description": codes,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
