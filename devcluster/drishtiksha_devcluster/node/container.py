"""One container of a pod: its state as the API shows it, and the process behind it. `pod` tells it what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .launch import Launch
from .memory import MemoryWatch
from .process import START_FAILED, CannotStart, Process

LOG_BYTES = 20 * 1024 * 1024
"""A log that grew beyond this is put aside and begun anew; what was put aside before is lost."""
_LAST_WORDS_BYTES = 2048
_LAST_WORDS_LINES = 80
"""How much of its log a failed container leaves as its message, where the manifest asks for that."""


@dataclass(frozen=True)
class Waiting:
    """Not started, with the reason in a kubelet's word."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class Running:
    """Started and not ended."""

    since: datetime


@dataclass(frozen=True)
class Terminated:
    """Ended with an exit code: Completed, Error, OOMKilled or StartError."""

    code: int
    reason: str
    started: datetime | None
    finished: datetime
    message: str = ""


class Container:
    """A main container, or a sidecar that is started again when it ends."""

    def __init__(self, spec: dict[str, Any], sidecar: bool, waiting: str, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.sidecar = sidecar
        self.state: Waiting | Running | Terminated = Waiting(waiting)
        self.last: Terminated | None = None
        self.restarts = 0
        self.started = asyncio.Event()
        """Set while a sidecar has passed its startup probe, or a main container runs."""
        self.process: Process | None = None
        self._twins: list[Process] = []
        self._frozen = False
        self._changed = changed

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return isinstance(self.state, Running)

    def wait_for(self, reason: str, message: str = "") -> None:
        """Say why it has not started."""
        if self.state != Waiting(reason, message):
            if isinstance(self.state, Terminated):
                self.last = self.state
            self.state = Waiting(reason, message)
            self._changed()

    def start(self, launch: Launch, memory: MemoryWatch) -> None:
        """Start its process; a command that cannot be started ends at once with exit code 128."""
        if isinstance(self.state, Terminated):
            self.last = self.state
        if self.restarts:
            _keep_previous(launch.log)
        began = datetime.now(UTC)
        try:
            self.process = Process(launch)
        except CannotStart as error:
            self.state = Terminated(START_FAILED, "StartError", began, began, str(error))
        else:
            self.state = Running(began)
            if launch.memory_limit is not None:
                memory.add(self.process, launch.memory_limit)
        self._launch = launch
        self._changed()

    def start_twin(self) -> None:
        """Fault: run the same command a second time beside the first; its exit code counts for nothing."""
        log = self._launch.log.with_name(f"{self.name}.twin.log")
        launch = Launch(self._launch.argv, self._launch.env, self._launch.cwd, log, None)
        self._twins.append(Process(launch))

    def mark_started(self) -> None:
        """It is up: those that waited for it may start."""
        self.started.set()
        self._changed()

    async def ended(self) -> Terminated:
        """Wait for its end, and for its twins' where it has some."""
        if isinstance(self.state, Terminated):
            return self.state
        if self.process is None or not isinstance(self.state, Running):
            raise RuntimeError(f"the container {self.name} was not started")
        process, since = self.process, self.state.since
        code = await process.wait()
        for twin in self._twins:
            await twin.wait()
        reason = "OOMKilled" if process.killed_for_memory else "Completed" if code == 0 else "Error"
        words = ""
        if code != 0 and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            words = _last_words(self._launch.log)
        end = Terminated(code, reason, since, datetime.now(UTC), words)
        if self.process is process and isinstance(self.state, Running):  # several may wait; the first one notes it
            self.state = end
            self.started.clear()
            self._changed()
        return end

    async def stop(self, grace: float) -> None:
        """Ask it to end; after `grace` seconds end it."""
        if not self.running:
            return
        for process in self._processes():
            process.terminate()
        try:
            async with asyncio.timeout(grace):
                await self.ended()
        except TimeoutError:
            self.kill()
            await self.ended()

    def kill(self) -> None:
        """End it at once, with all that it started."""
        for process in self._processes():
            process.kill()

    def freeze(self, frozen: bool) -> None:
        """Fault: stop its processes, or let them go on."""
        if frozen == self._frozen:
            return
        self._frozen = frozen
        for process in self._processes():
            process.freeze(frozen)

    def run_out_of_memory(self) -> None:
        """Fault: end it as if it were above its memory limit."""
        if self.process is not None and self.running:
            self.process.killed_for_memory = True
            self.kill()

    def bound_log(self) -> None:
        """Keep the log of a running container from filling the disk."""
        if self.running and (log := self._launch.log).stat().st_size > LOG_BYTES:
            shutil.copyfile(log, log.with_name(f"{log.stem}.older.log"))
            os.truncate(log, 0)  # the process appends: it goes on at the start

    def _processes(self) -> list[Process]:
        return [process for process in (self.process, *self._twins) if process is not None and process.running]


def _keep_previous(log: Path) -> None:
    if log.exists():
        log.replace(previous_log(log))


def previous_log(log: Path) -> Path:
    """Where the log of the run before a restart lies."""
    return log.with_name(f"{log.stem}.previous.log")


def _last_words(log: Path) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_WORDS_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "".join(deque(text.splitlines(keepends=True), _LAST_WORDS_LINES))
