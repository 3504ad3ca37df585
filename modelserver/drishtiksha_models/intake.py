"""Taking an upload off the wire: a multipart body streamed to one private temporary file, counted and hashed.

`app.py` calls it after the key was checked; nothing of the body is read before. The caller removes the file.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from multipart import MultipartError, ParserLimitReached, PushMultipartParser, parse_options_header

from drishtiksha.domain.media import clean_filename

MAX_FIELD_BYTES = 4096
"""Of one text field."""
MAX_PARTS = 16
MAX_OVERHEAD = 64 * 1024
"""Bytes that a body may have beside the file itself: boundaries, headers, text fields."""

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")


class Refused(Exception):
    """The request cannot be served; `status` and `detail` are the answer."""

    def __init__(self, status: int, detail: object, retry_after: int | None = None) -> None:
        super().__init__(str(detail))
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


@dataclass
class Upload:
    """One received form. `name` is the client's file name, cleaned, for people only; `size` in bytes."""

    path: Path
    name: str = ""
    size: int = 0
    sha256: str = ""
    fields: dict[str, str] = field(default_factory=dict)


def boundary(content_type: str, length: str | None, max_bytes: int) -> str:
    """The multipart boundary of a request, judged by its headers alone. Raises Refused."""
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise Refused(415, {"code": "NOT_MULTIPART", "message": "The body must be multipart/form-data."})
    if length is not None and length.isdigit() and int(length) > max_bytes + MAX_OVERHEAD:
        raise too_large(max_bytes)
    return str(options["boundary"])


async def receive(
    body: AsyncIterator[bytes], mark: str, folder: Path, max_bytes: int, silence: float, file_field: str = "media"
) -> Upload:
    """Stream a form to a file in `folder`. Raises Refused; then nothing is left behind.

    `silence`: seconds without a byte after which the client is given up.
    """
    upload = Upload(folder / uuid.uuid4().hex)
    try:
        with upload.path.open("xb") as file:
            await _parse(body, mark, upload, file, max_bytes, silence, file_field)
        if not upload.sha256:
            raise missing(file_field)
        if upload.size == 0:
            raise Refused(422, {"code": "BAD_MEDIA", "message": "The file is empty."})
        if suffix := _SUFFIX.search(upload.name):
            upload.path = upload.path.rename(upload.path.with_suffix(suffix[0].lower()))
    except BaseException:
        upload.path.unlink(missing_ok=True)
        raise
    return upload


async def _parse(
    body: AsyncIterator[bytes], mark: str, upload: Upload, file: IO[bytes], max_bytes: int, silence: float, wanted: str
) -> None:
    parser = PushMultipartParser(mark, max_segment_count=MAX_PARTS, max_segment_size=max_bytes)
    part: Any = None
    text = bytearray()
    digest = hashlib.sha256()
    try:
        with parser:
            async for chunk in _quick(body, silence):
                for event in parser.parse(chunk) if chunk else ():
                    if event is None:
                        if part.filename is None:
                            upload.fields[part.name] = text.decode("utf-8", "replace")
                        else:
                            upload.sha256 = digest.hexdigest()
                    elif not isinstance(event, bytes | bytearray):
                        part, text = event, bytearray()
                        if part.filename is not None:
                            _one_file(part.name, wanted, upload)
                            upload.name = clean_filename(part.filename)
                    elif part.filename is None:
                        text += event
                        if len(text) > MAX_FIELD_BYTES:
                            raise Refused(400, {"code": "FIELD_TOO_LONG", "message": f"{part.name} is too long."})
                    else:
                        digest.update(event)
                        upload.size += file.write(event)
                if parser.closed:
                    break
    except ParserLimitReached:
        raise too_large(max_bytes) from None
    except MultipartError:
        raise Refused(400, {"code": "MALFORMED", "message": "The multipart body is malformed or ends early."}) from None


def _one_file(name: str, wanted: str, upload: Upload) -> None:
    if name != wanted or upload.sha256:
        raise Refused(400, {"code": "ONE_FILE", "message": f"Exactly one file is expected, in the field {wanted!r}."})


async def _quick(body: AsyncIterator[bytes], silence: float) -> AsyncIterator[bytes]:
    """The chunks of a body whose client keeps sending."""
    chunks = aiter(body)
    while True:
        try:
            async with asyncio.timeout(silence):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            message = f"Nothing arrived for {silence:g} seconds."
            raise Refused(408, {"code": "TOO_SLOW", "message": message}, retry_after=5) from None
        yield chunk


def missing(name: str) -> Refused:
    """The answer to a form without a field that it must have."""
    return Refused(422, [{"loc": ["body", name], "msg": "Field required", "type": "missing"}])


def too_large(max_bytes: int) -> Refused:
    """The answer to a file beyond the limit."""
    return Refused(413, {"code": "TOO_LARGE", "message": f"The file is larger than {max_bytes} bytes."})
