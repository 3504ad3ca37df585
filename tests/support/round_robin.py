"""A TCP relay before several servers, as a load balancer is: each connection goes to the next server that takes it.

One thread with one loop, like `fault_proxy`. `sticky`: all connections go to the same server while it takes them, as
those of one client do where a balancer keeps her at her server. It reads nothing of what passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Self

_CHUNK = 64 * 1024


class RoundRobin:
    """`RoundRobin([port, port])` as a context manager; its address is `url`."""

    def __init__(self, servers: Sequence[int], *, sticky: bool = False) -> None:
        self.servers = list(servers)
        self.sticky = sticky
        self.served: Counter[int] = Counter()
        """Connections by the port of the server that took them."""
        self.newest = 0
        """The port of the server that took the newest connection."""
        self.port = 0
        self._next = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="round robin", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _open(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_CHUNK)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            found = await self._taken()
            if found is not None:
                await _both_ways(reader, writer, *found)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _taken(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the next server that takes one; None when none does."""
        for step in range(len(self.servers)):
            at = (self._next + step) % len(self.servers)
            with contextlib.suppress(OSError):
                found = await asyncio.open_connection("127.0.0.1", self.servers[at], limit=_CHUNK)
                self._next = at if self.sticky else at + 1
                self.newest = self.servers[at]
                self.served[self.newest] += 1
                return found
        return None


async def _both_ways(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
    other_reader: asyncio.StreamReader, other_writer: asyncio.StreamWriter,
) -> None:  # fmt: skip
    """Until one side ends: then both do, as a balancer hangs up on a client whose server has died."""
    ways = [asyncio.create_task(_pump(reader, other_writer)), asyncio.create_task(_pump(other_reader, writer))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        other_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
