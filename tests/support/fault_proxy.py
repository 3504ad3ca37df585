"""A TCP proxy that misbehaves on request: stands on a free loopback port in front of any server.

One thread with one loop, so tests with and without a loop use it alike. What it does is switched while connections are
open; what was swallowed stays lost, so that no stream goes on with a hole in it. `fault_wires` reads what passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")

_CHUNK = 64 * 1024
_HANG_UP = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST."""


class Wire(Protocol):
    """Reads one connection as it passes. Each call returns what goes on, and whether the connection is cut after it."""

    def client_said(self, data: bytes) -> tuple[bytes, bool]: ...

    def server_said(self, data: bytes) -> tuple[bytes, bool]: ...


@dataclass
class Way:
    """One direction. `swallow`: read and forget; `latency` in seconds per chunk; `cut_after`: bytes per connection."""

    swallow: bool = False
    latency: float = 0.0
    cut_after: int | None = None


class Link:
    """One client, and the connection to the server that was made for it."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.silent = False
        """Half-open, or bytes were swallowed: nothing passes any more, and nobody is told."""
        self.ended = asyncio.Event()

    def cut(self) -> None:
        """RST to both sides."""
        for side in (self.client, self.server):
            _hang_up(side)
        self.ended.set()


class FaultProxy:
    """`FaultProxy("127.0.0.1", 5432)` as a context manager; its address is `port`, or `instead_of(url)`."""

    def __init__(self, host: str, port: int, wire: Callable[[], Wire] | None = None) -> None:
        self.target = (host, port)
        self.wire = wire
        """Makes the reader of each new connection."""
        self.to_server, self.to_client = Way(), Way()
        self.accepted = 0
        """Connections so far, those that were reset at once included."""
        self.cuts = 0
        """Connections that were cut by a fault."""
        self.port = 0
        self._greeting = "serve"
        self._links: set[Link] = set()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)

    @classmethod
    def before(cls, url: str, wire: Callable[[], Wire] | None = None) -> FaultProxy:
        """A proxy in front of the server that a URL names."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        return cls(parts.hostname, parts.port, wire)

    def instead_of(self, url: str) -> str:
        """The URL with the proxy's address in the place of the server's."""
        parts = urlsplit(url)
        account = parts.netloc.rpartition("@")[0]
        here = f"127.0.0.1:{self.port}"
        return urlunsplit(parts._replace(netloc=f"{account}@{here}" if account else here))

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # -- what it may do -----------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Pass everything, also to those who come from now on. What was swallowed stays lost."""

        def change() -> None:
            self.to_server, self.to_client, self._greeting = Way(), Way(), "serve"

        self._do(change)
        self._wait(self._listen())

    def refuse(self) -> None:
        """The port is closed, and every connection is cut: nobody listens there."""
        self._wait(self._unlisten())
        self.cut_all()

    def reset(self) -> None:
        """Whoever connects gets RST; open connections are cut."""
        self._do(lambda: setattr(self, "_greeting", "reset"))
        self.cut_all()

    def blackhole(self) -> None:
        """Connections are taken, also new ones, and everything is swallowed both ways."""

        def change() -> None:
            self._greeting = "swallow"
            self.to_server.swallow = self.to_client.swallow = True

        self._do(change)

    def slow(self, seconds: float) -> None:
        """Every chunk is late, both ways."""
        self._do(lambda: [setattr(way, "latency", seconds) for way in (self.to_server, self.to_client)])

    def half_open(self, gone: str) -> None:
        """One side (`server` or `client`) of every open connection vanishes, and the other is not told."""

        def change() -> None:
            for link in self._links:
                link.silent = True
                _hang_up(link.server if gone == "server" else link.client)

        self._do(change)

    def cut_all(self, which: Callable[[], bool] = lambda: True) -> None:
        """RST to both sides of every open connection that is picked."""

        def change() -> None:
            for link in list(self._links):
                if which():
                    self._cut(link)

        self._do(change)

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return self._do(lambda: len(self._links))

    @property
    def silent(self) -> int:
        """Open connections that lost bytes or a side, or were never passed on."""
        return self._do(lambda: sum(link.silent for link in self._links))

    # -- how it does it -----------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=_CHUNK)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _unlisten(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _close(self) -> None:
        await self._unlisten()
        for link in list(self._links):
            link.cut()
        while self._links:
            await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._greeting == "reset":
            self.cuts += 1
            _hang_up(writer)
            return
        link = Link(writer)
        self._links.add(link)
        try:
            if self._greeting == "swallow":
                link.silent = True
                await self._until_gone(link, reader)
            else:
                await self._pass_on(link, reader)
        finally:
            self._links.discard(link)
            link.cut()

    async def _until_gone(self, link: Link, reader: asyncio.StreamReader) -> None:
        """Read and forget, until this side leaves or the connection is cut."""
        with contextlib.suppress(OSError):
            while not link.ended.is_set() and await reader.read(_CHUNK):
                pass

    async def _pass_on(self, link: Link, from_client: asyncio.StreamReader) -> None:
        try:
            from_server, link.server = await asyncio.open_connection(*self.target, limit=_CHUNK)
        except OSError:
            self._cut(link)
            return
        wire = self.wire() if self.wire is not None else None
        pumps = asyncio.gather(
            self._pump(link, from_client, link.server, "to_server", wire and wire.client_said),
            self._pump(link, from_server, link.client, "to_client", wire and wire.server_said),
        )
        ended = asyncio.create_task(link.ended.wait())
        await asyncio.wait([pumps, ended], return_when=asyncio.FIRST_COMPLETED)
        for side in (link.client, link.server):  # after a cut they are closed already
            side.close()
        for task in (pumps, ended):
            task.cancel()
        await asyncio.gather(pumps, ended, return_exceptions=True)

    async def _pump(
        self,
        link: Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        name: str,
        read: Callable[[bytes], tuple[bytes, bool]] | None,
    ) -> None:
        """Carry one direction until its end, which is passed on too; a silent link's end is nobody's business."""
        passed = 0
        try:
            while data := await reader.read(_CHUNK):
                way: Way = getattr(self, name)
                if way.latency:
                    await asyncio.sleep(way.latency)
                if way.swallow or link.silent:
                    link.silent = True
                    continue
                over = False
                if read is not None:
                    data, over = read(data)
                if way.cut_after is not None and passed + len(data) >= way.cut_after:
                    data, over = data[: max(0, way.cut_after - passed)], True
                passed += len(data)
                if data:
                    writer.write(data)
                    await writer.drain()
                if over:
                    await _flushed(writer)
                    self._cut(link)
                    return
            if not link.silent:
                writer.write_eof()
        except OSError:
            if not link.silent:
                link.cut()

    def _cut(self, link: Link) -> None:
        self.cuts += 1
        link.cut()

    def _do(self, change: Callable[[], T]) -> T:
        async def work() -> T:
            return change()

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(10)

    def _wait(self, work) -> None:  # type: ignore[no-untyped-def]
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


def _hang_up(side: asyncio.StreamWriter | None) -> None:
    if side is None or side.transport.is_closing():
        return
    raw = side.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HANG_UP)
    side.transport.abort()


async def _flushed(writer: asyncio.StreamWriter) -> None:
    """All bytes have been handed to the kernel: a reset would throw the others away."""
    transport = writer.transport
    while not transport.is_closing() and transport.get_write_buffer_size():
        await asyncio.sleep(0.001)
