"""The wire between a worker and a network's process: a JSON head and raw numbers, over a socket. No pickle, nothing runs.

`remote` and `asked` are its two ends. Both belong to the service, but the one with the files may have been taken over by
one of them: lengths are bounded, and types and sizes are looked at before a byte is taken as a number.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LENGTHS = struct.Struct(">IQ")
_MOST_HEAD = 64 * 1024
MOST_BYTES = 2 * 1024**3
"""Of the numbers of one message."""
_TYPES = ("float16", "float32", "float64", "uint8", "int32", "int64")
_LONGEST = 100
"""Bytes of a socket's path that every system takes."""


class Garbled(ConnectionError):
    """What came is none of these messages."""


def send(end: socket.socket, head: dict[str, Any], numbers: NDArray[Any] | None = None) -> None:
    """One message. Raises OSError."""
    if numbers is not None:
        head = {**head, "dtype": numbers.dtype.name, "shape": numbers.shape}
    said = json.dumps(head, allow_nan=False).encode()
    end.sendall(_LENGTHS.pack(len(said), 0 if numbers is None else numbers.nbytes) + said)
    if numbers is not None and numbers.nbytes:
        end.sendall(np.ascontiguousarray(numbers).data.cast("B"))


def receive(end: socket.socket) -> tuple[dict[str, Any], NDArray[Any] | None]:
    """The next message. Raises OSError: ConnectionError at the end, Garbled when it is none."""
    head_length, body_length = _LENGTHS.unpack(_exactly(end, _LENGTHS.size))
    if head_length > _MOST_HEAD or body_length > MOST_BYTES:
        raise Garbled("a message is too long")
    try:
        head = json.loads(bytes(_exactly(end, head_length)))
        shape, kind = tuple(map(int, head.pop("shape", ()))), head.pop("dtype", None)
    except (ValueError, TypeError, AttributeError):
        raise Garbled("a message has no readable head") from None
    body = _exactly(end, body_length)
    if kind is None:
        return head, None
    if kind not in _TYPES or min(shape, default=0) < 0 or _bytes(shape, kind) != body_length:
        raise Garbled("the numbers of a message are not as many as it says")
    return head, np.frombuffer(body, np.dtype(kind)).reshape(shape)


def address(path: Path) -> str:
    """A socket's path, short enough to be one: beyond that, by way of its folder's descriptor (Linux)."""
    if len(os.fsencode(path)) <= _LONGEST:
        return str(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # held as long as this process lives
    return f"/proc/self/fd/{folder}/{path.name}"


def _bytes(shape: tuple[int, ...], kind: str) -> int:
    total = np.dtype(kind).itemsize
    for size in shape:
        total *= size
    return total


def _exactly(end: socket.socket, count: int) -> bytearray:
    got, at = bytearray(count), 0
    view = memoryview(got)
    while at < count:
        taken = end.recv_into(view[at:])
        if taken == 0:
            raise ConnectionError("the other end has gone")
        at += taken
    return got
