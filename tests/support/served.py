"""Applications on real sockets in this process, served as `drishtiksha-api` serves its own; and bare clients for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from drishtiksha_api import main

PATIENCE = 30.0
"""Seconds that a busy machine may take for anything that a test waits for."""


@dataclass(frozen=True)
class Served:
    """An application, and its address."""

    server: uvicorn.Server
    port: int

    async def connect(self) -> Bare:
        """A connection of a client that says only what it is told to."""
        return Bare(*await asyncio.open_connection("127.0.0.1", self.port))

    async def deserted(self) -> None:
        """Until the server has no connection left."""
        async with asyncio.timeout(PATIENCE):
            while self.server.server_state.connections:
                await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Bare:
    """One connection of a client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> bool:
        """False when nobody is there any more."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            return False
        return not self.writer.is_closing()

    async def drip(self, data: bytes, pause: float) -> None:
        """One byte after the other, until all are said or the server hangs up."""
        for byte in data:
            if self.reader.at_eof() or not await self.say(bytes([byte])):
                return
            await asyncio.sleep(pause)

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer, which must have a length."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            fields = [line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2]]
            length = next(int(value) for name, value in fields if name == b"content-length")
            return int(head.split()[1]), await self.reader.readexactly(length)

    async def all(self) -> bytes:
        """Everything until the server hangs up."""
        said = bytearray()
        async with asyncio.timeout(PATIENCE):
            try:
                while chunk := await self.reader.read(65536):
                    said += chunk
            except ConnectionError:  # hung up on with something of ours unread
                pass
        return bytes(said)

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[Served]:
    """The application on a free port for the time of the block."""
    server = main._server(app, "127.0.0.1", 0, 1)
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(PATIENCE):
            while not server.started:
                await asyncio.sleep(0.01)
        yield Served(server, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await task
