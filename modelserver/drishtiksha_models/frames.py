"""The wire between the service and its workers: JSON messages, each after its length in four bytes, over pipes."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import IO, Any

_LENGTH = struct.Struct(">I")
MAX_MESSAGE = 256 * 1024 * 1024
"""Bytes of one message: sixteen pictures of four MiB in base64, and room."""


def pack(message: dict[str, Any]) -> bytes:
    """One message as bytes. Raises ValueError when a number is not finite."""
    body = json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


def read(stream: IO[bytes]) -> dict[str, Any] | None:
    """The next message of a blocking stream; None at its end."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    body = stream.read(_LENGTH.unpack(head)[0])
    message: dict[str, Any] = json.loads(body)
    return message


async def receive(stream: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next message of an asyncio stream; None at its end or when it cannot be one of ours."""
    try:
        size = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))[0]
        if size > MAX_MESSAGE:
            return None
        message: dict[str, Any] = json.loads(await stream.readexactly(size))
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        return None
    return message
