"""The ML service's `/stats`, asked at most every ten seconds by all replicas together, in the words of clients."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic.alias_generators import to_camel
from redis.exceptions import RedisError

from drishtiksha.bus import Bus

from .problems import Problem, unavailable
from .shapes.values import moment

_CACHE = "drishtiksha:server-status"
_CACHE_SECONDS = 10
_TIMEOUT = httpx.Timeout(5.0, connect=2.0)
_PATIENCE = 8.0
"""Seconds for the whole answer: one that drips never runs into the timeouts of its pieces."""
_MAX_BYTES = 1024 * 1024
_AS_RECEIVED = ("uptime_seconds", "models_info", "device_info", "system_info")
_DATA = frozenset({"configuration"})
"""Keys whose values are data and keep their own keys."""


class MLStatus:
    """Asks, remembers, translates. `url` None: no service is set."""

    def __init__(self, bus: Bus, url: str | None, api_key: str | None) -> None:
        self._bus = bus
        self._url = url
        self._headers = {"X-API-Key": api_key} if api_key else {}
        self._asking = asyncio.Lock()

    async def look(self) -> dict[str, Any]:
        """The status object. Raises Problem UNAVAILABLE (ml)."""
        if self._url is None:
            raise _away("No ML service is set.")
        async with self._asking:
            cached = await self._cached()
            if cached is None:
                cached = await self._ask(self._url)
                await self._remember(cached)
        return cached

    async def _ask(self, url: str) -> dict[str, Any]:
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(_PATIENCE),
                httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False, follow_redirects=False) as client,
                client.stream("GET", f"{url}/stats", headers=self._headers) as answer,
            ):
                raw = await _limited(answer)
                status = answer.status_code
        except (httpx.HTTPError, TimeoutError):
            raise _away("The ML service does not answer.") from None
        if status in (401, 403):
            raise _away("The ML service refuses our key.")
        stats = _object(raw) if status == 200 else None
        if stats is None:
            raise _away("The ML service gives no status.")
        taken = round((time.monotonic() - began) * 1000, 1)
        return as_clients_read(stats, taken, datetime.now(UTC))

    async def _cached(self) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(1.0):
                return _object(await self._bus.redis.get(_CACHE) or "")
        except (RedisError, OSError, TimeoutError):
            return None

    async def _remember(self, status: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(1.0):
                await self._bus.redis.set(_CACHE, json.dumps(status), ex=_CACHE_SECONDS)
        except (RedisError, OSError, TimeoutError):
            pass


def as_clients_read(stats: dict[str, Any], milliseconds: float, now: datetime) -> dict[str, Any]:
    """Keys in camelCase, the four oldest of them also as received, and how long the answer took."""
    camel = {to_camel(key): value if key in _DATA else _camel(value) for key, value in stats.items()}
    received = {key: stats[key] for key in _AS_RECEIVED if key in stats}
    return {
        **camel,
        **received,
        "responseTime": milliseconds,
        "responseTimeMs": milliseconds,
        "cachedAt": moment(now),
    }


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {to_camel(key): item if key in _DATA else _camel(item) for key, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value


async def _limited(answer: httpx.Response) -> bytes:
    held = bytearray()
    async for chunk in answer.aiter_bytes():
        held += chunk
        if len(held) > _MAX_BYTES:
            raise _away("The ML service's status is too long.")
    return bytes(held)


def _object(raw: bytes | str) -> dict[str, Any] | None:
    try:
        value = json.loads(raw, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _away(message: str) -> Problem:
    return unavailable("ml", 10, message)
