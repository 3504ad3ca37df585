"""The seam to the object store: all verbs of its class, whichever it has. An error is the disk's own (ENOSPC)."""

from __future__ import annotations

import asyncio
import errno
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

from drishtiksha.domain.errors import Unavailable
from drishtiksha.objects.local import LocalObjects

from .wire import LATE, twice, wire

_disk_is_full: ContextVar[bool] = ContextVar("disk_is_full", default=False)


class SeamObjects(LocalObjects):
    """The platform's store; its verbs are wrapped below."""


def to_thread(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """`asyncio.to_thread` as the store's module sees it: the disk may be full."""
    if _disk_is_full.get():
        _disk_is_full.set(False)
        return _full()
    return asyncio.to_thread(function, *args, **options)


async def _full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device (injected)")


def verbs() -> dict[str, Callable[..., Any]]:
    """The store's verbs that leave the process: coroutines and streams."""
    methods = inspect.getmembers(LocalObjects, inspect.isfunction)
    leave = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    return {name: m for name, m in methods if not name.startswith("_") and any(is_so(m) for is_so in leave)}


def _away() -> Unavailable:
    return Unavailable("objects", "The object store does not answer (injected).")


def _asked(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(self: SeamObjects, *args: Any) -> Any:
        kind = wire.get().meet("objects", name)
        if kind == "before":
            raise _away()
        if kind == "slow":
            await asyncio.sleep(LATE)
        if kind == "repeated":
            first, second = await _two(args)
            return await twice(method(self, *first), method(self, *second))
        mark = _disk_is_full.set(kind == "error")
        try:
            answer = await method(self, *args)
        finally:
            _disk_is_full.reset(mark)
        if kind == "lost":
            raise _away()
        return answer

    return call


def _streamed(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def stream(self: SeamObjects, *args: Any) -> AsyncIterator[Any]:
        kind = wire.get().meet("objects", name)
        if kind == "before":
            raise _away()
        if kind == "slow":
            await asyncio.sleep(LATE)
        if kind == "repeated":
            async for _ in method(self, *args):
                pass
        _disk_is_full.set(kind == "error")
        async for piece in method(self, *args):
            if kind == "lost" and isinstance(piece, bytes):
                yield piece[: len(piece) // 2]
                raise _away()
            yield piece
            if kind == "lost":
                raise _away()

    return stream


async def _two(args: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """Arguments for two calls: a stream of bytes can be read only once."""
    first, second = list(args), list(args)
    for place, value in enumerate(args):
        if hasattr(value, "__aiter__"):
            pieces = [piece async for piece in value]
            first[place], second[place] = _again(pieces), _again(pieces)
    return first, second


async def _again(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


for _name, _method in verbs().items():
    setattr(SeamObjects, _name, (_streamed if inspect.isasyncgenfunction(_method) else _asked)(_name, _method))
