"""Bodies of requests, read only after the caller was recognised, and never more of them than allowed."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from .envelope import validation
from .pace import paced
from .problems import Problem, invalid

MAX_JSON = 64 * 1024
_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")
ModelT = TypeVar("ModelT", bound=BaseModel)


async def read_limited(chunks: AsyncIterator[bytes], limit: int, *, gzip: bool = False) -> bytes:
    """All bytes, unzipped if they came so; refused with TOO_LARGE as soon as they pass `limit`, zipped or not."""
    held, unzip = bytearray(), zlib.decompressobj(16 + zlib.MAX_WBITS) if gzip else None
    seen = 0
    async for chunk in paced(chunks):
        seen += len(chunk)
        if seen > limit:
            raise _body_too_large(limit)
        if unzip is None:
            held += chunk
        else:
            held += await asyncio.to_thread(_inflate, unzip, chunk, limit + 1 - len(held))
        if len(held) > limit or (unzip is not None and unzip.unconsumed_tail):
            raise _body_too_large(limit)
    if unzip is not None and seen and not unzip.eof:
        raise invalid("body", "The gzip stream is cut or damaged.", code="MALFORMED_GZIP")
    return bytes(held)


def _inflate(unzip: Any, chunk: bytes, room: int) -> bytes:
    try:
        return bytes(unzip.decompress(chunk, room))
    except zlib.error:
        raise invalid("body", "The body is not gzip.", code="MALFORMED_GZIP") from None


def _body_too_large(limit: int) -> Problem:
    return Problem("TOO_LARGE", f"The body is larger than the limit of {limit} bytes.", details={"limit": limit})


def parse_json(raw: bytes) -> Any:
    """A JSON value. NaN, infinities, broken text and absurd nesting are malformed; NUL characters are refused."""
    try:
        value = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Problem("MALFORMED_JSON", "The body is not valid JSON.") from None
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def believe(model: type[ModelT], value: Any) -> ModelT:
    """The value as one of our models. Raises Problem VALIDATION that names each field."""
    if not isinstance(value, dict):
        raise invalid("body", "A JSON object is expected.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise validation(list(error.errors(include_url=False, include_input=False))) from None


def json_body(model: type[ModelT], *, empty: bool = False) -> Any:
    """A dependency that reads the JSON body as `model`; put it after the dependency that recognises the caller.

    `empty`: no body at all, of whatever type, stands for an empty object.
    """

    async def read(request: Request) -> ModelT:
        raw = await read_limited(request.stream(), MAX_JSON)
        if not raw.strip() and empty:
            return believe(model, {})
        value = parse_json(raw)
        for text in _texts(value):
            if _NO_TEXT.search(text):
                raise invalid("body", "A text holds a character that cannot be stored.")
        return believe(model, value)

    story: Callable[[Request], Awaitable[ModelT]] = read
    return Depends(story)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *_texts(item))]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def documented(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """`openapi_extra` for a route whose body is read by `json_body`."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}
