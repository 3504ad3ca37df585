"""The ML service's `/stats`, asked at most every ten seconds by all replicas together, in the words of clients.

Each look that really asked is written down (`database.health`); `healthwatch` looks when nobody else does.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import structlog
from pydantic.alias_generators import to_camel
from redis.exceptions import RedisError

from drishtiksha.bus import Bus
from drishtiksha.database.health import Health, HealthHistory, HealthLook
from drishtiksha.domain.errors import Unavailable

from .problems import Problem, unavailable
from .shapes.values import moment

log = structlog.get_logger()

_CACHE = "drishtiksha:server-status"
_CACHE_SECONDS = 10
_TIMEOUT = httpx.Timeout(5.0, connect=2.0)
_PATIENCE = 8.0
"""Seconds for the whole answer: one that drips never runs into the timeouts of its pieces."""
_MAX_BYTES = 1024 * 1024
_MAX_KEPT = 256 * 1024
"""Bytes of a status that the history keeps whole; of a longer one it keeps only that there was one."""
_MAX_DEPTH = 64
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_WELL = frozenset({"ok", "healthy", "up", "running", "ready", "online", "active", "alive", "available"})
"""What a service that is well says of itself; one that says nothing is taken to be well."""
_AS_RECEIVED = ("uptime_seconds", "models_info", "device_info", "system_info")
_DATA = frozenset({"configuration"})
"""Keys whose values are data and keep their own keys."""


class MLStatus:
    """Asks, remembers, translates. `url` None: no service is set. `history` None: nothing is written down."""

    def __init__(self, bus: Bus, url: str | None, api_key: str | None, history: HealthHistory | None = None) -> None:
        self._bus = bus
        self._url = url
        self._headers = {"X-API-Key": api_key} if api_key else {}
        self._history = history
        self._asking = asyncio.Lock()
        self._failed_at = float("-inf")
        self._failure = ""

    @property
    def is_set(self) -> bool:
        """Whether there is a service to ask."""
        return self._url is not None

    async def look(self) -> dict[str, Any]:
        """The status object. Raises Problem UNAVAILABLE (ml)."""
        if self._url is None:
            raise _away("No ML service is set.")
        came = time.monotonic()
        async with self._asking:
            if self._failed_at > came:  # while we waited for our turn: to ask once more would only make a queue
                raise _away(self._failure)
            cached = await self._cached()
            if cached is None:
                cached = await self._ask(self._url)
                await self._remember(cached)
        return cached

    async def _ask(self, url: str) -> dict[str, Any]:
        try:
            stats, size, milliseconds = await self._fetch(url)
        except Problem as away:
            self._failed_at, self._failure = time.monotonic(), away.message
            await self._note(HealthLook(Health.UNHEALTHY, error=away.message))
            raise
        await self._note(assess(stats, milliseconds, kept=size <= _MAX_KEPT))
        return as_clients_read(stats, milliseconds, datetime.now(UTC))

    async def _note(self, look: HealthLook) -> None:
        try:
            if self._history is not None:
                await self._history.note(look)
        except Unavailable as error:  # who asked for the status gets it all the same
            log.warning("a look at the ML service was not written down", error=str(error))

    async def _fetch(self, url: str) -> tuple[dict[str, Any], int, float]:
        """The status, its bytes, the milliseconds it took. Raises Problem UNAVAILABLE (ml)."""
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
        return stats, len(raw), round((time.monotonic() - began) * 1000, 1)

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


def assess(stats: dict[str, Any], milliseconds: float, *, kept: bool = True) -> HealthLook:
    """What a status says about the health of its service; `kept`: it is short enough for the history."""
    word, listed, version = stats.get("status"), stats.get("models_info"), stats.get("version")
    error = None
    if isinstance(word, str) and word.strip().lower() not in _WELL:
        error = "The ML service does not say that it is well."
    elif isinstance(listed, list) and not any(isinstance(m, dict) and m.get("loaded") is True for m in listed):
        error = "The ML service has no model loaded."
    return HealthLook(
        Health.DEGRADED if error else Health.HEALTHY,
        milliseconds,
        version[:200] if isinstance(version, str) else None,
        error,
        stats if kept else None,
    )


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
        value = _plain(json.loads(raw, parse_constant=lambda _: None))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _plain(value: Any, depth: int = 0) -> Any:
    """The value with what can be neither stored nor sent left out: NUL, lone surrogates, infinity. Raises ValueError."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return _UNSTORABLE.sub("", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_UNSTORABLE.sub("", key): _plain(item, depth + 1) for key, item in value.items()}
    return [_plain(item, depth + 1) for item in value] if isinstance(value, list) else value


def _away(message: str) -> Problem:
    return unavailable("ml", 10, message)
