"""A multipart form read as it arrives: parts one after the other, each part's bytes as a stream, nothing spooled.

Stands between the request and `upload.py`. Bounded: headers, number of parts, and the time a silent client may take.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from drishtiksha_api.pace import paced
from drishtiksha_api.problems import Problem, invalid

MAX_PARTS = 32
MAX_HEADER = 16 * 1024
"""Bytes of one header of a part: a file name of a few thousand letters is cut, and not refused."""


class Part:
    """One part of the form: its field name, its file name when it is a file, and its bytes, once."""

    def __init__(self, segment: MultipartSegment, chunks: AsyncIterator[bytes]) -> None:
        self.name: str = segment.name or ""
        self.filename: str | None = segment.filename
        self.chunks = chunks

    async def text(self, limit: int) -> str:
        """The part as text of at most `limit` characters; more, or no UTF-8, is a validation problem."""
        held = bytearray()
        async for chunk in self.chunks:
            held += chunk
            if len(held) > limit * 4:
                raise invalid(self.name, f"At most {limit} characters are allowed.", code="TOO_LONG")
        try:
            text = held.decode()
        except UnicodeDecodeError:
            raise invalid(self.name, "The text is not UTF-8.") from None
        if len(text) > limit:
            raise invalid(self.name, f"At most {limit} characters are allowed.", code="TOO_LONG")
        return text

    async def skip(self) -> None:
        """Read the part to its end and forget it."""
        async for _ in self.chunks:
            pass


async def parts(content_type: str, body: AsyncIterator[bytes]) -> AsyncIterator[Part]:
    """The parts in the order of their arrival. Each part must be read to its end before the next is asked for."""
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise Problem("FILE_REQUIRED", "A file is required.")
    events = _events(options["boundary"], body)
    async for event in events:
        if isinstance(event, MultipartSegment):
            part = Part(event, _chunks(events))
            yield part
            await part.skip()


async def _events(boundary: str, body: AsyncIterator[bytes]) -> AsyncIterator[MultipartSegment | bytes | None]:
    try:
        parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS, max_header_size=MAX_HEADER)
        async for chunk in paced(body):
            if chunk and not parser.closed:
                for event in parser.parse(chunk):
                    yield event
        if not parser.closed:
            parser.close()
    except MultipartError:
        raise invalid("body", "The multipart body is malformed or incomplete.", code="MALFORMED_FORM") from None


async def _chunks(events: AsyncIterator[MultipartSegment | bytes | None]) -> AsyncIterator[bytes]:
    async for event in events:
        if event is None:
            return
        yield bytes(event)  # between a segment and its None come bytes only
