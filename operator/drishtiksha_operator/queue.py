"""A queue of keys: each key once, one worker at a time per key, its own backoff when it fails.

The ears (Kopf, Redis, the sweep) add run ids; the workers run the story of `reconcile`. An event is only a reason to
look: keys that arrive while their run is being looked at make one more look, however many they are.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()

Story = Callable[[str], Awaitable[float | None]]
"""Looks after one key; returns the seconds after which to look again, or None."""


class KeyQueue:
    """Keys that wait for a look. `backoff` and `ceiling` in seconds, doubled per failure, with jitter.

    `rest`: seconds between two looks at the same key, so that a burst of events about it is one look.
    """

    def __init__(self, *, backoff: float = 1.0, ceiling: float = 60.0, rest: float = 0.5) -> None:
        self._ready: OrderedDict[str, float] = OrderedDict()
        """Waiting keys, oldest first, with the time since when."""
        self._busy: set[str] = set()
        self._again: set[str] = set()
        """Keys that were added while they were busy or resting."""
        self._resting: dict[str, asyncio.TimerHandle] = {}
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._backing_off: dict[str, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()
        self._backoff = backoff
        self._ceiling = ceiling
        self._rest = rest

    def add(self, key: str) -> None:
        """Look at this key soon. A key that failed waits for its own backoff first."""
        if key in self._backing_off:
            return
        if key in self._busy or key in self._resting:
            self._again.add(key)
        elif key not in self._ready:
            self._ready[key] = asyncio.get_running_loop().time()
            self._wake.set()

    def add_after(self, key: str, delay: float) -> None:
        """Look at this key in `delay` seconds; of several wishes the earliest counts."""
        loop = asyncio.get_running_loop()
        before = self._later.get(key)
        due = loop.time() + max(0.0, delay)
        if before is not None:
            if before.when() <= due:
                return
            before.cancel()
        self._later[key] = loop.call_at(due, self._due, key)

    def _due(self, key: str) -> None:
        self._later.pop(key, None)
        self.add(key)

    async def work(self, story: Story) -> None:
        """One worker, for ever; start several. A story that raises is told in the log and tried again later."""
        while True:
            while not self._ready:
                self._wake.clear()
                await self._wake.wait()
            key, _ = self._ready.popitem(last=False)
            self._busy.add(key)
            try:
                delay = await story(key)
            except Exception as error:
                self._failed(key, error)
            else:
                self._failures.pop(key, None)
                self._resting[key] = asyncio.get_running_loop().call_later(self._rest, self._rested, key)
                if delay is not None:
                    self.add_after(key, delay)
            finally:
                self._busy.discard(key)

    def _rested(self, key: str) -> None:
        self._resting.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _failed(self, key: str, error: Exception) -> None:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        asked: float = getattr(error, "retry_after", None) or 0.0
        delay = max(asked, min(self._ceiling, self._backoff * 2 ** (count - 1)) * random.uniform(0.75, 1.25))
        log.warning(
            "the look at a run failed; it is looked at again",
            run=key,
            failures=count,
            delay=round(delay, 1),
            error=f"{type(error).__name__}: {error}"[:500],
            exc_info=count == 1 and not hasattr(error, "retry_after"),
        )
        loop = asyncio.get_running_loop()
        self._backing_off[key] = loop.call_later(delay, self._recovered, key)

    def _recovered(self, key: str) -> None:
        self._backing_off.pop(key, None)
        self._again.discard(key)
        self.add(key)

    def stop(self) -> None:
        """Forget all timers; nothing is lost, for the next start sweeps."""
        for timers in (self._later, self._backing_off, self._resting):
            for handle in timers.values():
                handle.cancel()
            timers.clear()

    async def idle(self) -> None:
        """Wait until no key is being looked at and none is ready."""
        while self._busy or self._ready:
            await asyncio.sleep(0.02)

    @property
    def depth(self) -> int:
        """Keys that are ready and wait for a worker."""
        return len(self._ready)

    @property
    def failing(self) -> int:
        """Keys whose last look failed."""
        return len(self._failures)

    def head_age(self) -> float:
        """Seconds that the oldest ready key has been waiting for a worker."""
        for since in self._ready.values():
            return asyncio.get_running_loop().time() - since
        return 0.0
