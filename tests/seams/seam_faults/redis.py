"""The seam to Redis: every command of a client made by `from_url`, and those of its subscriptions."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import redis.asyncio as aioredis
from redis import exceptions

from .wire import twice, wire

_LOCAL = frozenset({"aclose", "close", "reset"})
"""Not a question to the server."""


class SeamRedis:
    """A client, a subscription, or anything else of the library whose coroutines are commands."""

    def __init__(self, real: Any, name: str = "") -> None:
        self._real = real
        self._name = name

    async def __aenter__(self) -> SeamRedis:
        await self._real.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._real.__aexit__(*error)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name in _LOCAL or not callable(real):
            return real

        def command(*args: Any, **options: Any) -> Any:
            if name == "get_message":
                return _heard(real, options)
            asked = real(*args, **options)
            if inspect.isawaitable(asked):
                return _asked(self._name + name, asked, lambda: real(*args, **options))
            return SeamRedis(asked, f"{name} ")

        return command


def from_url(url: str, **options: Any) -> SeamRedis:
    """`redis.asyncio.from_url` as the platform's modules see it."""
    return SeamRedis(aioredis.from_url(url, **options))


async def _asked(name: str, asked: Any, again: Any) -> Any:
    kind = wire.get().meet("redis", name)
    if kind in ("before", "error", "slow"):
        if inspect.iscoroutine(asked):
            asked.close()
        raise _SEEN[kind]
    if kind == "repeated":
        return await twice(asked, again())
    answer = await asked
    if kind == "lost":
        raise _SEEN["before"]
    return answer


async def _heard(real: Any, options: dict[str, Any]) -> Any:
    """Waiting for a message: recorded when one comes, for how often nothing comes is chance."""
    message = await real(**options)
    if message is None:
        return None
    kind = wire.get().meet("redis", "get_message")
    if kind in ("before", "error", "slow", "lost"):
        raise _SEEN.get(kind, _SEEN["before"])
    if kind == "repeated":
        await asyncio.sleep(0)
    return message


_SEEN = {
    "before": exceptions.ConnectionError("Connection closed by server. (injected)"),
    "error": exceptions.ResponseError("LOADING Redis is loading the dataset in memory (injected)"),
    "slow": exceptions.TimeoutError("Timeout reading from socket (injected)"),
}
