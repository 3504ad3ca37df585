"""The startup probe of a sidecar: asked over HTTP on the pod's own address, as a kubelet does. `pod` waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp


async def passes_startup(
    session: aiohttp.ClientSession, container: dict[str, Any], probe: dict[str, Any], address: str
) -> bool:
    """Ask until it answers 200-399 (True) or failed `failureThreshold` times in a row (False)."""
    period = float(probe.get("periodSeconds") or 10)
    limit = aiohttp.ClientTimeout(total=float(probe.get("timeoutSeconds") or 1))
    await asyncio.sleep(float(probe.get("initialDelaySeconds") or 0))
    for attempt in range(int(probe.get("failureThreshold") or 3)):
        if attempt:
            await asyncio.sleep(period)
        try:
            url = f"http://{address}:{_port(container, probe['httpGet']['port'])}{probe['httpGet'].get('path') or '/'}"
            async with session.get(url, timeout=limit, allow_redirects=False) as response:
                if response.status < 400:
                    return True
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):  # ValueError: a port with no such name
            continue
    return False


def _port(container: dict[str, Any], port: int | str) -> int:
    """The number of a port that may be given by its name."""
    for declared in container.get("ports") or []:
        if declared.get("name") == port:
            return int(declared["containerPort"])
    return int(port)
