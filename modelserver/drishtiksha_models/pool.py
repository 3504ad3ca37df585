"""The workers as the service sees them: started when needed, one analysis each, replaced when they die or are late.

`app.py` asks `examine`; `worker.py` is the other end of the pipe. All of it runs on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from drishtiksha.domain.media import MediaType

from . import frames
from .networks import Networks

log = structlog.get_logger()

GRACE = 3.0
"""Seconds after the deadline in which a worker may still end by itself before it is killed."""
START_LIMIT = 120.0
"""Seconds for a worker to load its detectors."""
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "NODE_ENV",
              "DRISHTIKSHA_ENV")  # fmt: skip


class Failed(Exception):
    """An analysis that ended without a result. `kind`: BAD_MEDIA, UNSUPPORTED, DEADLINE, INTERNAL or CRASHED."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(eq=False)
class _Worker:
    process: asyncio.subprocess.Process
    hello: dict[str, Any]
    generation: int
    bundles: tuple[Path, ...]
    """Whose networks it may ask."""

    async def ask(self, request: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Send one request; returns the last message. Raises Failed CRASHED when the process ends instead."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("a worker has pipes")
        with contextlib.suppress(ConnectionError):
            self.process.stdin.write(frames.pack(request))
            await self.process.stdin.drain()
        while (message := await frames.receive(self.process.stdout)) is not None:
            if "progress" not in message:
                return message
            tell(message["progress"])
        code = await self.process.wait()
        raise Failed("CRASHED", f"The detector's process ended while it examined this file ({_ending(code)}).")


class Pool:
    """At most `size` workers. `models` is None until the first of them has loaded its detectors."""

    def __init__(self, size: int, active: list[str], home: Path, own: Mapping[str, Path | None]) -> None:
        """`home`: a private folder; `own`: paths that workers find in their environment."""
        self._size = size
        self._active = active
        self._environment = {k: v for k, v in os.environ.items() if k in _PASSED_ON}
        self._environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self._environment |= {name: str(path.resolve()) for name, path in own.items() if path is not None}
        self.networks = Networks(home, self._environment)
        self._bundles: tuple[Path, ...] = ()
        self._generation = 0
        """Grows with each set of bundles; workers of an older one end when they have answered."""
        self._crashed: list[str] = []
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self._alive: set[_Worker | asyncio.subprocess.Process] = set()
        self._count = 0
        self._starting: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[int]] = set()
        self._closed = False
        self.models: list[dict[str, Any]] | None = None
        self.memory_mb = 0.0
        self.ready = asyncio.Event()
        self.inferences: dict[str, int] = {}
        self.crashes = 0

    def start(self, bundles: Sequence[Path] = ()) -> None:
        """Start the first worker in the background; `ready` is set when it has loaded."""
        self._bundles = tuple(bundles)
        self.networks.hold(self._bundles)  # also while no worker is there
        self._grow()

    async def renew(self, bundles: Sequence[Path], content: Callable[[list[dict[str, Any]]], bool]) -> bool:
        """Serve these bundles from now on, if a new worker has loaded them and `content` agrees with what it lists.

        Analyses that are under way end as they began. A detector that kills the new worker is left out, with its reason.
        """
        crashed: list[str] = []
        worker = None
        while worker is None and not self._closed:
            before = len(crashed)
            worker = await self._launch(tuple(bundles), crashed, self._generation + 1)
            if worker is None and len(crashed) == before:
                return False
        if worker is None or self._closed or not content(worker.hello["models"]):
            if worker is not None:
                self._dismiss(worker)
            return False
        self.networks.hold(bundles)
        self.networks.release(self._bundles)
        self._generation, self._bundles, self._crashed = worker.generation, tuple(bundles), crashed
        self._alive.add(worker)
        self._count += 1
        self._welcome(worker)
        while not self._idle.empty():  # those that have nothing to do are replaced as they are needed
            old = self._idle.get_nowait()
            if old.generation != self._generation:
                self._part(old)
            else:
                self._idle.put_nowait(old)
                break
        return True

    async def examine(
        self,
        model: str,
        path: Path,
        name: str,
        deadline: float,
        tell: Callable[[dict[str, Any]], None],
        only: MediaType | None = None,
    ) -> dict[str, Any]:
        """One analysis; `deadline` on the loop's clock, waiting for a worker included. Raises Failed.

        `only`: a file of another kind is UNSUPPORTED.

        Cancelling it kills the worker: nobody wants that answer any more.
        """
        loop = asyncio.get_running_loop()
        worker = await self._take(deadline)
        finished = False
        try:
            left = max(0.1, deadline - loop.time())
            request = {"model": model, "path": str(path), "name": name, "seconds": left, "only": only}
            async with asyncio.timeout(left + GRACE):
                message = await worker.ask(request, tell)
            finished = True
        except TimeoutError:
            raise Failed("DEADLINE", "The time given for this analysis is over.") from None
        except Failed:
            self.crashes += 1
            log.error("a worker died", model=model, pid=worker.process.pid)
            raise
        finally:
            self._idle.put_nowait(worker) if finished and self._is_current(worker) else self._discard(worker)
        if "error" in message:
            raise Failed(message["error"]["kind"], message["error"]["message"])
        self.inferences[model] = self.inferences.get(model, 0) + 1
        result: dict[str, Any] = message["result"]
        return result

    async def close(self) -> None:
        """Kill every worker and wait until they are gone."""
        self._closed = True
        for task in self._starting:
            task.cancel()
        alive = [w.process if isinstance(w, _Worker) else w for w in self._alive]
        for process in alive:
            _kill(process)
        for process in alive:
            await process.wait()
        await asyncio.gather(*self._starting, *self._ending, return_exceptions=True)
        await self.networks.close()

    async def _take(self, deadline: float) -> _Worker:
        """An idle worker, or the next that becomes idle; starts another when there is room."""
        while True:
            if self._idle.empty() and self._count < self._size:
                self._grow()
            try:
                async with asyncio.timeout_at(deadline):
                    worker = await self._idle.get()
            except TimeoutError:
                raise Failed("DEADLINE", "No worker became free in the time given for this analysis.") from None
            if worker.process.returncode is None and self._is_current(worker):
                return worker
            self._discard(worker)

    def _is_current(self, worker: _Worker) -> bool:
        return not self._closed and worker.generation == self._generation

    def _grow(self) -> None:
        self._count += 1
        task = asyncio.create_task(self._begin())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    def _discard(self, worker: _Worker) -> None:
        """End a worker; another is started at once so that requests in the queue are served."""
        self._part(worker)
        if not self._closed and self._count < self._size:
            self._grow()

    def _part(self, worker: _Worker) -> None:
        self._dismiss(worker)
        self._alive.discard(worker)
        self._count -= 1

    def _dismiss(self, worker: _Worker) -> None:
        self._end(worker.process)
        self.networks.release(worker.bundles)

    def _end(self, process: asyncio.subprocess.Process) -> None:
        """Kill a process; `close` waits until it is gone."""
        _kill(process)
        task = asyncio.create_task(process.wait())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _welcome(self, worker: _Worker) -> None:
        self.models, self.memory_mb = worker.hello["models"], worker.hello["memory_mb"]
        self.ready.set()
        self._idle.put_nowait(worker)

    async def _begin(self) -> None:
        """Start one worker, again and again with a growing pause, until one has loaded."""
        pause = 0.5
        while not self._closed:
            worker = await self._launch(self._bundles, self._crashed, self._generation)
            if worker is not None and self._is_current(worker):
                self._alive.add(worker)
                self._welcome(worker)
                return
            if worker is not None:  # the bundles were renewed meanwhile
                self._dismiss(worker)
                if self._count > self._size:
                    self._count -= 1
                    return
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, 30.0)

    async def _launch(self, bundles: tuple[Path, ...], crashed: list[str], generation: int) -> _Worker | None:
        """One start. None when it failed; the detector that killed it is added to `crashed`."""
        began, worker = time.monotonic(), None
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "drishtiksha_models.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=self._environment,
            start_new_session=True, limit=1024 * 1024,
        )  # fmt: skip
        self._alive.add(process)
        loading = None
        self.networks.hold(bundles)
        try:
            if process.stdin is None or process.stdout is None:
                raise RuntimeError("a worker has pipes")
            await self.networks.settled(bundles)  # meanwhile the worker imports its libraries
            order = {
                "active": self._active,
                "crashed": [*crashed, *self.networks.crashed(bundles)],
                "networks": self.networks.places(bundles),
            }
            process.stdin.write(frames.pack(order))
            async with asyncio.timeout(START_LIMIT):
                while (message := await frames.receive(process.stdout)) is not None:
                    if "hello" in message:
                        log.info("a worker is ready", pid=process.pid, seconds=round(time.monotonic() - began, 2))
                        worker = _Worker(process, message["hello"], generation, bundles)
                        return worker
                    loading = message.get("loading", loading)
        except TimeoutError:
            log.error("a worker did not load in time", loading=loading)
        except asyncio.CancelledError:
            _kill(process)
            raise
        finally:
            self._alive.discard(process)
            if worker is None:
                self.networks.release(bundles)
        _kill(process)
        log.error("a worker did not start", loading=loading, ending=_ending(await process.wait()))
        if loading is not None and loading not in crashed:
            crashed.append(loading)
        return None


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
