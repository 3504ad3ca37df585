"""The story of an upload, from the first byte to facts that a row can be made of.

Everything that is refused leaves nothing behind. The caller commits the row; until then the bytes are an orphan
that the janitor would collect after its grace period.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import structlog

from drishtiksha.domain.errors import DrishtikshaError
from drishtiksha.domain.media import MAX_DESCRIPTION, Probe, clean_filename
from drishtiksha.objects import Objects, Stored, keys
from drishtiksha.objects.at_hand import at_hand
from drishtiksha_api.problems import Problem, invalid, too_large, unsupported_type

from .form import Part, parts
from .probe import NotMedia, Prober
from .sniff import HEAD, may_be_media, sniff

log = structlog.get_logger()

FILE_FIELDS = frozenset({"file", "media"})
_FORM_OVERHEAD = 64 * 1024
"""Bytes that a form may have beside its file: boundaries, headers, a description."""
_LOOKED_AT = 2
"""Files that are looked at together, and so the copies on this machine's disk, where the store is elsewhere."""


@dataclass(frozen=True)
class Received:
    """A file that is durable under `key`, and what it is."""

    media_id: uuid.UUID
    key: str
    filename: str
    description: str | None
    stored: Stored
    probe: Probe


class Intake:
    """Takes uploads of at most `limit` bytes into the object store."""

    def __init__(self, objects: Objects, prober: Prober, limit: int) -> None:
        self._objects = objects
        self._prober = prober
        self._limit = limit
        self._desks = asyncio.Semaphore(_LOOKED_AT)

    async def receive(
        self, media_id: uuid.UUID, content_type: str, content_length: int | None, body: AsyncIterator[bytes]
    ) -> Received:
        """Store and examine the one file of a form. Raises Problem; then nothing is left of it."""
        if content_length is not None and content_length > self._limit + _FORM_OVERHEAD:
            raise too_large(self._limit)
        key = keys.original(str(media_id))
        try:
            filename, description, stored, sniffed = await self._store(key, content_type, self._bounded(body))
            probe = await self._examine(key, stored, sniffed)
        except BaseException:
            await self.discard(key)
            raise
        return Received(media_id, key, filename, description, stored, probe)

    async def _bounded(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The body, refused as soon as no form with one file of the allowed size can be in it."""
        seen = 0
        async for chunk in body:
            seen += len(chunk)
            if seen > self._limit + _FORM_OVERHEAD:
                raise too_large(self._limit)
            yield chunk

    async def discard(self, key: str) -> None:
        """Take back the bytes of an upload that was refused."""
        with suppress(DrishtikshaError):  # the janitor will come
            await asyncio.shield(self._objects.delete(key))

    async def _store(
        self, key: str, content_type: str, body: AsyncIterator[bytes]
    ) -> tuple[str, str | None, Stored, str]:
        found: tuple[str, Stored, str] | None = None
        description: str | None = None
        async for part in parts(content_type, body):
            if part.filename is None:
                if part.name == "description":
                    description = _description(await part.text(MAX_DESCRIPTION))
                continue
            if part.name not in FILE_FIELDS:
                raise invalid(part.name, "Unexpected file field; the file belongs into 'file'.", code="UNEXPECTED_FILE")
            if found is not None:
                raise Problem("TOO_MANY_FILES", "Only one file can be uploaded at a time.")
            watched = _Watched(part, self._limit)
            stored = await self._objects.put(key, watched.chunks())
            if stored.size == 0:
                raise Problem("EMPTY_FILE", "The file is empty.")
            found = (clean_filename(part.filename), stored, watched.mimetype)
        if found is None:
            raise Problem("FILE_REQUIRED", "A file is required.")
        return found[0], description, found[1], found[2]

    async def _examine(self, key: str, stored: Stored, sniffed: str) -> Probe:
        try:
            async with self._desks, at_hand(self._objects, key, stored) as path:
                return await self._prober.probe(path)
        except NotMedia as refused:
            if refused.undecodable:
                raise Problem("UNDECODABLE", "The file cannot be decoded; it may be damaged.") from None
            raise unsupported_type(sniffed) from None


def _description(text: str) -> str | None:
    if "\x00" in text:
        raise invalid("description", "The text holds a NUL character.")
    return text or None


class _Watched:
    """A part's bytes, refused as they pass: the type by the first of them, the size by their count."""

    def __init__(self, part: Part, limit: int) -> None:
        self._part = part
        self._limit = limit
        self.mimetype = "application/octet-stream"

    async def chunks(self) -> AsyncIterator[bytes]:
        head, seen, judged = b"", 0, False
        async for chunk in self._part.chunks:
            seen += len(chunk)
            if seen > self._limit:
                raise too_large(self._limit)
            if judged:
                yield chunk
                continue
            head += chunk
            if len(head) >= HEAD:
                await self._judge(head)
                judged = True
                yield head
        if not judged and head:
            await self._judge(head)
            yield head

    async def _judge(self, head: bytes) -> None:
        self.mimetype = await asyncio.to_thread(sniff, head)
        if not may_be_media(self.mimetype):
            raise unsupported_type(self.mimetype)
