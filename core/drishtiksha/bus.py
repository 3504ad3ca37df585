"""The live channel: Redis, which carries wake-ups and frame ticks and may lose them without harm.

Three channels: `runs` ({runId}: the operator looks again), `users` ({userId, seq}: the relay reads new events from
Postgres), `ticks` (ephemeral progress). Publishing never raises: a lost message costs latency, nothing else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import redis.asyncio as aioredis
import structlog
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = structlog.get_logger()

RUNS = "drishtiksha:runs"
USERS = "drishtiksha:users"
TICKS = "drishtiksha:ticks"

_SILENCE = 5.0
"""Seconds that a Redis that failed is left alone, so that no caller waits for it again and again."""
_QUIET = 15.0
"""Seconds without a message after which a listener asks whether its connection lives; as many for the answer."""
_CONNECTIONS = 16
"""The most that one process opens to publish and to cache; whoever finds none free waits for one, up to the timeout."""


class Bus:
    """One connection pool. Times out within two seconds; forgives everything."""

    def __init__(self, url: str, *, timeout: float = 2.0) -> None:
        # One more try at once, for a connection that died while it was not used.
        pool = aioredis.BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            health_check_interval=15,
            decode_responses=True,
            retry=Retry(NoBackoff(), 1),
        )
        self._redis = aioredis.Redis.from_pool(pool)
        self._url = url
        self._timeout = timeout
        self._mute_until = 0.0

    async def publish(self, channel: str, message: dict[str, Any]) -> bool:
        """Send one message; False when Redis did not take it."""
        now = asyncio.get_running_loop().time()
        if now < self._mute_until:
            return False
        try:
            async with asyncio.timeout(self._timeout):
                await self._redis.publish(channel, json.dumps(message, separators=(",", ":")))
        except (TimeoutError, RedisError, OSError) as error:
            self._mute_until = now + _SILENCE
            log.warning("redis did not take a message; live push is late", channel=channel, error=str(error))
            return False
        return True

    async def wake_run(self, run_id: object) -> None:
        """Ask the operator to look at a run again."""
        await self.publish(RUNS, {"runId": str(run_id)})

    async def wake_user(self, user_id: object, seq: int) -> None:
        """Tell the relays that this user's events go up to `seq` now."""
        await self.publish(USERS, {"userId": str(user_id), "seq": seq})

    async def listen(self, *channels: str) -> AsyncIterator[tuple[str, dict[str, Any]] | None]:
        """Messages of these channels for ever; None each time the connection was made (something may have been missed).

        Reconnects with backoff, also when the connection has fallen silent. A message that is no JSON object is dropped.
        """
        delay = 0.5
        while True:
            try:
                # No tries of the library's own: it would connect again by itself, and nobody would be told of the gap.
                client = aioredis.from_url(
                    self._url,
                    socket_timeout=self._timeout,
                    socket_connect_timeout=self._timeout,
                    decode_responses=True,
                    retry=Retry(NoBackoff(), 0),
                )
                async with client, client.pubsub() as pubsub:
                    async with asyncio.timeout(2 * self._timeout):
                        await _subscribed(pubsub, channels)
                    delay = 0.5
                    yield None
                    asked = False
                    while True:
                        message = await pubsub.get_message(timeout=_QUIET)
                        if message is None:
                            if asked:
                                raise TimeoutError("the connection has fallen silent")
                            async with asyncio.timeout(self._timeout):
                                await pubsub.ping()
                            asked = True
                            continue
                        asked = False  # whatever it is, somebody is there
                        body = _object(message.get("data")) if message["type"] == "message" else None
                        if body is not None:
                            yield str(message["channel"]), body
            except (TimeoutError, RedisError, OSError) as error:
                log.warning("redis is away; trying again", error=str(error), delay=delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 10.0)

    async def ping(self) -> bool:
        """Whether Redis answers."""
        try:
            async with asyncio.timeout(self._timeout):
                return bool(await self._redis.ping())
        except (TimeoutError, RedisError, OSError):
            return False

    @property
    def redis(self) -> aioredis.Redis:
        """The client, for caches; callers forgive its errors."""
        return self._redis

    async def close(self) -> None:
        """Close the pool."""
        await self._redis.aclose()


async def _subscribed(pubsub: PubSub, channels: tuple[str, ...]) -> None:
    """Subscribe, and wait until Redis has said so: what is published from now on is heard."""
    await pubsub.subscribe(*channels)
    confirmed = 0
    while confirmed < len(channels):
        message = await pubsub.get_message(timeout=1.0)
        confirmed += message is not None and message["type"] == "subscribe"


def _object(data: object) -> dict[str, Any] | None:
    try:
        body = json.loads(data) if isinstance(data, str) else None
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
