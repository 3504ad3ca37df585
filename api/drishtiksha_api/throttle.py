"""How often something may be tried: counted in Redis for all replicas together; in this process while Redis is away.

Never unlimited. Who tried stands in the keys only as a keyed hash: Redis learns no address and no e-mail.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from drishtiksha.bus import Bus

log = structlog.get_logger()

_PATIENCE = 3.0
"""Seconds that Redis may take for an answer."""
_SILENCE = 5.0
"""Seconds that a Redis that failed is left alone."""

T = TypeVar("T")


class Throttle:
    """`amount` tries in any `seconds` (a moving window) for each `who`. `key`: a secret for the hash of names."""

    def __init__(self, bus: Bus, key: bytes, *, amount: int, seconds: int) -> None:
        self._item = RateLimitItemPerSecond(amount, seconds, namespace="tries")
        self._key = key
        pool = bus.redis.connection_pool
        shared = RedisStorage(
            "async+redis://", implementation="redispy", key_prefix="drishtiksha", **{"connection_pool": pool}  # type: ignore[arg-type]
        )  # fmt: skip
        self._shared = MovingWindowRateLimiter(shared)
        self._alone = MovingWindowRateLimiter(MemoryStorage())
        self._alone_until = 0.0

    async def take(self, *who: str) -> int | None:
        """Count one try. None: it may go ahead; else the seconds after which the next one may."""
        name = self._name(who)
        return await self._somewhere(lambda limiter: self._take(limiter, name))

    async def forgive(self, *who: str) -> None:
        """Forget all tries: the last one was right."""
        name = self._name(who)
        await self._alone.clear(self._item, name)
        await self._somewhere(lambda limiter: limiter.clear(self._item, name))

    async def _take(self, limiter: MovingWindowRateLimiter, name: str) -> int | None:
        if await limiter.hit(self._item, name):
            return None
        window = await limiter.get_window_stats(self._item, name)
        return max(1, math.ceil(window.reset_time - time.time()))

    async def _somewhere(self, ask: Callable[[MovingWindowRateLimiter], Awaitable[T]]) -> T:
        now = asyncio.get_running_loop().time()
        if now >= self._alone_until:
            try:
                async with asyncio.timeout(_PATIENCE):
                    return await ask(self._shared)
            except (TimeoutError, RedisError, OSError) as error:
                self._alone_until = now + _SILENCE
                log.warning("redis does not count; this process counts alone", error=str(error))
        return await ask(self._alone)

    def _name(self, who: tuple[str, ...]) -> str:
        return hmac.new(self._key, "\0".join(who).encode(), hashlib.sha256).hexdigest()[:32]
