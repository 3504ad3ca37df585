"""Reading what an ML service sends, without trusting it: unpacked in bounded steps, measured, then parsed.

`model` feeds it the raw bytes of a response; everything that is wrong here is the fault of whoever answered.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import AsyncIterator

from drishtiksha.domain.errors import ErrorClass

from .faults import Fault, storable

MAX_PLAIN = 16 * 1024 * 1024
"""Bytes of an answer's JSON, unpacked, its pictures aside."""
MAX_PICTURES = 16
MAX_PICTURE = 4 * 1024 * 1024
"""Bytes of one picture, decoded."""
MAX_BODY = MAX_PLAIN + MAX_PICTURES * MAX_PICTURE * 4 // 3
"""Bytes of an answer with all its pictures in base64."""
MAX_CONTAINERS = 500_000
"""Objects and arrays in one answer: 16 MiB of `[[],[],…` would become 350 MiB in memory."""

_STEP = 1024 * 1024
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\\_-]+")  # slashes may come escaped
_LONG = 1024
"""A run of base64 letters this long is part of a picture and does not count as plain JSON."""


def contract(message: str, said: str | None = None) -> Fault:
    """The service broke the contract."""
    return Fault(ErrorClass.ML_CONTRACT, message, said)


async def unpacked(chunks: AsyncIterator[bytes], encoding: str, limit: int | None) -> AsyncIterator[bytes]:
    """The body's bytes after gzip or deflate, in pieces of at most 1 MiB, at most `limit` in all.

    Raises Fault ML_CONTRACT for another encoding, a broken one, or more bytes (a bomb never unfolds).
    """
    encoding = encoding.strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise contract(f"The ML service answered in an encoding that was not asked for ({encoding[:40]}).")
    packed = encoding not in ("", "identity")
    inflater = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, told by the header
    total = 0
    async for chunk in chunks:
        rest = chunk
        while rest:
            if packed:
                try:
                    piece = inflater.decompress(rest, _STEP)
                except zlib.error:
                    raise contract("The ML service's answer could not be unpacked.") from None
                rest = inflater.unconsumed_tail
            else:
                piece, rest = rest, b""
            total += len(piece)
            if limit is not None and total > limit:
                raise contract(f"The ML service's answer is larger than {limit} bytes.")
            if piece:
                yield piece
    if packed and not inflater.eof:
        raise contract("The ML service's answer ended in the middle of its packed data.")


class Meter:
    """Counts an answer while it arrives, so that a bomb is given up long before it has unfolded."""

    def __init__(self) -> None:
        self._total = self._plain = 0

    def add(self, piece: bytes) -> None:
        """Raises Fault ML_CONTRACT when the answer is too large. The first 16 MiB are free: they may be pictures."""
        self._total += len(piece)
        if self._total > MAX_PLAIN:
            self._plain += len(piece) - _pictured(piece)
        if self._plain > MAX_PLAIN or self._total > MAX_BODY:
            raise contract(f"The ML service's answer is larger than {MAX_PLAIN} bytes, its pictures aside.")


async def lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Split a body into its lines, each within an answer's limit; empty ones are left out, the last needs no end."""
    waiting, meter = bytearray(), Meter()
    async for piece in pieces:
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            waiting += piece[start:end]
            if waiting.strip():
                yield bytes(waiting)
            waiting, meter, start = bytearray(), Meter(), end + 1
        meter.add(piece[start:])
        waiting += piece[start:]
    if waiting.strip():
        yield bytes(waiting)


async def whole(pieces: AsyncIterator[bytes]) -> bytes:
    """All of a body, within an answer's limit."""
    read, meter = [], Meter()
    async for piece in pieces:
        meter.add(piece)
        read.append(piece)
    return b"".join(read)


def parse(raw: bytes) -> dict[str, object]:
    """A JSON object from measured bytes. Raises Fault ML_CONTRACT with what is wrong."""
    if len(raw) > MAX_PLAIN and len(raw) - _pictured(raw) > MAX_PLAIN:
        raise contract(f"The ML service's answer is larger than {MAX_PLAIN} bytes, its pictures aside.")
    if raw.count(b"{") + raw.count(b"[") > MAX_CONTAINERS:
        raise contract(f"The ML service's answer has more than {MAX_CONTAINERS} objects and arrays.")
    try:
        value = json.loads(raw.decode("utf-8-sig"), parse_constant=_refuse, object_pairs_hook=_once)
    except RecursionError:
        raise contract("The ML service's answer is nested too deeply.") from None
    except _NotFinite:
        raise contract("The ML service's answer holds a number that is not finite.") from None
    except ValueError:
        start = raw[:2000].decode("utf-8", "replace")
        raise contract("The ML service's answer is no JSON.", start) from None
    if not isinstance(value, dict):
        raise contract("The ML service's answer is no JSON object.", raw[:2000].decode("utf-8", "replace"))
    return value


def _pictured(piece: bytes) -> int:
    """How many bytes are base64: long runs, or the whole piece."""
    runs = (m.end() - m.start() for m in _BASE64.finditer(piece))
    return sum(run for run in runs if run >= _LONG or run == len(piece))


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object in which each key stands once: of two predictions nobody can say which was meant."""
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in made if names.count(name) > 1)
        raise contract(f"The ML service's answer has the key '{storable(twice, 100)}' twice in one object.")
    return made


class _NotFinite(Exception):
    pass


def _refuse(_constant: str) -> float:
    raise _NotFinite
