"""How soon the owner sees something: from the 202 of an upload to the events at a Socket.IO client of the same person."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Any

import socketio

from .cluster import Unfinished
from .through import Person

MOMENTS = ("RUN_QUEUED", "ANALYSIS_QUEUED", "ANALYSIS_STARTED", "RUN_COMPLETED")
"""The first of each is timed."""
PAUSE = 2.5
"""Seconds between a run's end and the next upload: the platform is idle again."""


async def measure(base_url: str, person: Person, content: bytes, uploads: int) -> dict[str, Any]:
    """Upload one after the other, alone. Returns p50 and the largest, in seconds after the 202, of the first event at
    all (0: it was there before the answer) and of the first of each of MOMENTS. Raises Unfinished."""
    heard: list[tuple[float, str, str]] = []
    ended = asyncio.Event()
    client = socketio.AsyncClient(reconnection=False)

    @client.on("progress_update")
    async def told(payload: dict[str, Any]) -> None:
        heard.append((time.perf_counter(), payload["mediaId"], payload["event"]))
        if payload["event"] == "RUN_COMPLETED":
            ended.set()

    await client.connect(base_url, auth={"token": person.token}, wait_timeout=10)
    delays: dict[str, list[float]] = {name: [] for name in ("first", *MOMENTS)}
    try:
        for _ in range(uploads):
            ended.clear()
            media = await person.upload(content)
            accepted = time.perf_counter()
            try:
                await asyncio.wait_for(ended.wait(), 60)
            except TimeoutError:
                raise Unfinished(f"no RUN_COMPLETED of {media} within 60 s; heard: {heard[-5:]}") from None
            after = [(max(0.0, at - accepted), event) for at, about, event in heard if about == media]
            delays["first"].append(min(at for at, _ in after))
            for name in MOMENTS:
                delays[name].append(min(at for at, event in after if event == name))
            await asyncio.sleep(PAUSE)
    finally:
        await client.disconnect()
    return {
        name: {"p50": round(median(values), 3), "max": round(max(values), 3)}
        for name, values in delays.items()
        if values
    } | {"uploads": uploads}
