"""Ready means: it would take work now. Anything else, and any nonsense, is simply not ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drishtiksha_devcluster.ports import free_port
from drishtiksha_devcluster.ready import is_ready, wait_ready


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("scheme", "answer", "ready"),
    [
        ("http", b"HTTP/1.1 200 OK\r\n\r\n", True),
        ("http", b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        ("http", b"HTTP/1.1 302 Found\r\n\r\n", False),
        ("http", b"nonsense\r\n", False),
        ("http", b"", False),
        ("https", b"this is no TLS\r\n", False),
        ("postgresql", b"R\x00\x00\x00\x17", True),
        ("postgresql", b"E\x00\x00\x00\x17 the database system is starting up", False),
        ("postgresql", b"", False),
        ("redis", b"+PONG\r\n", True),
        ("redis", b"-NOAUTH Authentication required.\r\n", True),
        ("redis", b"-LOADING Valkey is loading the dataset in memory\r\n", False),
        ("tcp", b"", True),
    ],
)
async def test_an_answer_is_read_as_its_protocol_means_it(scheme: str, answer: bytes, ready: bool) -> None:
    async with answering(answer) as port:
        assert await is_ready(f"{scheme}://127.0.0.1:{port}") is ready


@pytest.mark.parametrize("scheme", ["http", "https", "tcp", "postgresql", "redis"])
async def test_nobody_there_is_not_ready(scheme: str) -> None:
    assert await is_ready(f"{scheme}://127.0.0.1:{free_port()}") is False


async def test_a_server_that_never_answers_is_not_waited_for_longer_than_told() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await asyncio.wait_for(is_ready(f"http://127.0.0.1:{port}", timeout=0.2), 10) is False


async def test_waiting_ends_with_readiness_or_with_the_deadline() -> None:
    port = free_port()
    assert await wait_ready(f"tcp://127.0.0.1:{port}", 0.2) is False

    async def noop(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    servers: list[asyncio.Server] = []

    async def serve() -> None:
        await asyncio.sleep(0.2)
        servers.append(await asyncio.start_server(noop, "127.0.0.1", port))

    starting = asyncio.create_task(serve())
    assert await wait_ready(f"tcp://127.0.0.1:{port}", 10) is True
    await starting
    servers[0].close()
