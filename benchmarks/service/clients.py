"""Clients that ask a service for analyses, each the next one when it has its answer; what they got, and how late."""

from __future__ import annotations

import asyncio
import itertools
import math
import statistics
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from .stage import Service

PAUSE = 0.25
"""Seconds that a client waits after a 503; shorter than the Retry-After, so that a full house stays full."""
TIMEOUT = 120.0


@dataclass(frozen=True)
class Media:
    """A file and the detectors that are asked for it in turn."""

    name: str
    mimetype: str
    data: bytes
    models: Sequence[str]

    def fresh(self, number: int) -> bytes:
        """The same picture or film as a file that was never seen: detectors of faces remember films by their bytes."""
        if self.mimetype.startswith("video/mp4"):
            return self.data + struct.pack(">I4sQ", 16, b"free", number)
        return self.data + struct.pack(">Q", number)


@dataclass
class _Tally:
    late: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    last: float = 0.0
    unwanted: str = ""
    """What was said instead of an answer, the first time."""


def measure(of: Service, media: Media, clients: int, seconds: float) -> dict[str, Any]:
    """Load for so many seconds and until the last answer is there. Raises RuntimeError when nothing was answered."""
    return asyncio.run(_measure(of, media, clients, seconds))


async def _measure(of: Service, media: Media, clients: int, seconds: float) -> dict[str, Any]:
    tally, numbers = _Tally(), itertools.count(time.time_ns())
    turns = itertools.cycle(media.models)
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=of.url, timeout=TIMEOUT, limits=limits, trust_env=False) as client:
        cpu, ours, began = of.cpu(), time.process_time(), time.perf_counter()
        await asyncio.gather(*(_ask(client, media, turns, numbers, began + seconds, tally) for _ in range(clients)))
        cpu, ours, took = of.cpu() - cpu, time.process_time() - ours, max(tally.last, began + 1e-9) - began
    answered = len(tally.late)
    if not answered:
        raise RuntimeError(f"{media.name}, {clients} clients: not one answer; instead {tally.unwanted or 'nothing'}")
    return {
        "file": media.name,
        "clients": clients,
        "seconds": round(took, 2),
        "answered": answered,
        "refused_503": tally.statuses[503],
        "other": tally.broken + sum(n for status, n in tally.statuses.items() if status not in (200, 503)),
        "per_second": round(answered / took, 2),
        "p50_s": round(statistics.median(tally.late), 3),
        "p95_s": round(percentile(tally.late, 0.95), 3),
        "cpu_s": round(cpu, 2),
        "cpu_s_per_answer": round(cpu / answered, 3),
        "clients_cpu_s": round(ours, 2),
        "memory_mib": round(of.memory_mib()),
    }


async def _ask(
    client: httpx.AsyncClient, media: Media, turns: Iterator[str], numbers: Iterator[int], until: float, tally: _Tally
) -> None:
    while time.perf_counter() < until:
        began = time.perf_counter()
        files = {"media": (media.name, media.fresh(next(numbers)), media.mimetype)}
        try:
            answer = await client.post("/analyze", files=files, data={"model": next(turns)})
        except httpx.HTTPError as error:
            tally.broken += 1
            tally.unwanted = tally.unwanted or repr(error)
            await asyncio.sleep(PAUSE)
            continue
        tally.statuses[answer.status_code] += 1
        if answer.status_code == 200:
            tally.last = time.perf_counter()
            tally.late.append(tally.last - began)
        else:
            tally.unwanted = tally.unwanted or f"{answer.status_code} {answer.text[:300]}"
            await asyncio.sleep(PAUSE)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not pass (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
