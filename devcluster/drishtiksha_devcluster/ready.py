"""Is a process ready? One question per kind of address, asked without a client library.

Used by the supervisor (process specs name the address) and by the throwaway servers of the tests.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "redis": 6379}
_STARTUP = b"\x00\x03\x00\x00user\x00probe\x00database\x00postgres\x00\x00"
"""PostgreSQL's StartupMessage, protocol 3.0, for a user that need not exist."""


async def is_ready(address: str, timeout: float = 2.0) -> bool:
    """Whether the server at this address would take work now. Never raises for what the network does.

    http(s): any 200. tcp: it accepts. postgresql: it asks for a password instead of saying that it is starting up.
    redis: it answers PING, or asks for a password, and is not loading.
    """
    try:
        async with asyncio.timeout(timeout):
            return await _ask(address)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
        return False


async def wait_ready(address: str, deadline: float) -> bool:
    """Ask again and again until it is ready or `deadline` seconds have passed."""
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + deadline, 0.03
    while not await is_ready(address):
        if loop.time() + pause > end:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.5)
    return True


async def _ask(address: str) -> bool:
    parts = urlsplit(address)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    context = None
    if parts.scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one reads all of the system's authorities first
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
    try:
        if parts.scheme == "tcp":
            return True
        if parts.scheme == "postgresql":
            writer.write(struct.pack("!I", len(_STARTUP) + 4) + _STARTUP)
            return await reader.readexactly(1) == b"R"
        if parts.scheme == "redis":
            writer.write(b"PING\r\n")
            return (await reader.readline()).startswith((b"+PONG", b"-NOAUTH"))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        return (await reader.readline()).split(b" ")[1:2] == [b"200"]
    finally:
        writer.close()
