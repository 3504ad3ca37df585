"""The life of one process under the supervisor: wait for its neighbours, start, become ready, die, begin again.

The supervisor owns many of these and knows nothing of pipes and signals; a child knows of others only through `gate`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .logfile import LogFile, last_lines
from .process import ProcessSpec, Trace, end, popen, session_members, trace
from .ready import is_ready

MOST_DEATHS = 5
"""Deaths within WINDOW after which a process stays down."""

WINDOW = 60.0
"""Seconds."""


@dataclass(frozen=True)
class Pace:
    """How fast a dead process is begun again: seconds of the first pause, doubled each time up to `longest`."""

    first: float = 0.5
    longest: float = 10.0
    alive_is_ready: float = 0.5
    """Seconds after which a process without a ready address counts as ready."""


class Child:
    """One supervised process. `state`: stopped, waiting, starting, ready, backoff, stopping, down."""

    def __init__(
        self,
        spec: ProcessSpec,
        logs: Path,
        *,
        gate: Callable[[Child], Awaitable[None]],
        changed: Callable[[], None],
        say: Callable[..., None],
        pace: Pace,
    ) -> None:
        self.spec, self.state, self.pace = spec, "stopped", pace
        self.trace: Trace | None = None
        self.restarts = 0
        self.exit: str | None = None
        self.reason: str | None = None
        self.since = time.time()
        self._logs, self._gate, self._changed, self._say = logs, gate, changed, say
        self._deaths: deque[float] = deque(maxlen=MOST_DEATHS)
        self._life: asyncio.Task[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._exited = asyncio.Event()

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self._logs / f"{self.spec.name}.log"

    def start(self) -> None:
        """Begin its life unless it lives; forgets earlier deaths."""
        if self._life is None or self._life.done():
            self._deaths.clear()
            self._life = asyncio.get_running_loop().create_task(self._live())

    async def stop(self) -> None:
        """End it: its stop signal, then SIGKILL after its grace. Returns when nothing of its session lives."""
        life = self._life
        if life is None:
            return
        if self._process is None:
            life.cancel()
        else:
            self._become("stopping")
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self.spec.stop_signal)
                if self.spec.stop_signal != signal.SIGKILL:  # a frozen process does not hear the signal otherwise
                    self._process.send_signal(signal.SIGCONT)
            try:
                await asyncio.wait_for(self._exited.wait(), self.spec.grace)
            except TimeoutError:
                self._say("it did not end in time and is killed", process=self.spec.name, grace=self.spec.grace)
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
        with contextlib.suppress(asyncio.CancelledError):
            await life
        self._life = None
        self._become("stopped")

    def describe(self, lines: int = 0) -> dict[str, Any]:
        """What `status` shows; `lines` of the log when it is not well."""
        unwell = self.state in ("down", "backoff", "starting", "waiting")
        return {
            "name": self.spec.name,
            "state": self.state,
            "pid": self.trace.pid if self.trace else None,
            "restarts": self.restarts,
            "since": self.since,
            "ready": self.spec.ready,
            "needs": list(self.spec.needs),
            "exit": self.exit,
            "reason": self.reason,
            "log": str(self.log),
            "last_lines": last_lines(self.log, lines) if lines and unwell else [],
        }

    async def _live(self) -> None:
        """Its whole life, until it is stopped or dies too often."""
        while True:
            # Its neighbours first.
            self._become("waiting")
            await self._gate(self)

            # Start it, and let nobody think it ready before it says so.
            died = await self._run_once()
            if self.state == "stopping":
                return

            # It died by itself: begin again, each time later, unless it dies too often.
            self._deaths.append(time.monotonic())
            self.exit = died
            if len(self._deaths) == MOST_DEATHS and self._deaths[-1] - self._deaths[0] < WINDOW:
                self.reason = f"died {MOST_DEATHS} times within a minute ({died}); it stays down"
                self._become("down")
                self._say(self.reason, process=self.spec.name)
                return
            pause = min(self.pace.first * 2 ** (len(self._deaths) - 1), self.pace.longest) * random.uniform(0.8, 1.2)
            self.reason = f"{died}; starts again in {pause:.1f} s"
            self._become("backoff")
            self._say("it died and is started again", process=self.spec.name, exit=died, pause=round(pause, 2))
            await asyncio.sleep(pause)
            self.restarts += 1

    async def _run_once(self) -> str:
        """Start it and return how it ended, in words, when it and all of its session are gone."""
        self.reason = None
        log = LogFile(self.log)
        try:
            process = popen(self.spec, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except (OSError, KeyError, subprocess.SubprocessError) as error:
            log.write(f"{self.spec.argv[0]} could not be started: {error}\n".encode())
            log.close()
            return f"could not be started: {error}"
        self._process, self.trace = process, trace(process.pid)
        self._exited.clear()
        self._become("starting")
        assert process.stdout is not None
        loop = asyncio.get_running_loop()
        pipe = process.stdout.fileno()
        os.set_blocking(pipe, False)
        loop.add_reader(pipe, _pump, loop, pipe, log)
        watch = loop.create_task(self._watch_ready())
        try:
            await _exit_of(process)
        finally:
            watch.cancel()
            if process.poll() is None:
                process.kill()
                process.wait()
            stragglers = session_members(process.pid)
            if stragglers:
                self._say("it left processes behind; they are ended", process=self.spec.name, count=len(stragglers))
                await asyncio.to_thread(end, stragglers, first=signal.SIGKILL)
            _pump(loop, pipe, log)
            loop.remove_reader(pipe)
            process.stdout.close()
            log.close()
            self._process = self.trace = None
            self._exited.set()
            self._changed()
        code = process.returncode
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"

    async def _watch_ready(self) -> None:
        pause = 0.05
        if self.spec.ready is None:
            await asyncio.sleep(self.pace.alive_is_ready)
        else:
            while not await is_ready(self.spec.ready):
                await asyncio.sleep(pause)
                pause = min(pause * 1.3, 0.5)
        if self.state == "starting":
            self._become("ready")

    def _become(self, state: str) -> None:
        if state != self.state:
            self.state, self.since = state, time.time()
            self._changed()


def _pump(loop: asyncio.AbstractEventLoop, pipe: int, log: LogFile) -> None:
    """Carry what stands in the pipe into the log; stop looking when the other side has closed it."""
    while True:
        try:
            data = os.read(pipe, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            loop.remove_reader(pipe)
            return
        log.write(data)


async def _exit_of(process: subprocess.Popen[bytes]) -> None:
    """Return when it has ended, and reap it. By a pidfd; by looking ten times a second where the kernel has none."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        while process.poll() is None:
            await asyncio.sleep(0.1)
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    process.wait()
