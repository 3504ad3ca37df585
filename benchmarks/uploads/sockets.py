"""Many sockets: what an idle one holds, and what live events cost when all are listening.

Each user has twenty sockets, the most that one may have, and one media; the events are progress of an ML service, published
on Redis at an even pace and told to all sockets of their owner.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Any

import aiohttp
import httpx
import psutil
import redis
from api_process import ApiProcess

from uploads import stage

PER_USER = 20
_SILENCE = 3.0
"""Seconds without an event after which none is on its way."""


class Ears:
    """All sockets, and what they heard: how many events, and how late each was."""

    def __init__(self, of: ApiProcess) -> None:
        self._url = f"{of.url}/socket.io/?EIO=4&transport=websocket"
        self._tasks: list[asyncio.Task[None]] = []
        self.late: list[float] = []

    async def open(self, session: aiohttp.ClientSession, token: str) -> None:
        """One socket, connected."""
        there = await session.ws_connect(self._url, max_msg_size=0)
        await there.receive_str()
        await there.send_str("40" + json.dumps({"token": token}))
        answer = await there.receive_str()
        assert answer.startswith("40"), answer
        self._tasks.append(asyncio.create_task(self._listen(there)))

    async def _listen(self, there: aiohttp.ClientWebSocketResponse) -> None:
        async for message in there:
            if message.data == "2":
                await there.send_str("3")
            elif str(message.data).startswith("42"):
                self.late.append(time.time() - json.loads(message.data[2:])[1]["data"]["sent"])

    async def quiet(self) -> None:
        """Until nobody has heard anything for a while."""
        heard = -1
        while heard != len(self.late):
            heard = len(self.late)
            await asyncio.sleep(_SILENCE)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def people(of: ApiProcess, picture: bytes, many: int) -> list[tuple[str, str]]:
    """So many users, each with one media: token and id."""
    found = []
    for _ in range(many):
        token = stage.token(of)
        headers, files = {"Authorization": f"Bearer {token}"}, {"file": ("a.png", picture)}
        answer = httpx.post(f"{of.url}/api/v1/media", headers=headers, files=files, timeout=120)
        found.append((token, answer.json()["data"]["id"]))
    return found


async def measure(of: ApiProcess, users: list[tuple[str, str]], rate: float, seconds: float) -> dict[str, Any]:
    """Open all sockets, let them be idle, then tell `rate` events a second for so long."""
    before, served = of.memory(), psutil.Process(of.pid)
    ears, clock = Ears(of), asyncio.get_running_loop().time
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        for token, _ in users:
            await asyncio.gather(*(ears.open(session, token) for _ in range(PER_USER)))
        await asyncio.sleep(2)
        idle, busy_before = of.memory(), served.cpu_times()
        of.forget_peak()
        bell, began, told = redis.Redis.from_url(of.redis_url), clock(), 0
        while clock() < began + seconds:
            data = {"progress": told, "total": None, "modelName": "M-V1", "sent": time.time()}
            said = {
                "event": "FRAME_ANALYSIS_PROGRESS",
                "media_id": users[told % len(users)][1],
                "message": "",
                "data": data,
            }
            bell.publish("media-progress-events", json.dumps(said))
            told += 1
            await asyncio.sleep(max(0.0, began + told / rate - clock()))
        took, busy = clock() - began, served.cpu_times()
        await ears.quiet()
        await ears.close()
        bell.close()
    return {
        "sockets": len(users) * PER_USER,
        "users": len(users),
        "before_mib": before,
        "idle_mib": idle,
        "kib_per_socket": (idle - before) * 1024 / (len(users) * PER_USER),
        "events_per_second": told / took,
        "told": told,
        "deliveries": len(ears.late),
        "lost": told * PER_USER - len(ears.late),
        "late_p50_seconds": statistics.median(ears.late),
        "late_p99_seconds": statistics.quantiles(ears.late, n=100)[98],
        "cpu_share": (busy.user + busy.system - busy_before.user - busy_before.system) / took,
        "peak_mib": of.peak(),
    }
