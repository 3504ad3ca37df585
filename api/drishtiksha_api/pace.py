"""A minimum rate for bodies: a sender that stalls or drips would hold a connection, and memory, for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from .problems import invalid

READ_TIMEOUT = 30.0
"""Seconds that a client may send nothing in the middle of a body."""
GRACE_SECONDS, MIN_RATE = 20.0, 2048
"""After so many seconds of waiting for a body it must have come with MIN_RATE bytes per second on the average."""


async def paced(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body, as long as its sender keeps up. Raises Problem VALIDATION with TOO_SLOW.

    Only the time that we wait counts: a slow disk of ours is no fault of the sender's.
    """
    loop = asyncio.get_running_loop()
    waited, seen = 0.0, 0
    iterator = body.__aiter__()
    while True:
        began = loop.time()
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                chunk = await anext(iterator)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise invalid("body", "The body stalled.", code="TOO_SLOW") from None
        seen += len(chunk)
        waited += loop.time() - began
        if waited > GRACE_SECONDS and seen < waited * MIN_RATE:
            raise invalid("body", "The body comes too slowly.", code="TOO_SLOW")
        yield chunk
