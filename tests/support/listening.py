"""The api of a test on a real port with its relay at work, and a reader of its event streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from served import PATIENCE, Served, served


@asynccontextmanager
async def listening(world: Any) -> AsyncIterator[Served]:
    """For the time of the block; begins when the relay hears Redis."""
    async with world.api.background(), served(world.api.asgi) as found:
        await until(lambda: world.api.relay._redis_is_there)
        yield found


async def until(look: Callable[[], Any]) -> None:
    """Until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not look():
            await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Block:
    """One block of a stream: a message, or a comment (then all but `comment` are None)."""

    id: int | None
    event: str | None
    data: Any
    comment: str | None


class Stream:
    """An open stream, block by block."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._blocks = self._read()

    async def _read(self) -> AsyncIterator[Block]:
        said: dict[str, str] = {}
        async for line in self.answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                said[name] = value
            elif "retry" not in said:
                number = int(said["id"]) if "id" in said else None
                data = json.loads(said["data"]) if "data" in said else None
                yield Block(number, said.get("event"), data, said.get(""))
                said = {}
            else:
                said = {}

    async def next(self) -> Block | None:
        """The next block; None when the server has ended the stream."""
        async with asyncio.timeout(PATIENCE):
            return await anext(self._blocks, None)

    async def take(self, count: int) -> list[Block]:
        """So many blocks, comments left out."""
        taken: list[Block] = []
        while len(taken) < count:
            one = await self.next()
            assert one is not None, f"the stream has ended after {taken}"
            if one.comment is None:
                taken.append(one)
        return taken


@asynccontextmanager
async def stream(
    served_at: Served, headers: dict[str, str], media_id: object, query: str = "", **more: str
) -> AsyncIterator[Stream]:
    """An event stream of a media for the time of the block, over a connection of its own."""
    url = f"http://127.0.0.1:{served_at.port}/api/v1/media/{media_id}/events{query}"
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        accept = {"Accept": "text/event-stream", **headers, **more}
        async with client.stream("GET", url, headers=accept) as answer:
            yield Stream(answer)
