"""Reads that need no login, as many as one core serves: the api's health, and bytes by their signed link.

The api is kept on one core and the asking on the others. Beside the requests per second stand those per second of the
api's own processor time, which other work on the machine does not change.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import httpx
import psutil
from api_process import ApiProcess

_CLIENTS = 8


async def _ask(port: int, path: str, until: float) -> int:
    """One client on one connection that asks again as soon as it is answered; how often."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request, done = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(), 0
    while time.perf_counter() < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head[:100]
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        await reader.readexactly(int(fields[b"content-length"]))
        done += 1
    writer.close()
    return done


async def _many(port: int, path: str, seconds: float) -> int:
    until = time.perf_counter() + seconds
    return sum(await asyncio.gather(*(_ask(port, path, until) for _ in range(_CLIENTS))))


def measure(of: ApiProcess, token: str, picture: bytes, seconds: float) -> list[dict[str, Any]]:
    """Requests per second of one core, by what is read."""
    files, headers = {"file": ("a.png", picture)}, {"Authorization": f"Bearer {token}"}
    uploaded = httpx.post(f"{of.url}/api/v1/media", files=files, headers=headers, timeout=120).json()["data"]
    paths = {
        "health": "/api/health",
        f"a picture of {len(picture)} bytes by its link": "/api/v1" + uploaded["url"].partition("/api/v1")[2],
    }
    served, mine = psutil.Process(of.pid), psutil.Process()
    cores = mine.cpu_affinity()
    served.cpu_affinity(cores[:1])
    mine.cpu_affinity(cores[1:] or cores)
    found = []
    try:
        for name, path in paths.items():
            before, began = served.cpu_times(), time.perf_counter()
            done = asyncio.run(_many(of.port, path, seconds))
            took, after = time.perf_counter() - began, served.cpu_times()
            busy = after.user + after.system - before.user - before.system
            found.append(
                {
                    "what": name,
                    "requests": done,
                    "per_second": done / took,
                    "per_cpu_second": done / busy,
                    "clients": _CLIENTS,
                }
            )
    finally:
        served.cpu_affinity(list(range(os.cpu_count() or 1)))
        mine.cpu_affinity(cores)
    return found
