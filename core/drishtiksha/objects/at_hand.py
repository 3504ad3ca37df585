"""An object as a file of this machine, for programs that need one: the prober's child reads a file, not a stream.

A folder's object is one already. Of any other store a copy is made, without a name, so that even a killed process
leaves none; and as it comes back, its hash is compared with what was stored: an upload is accepted on what the store
gives, not on what it was given.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from drishtiksha.domain.errors import Unavailable

from . import ObjectMissing, Objects, Stored
from .local import LocalObjects


@asynccontextmanager
async def at_hand(objects: Objects, key: str, stored: Stored) -> AsyncIterator[Path]:
    """The path of a file with the object's bytes, for the time of the block.

    Raises Unavailable when they cannot be read, when there is no room for them, or when they are not those of `stored`.
    """
    if isinstance(objects, LocalObjects):
        yield objects.path(key)
        return
    try:
        copy = await asyncio.to_thread(tempfile.TemporaryFile)
    except OSError as error:
        raise _no_room() from error
    with copy:
        await _fill(copy, objects, key, stored)
        yield Path(f"/proc/{os.getpid()}/fd/{copy.fileno()}")


async def _fill(copy: IO[bytes], objects: Objects, key: str, stored: Stored) -> None:
    digest = hashlib.sha256()
    try:
        async for block in objects.get(key):
            await asyncio.to_thread(copy.write, block)
            digest.update(block)
        await asyncio.to_thread(copy.flush)
    except ObjectMissing as error:
        raise Unavailable("objects", "The object store lost what it was given.") from error
    except OSError as error:
        raise _no_room() from error
    if digest.hexdigest() != stored.sha256:
        raise Unavailable("objects", "The object store did not keep the bytes as they were.")


def _no_room() -> Unavailable:
    return Unavailable("objects", "There is no room to look at the file.")
