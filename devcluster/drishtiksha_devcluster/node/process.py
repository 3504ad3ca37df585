"""One running container: a process in a session of its own, which dies with the node. `container` owns it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

from ..process import dies_with_parent
from . import census
from .launch import Launch

START_FAILED = 128
"""Exit code that a kubelet reports for a command that could not be started."""


class CannotStart(Exception):
    """The command does not exist or may not be executed."""


class Process:
    """A started command. It must be started in the thread that lives as long as the node: the signal that a dead
    parent sends is bound to the thread that forked."""

    def __init__(self, launch: Launch) -> None:
        """Start it, with no input and its output appended to its log. Raises CannotStart."""
        self.killed_for_memory = False
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(launch.log, "ab") as log:
                self._popen = subprocess.Popen(
                    launch.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=launch.cwd,
                    env=launch.env,
                    start_new_session=True,
                    preexec_fn=dies_with_parent(),  # noqa: PLW1509  the node has one thread that forks
                )
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise CannotStart(f"cannot start {launch.argv[0]!r}: {error}") from error
        self.pid = self._popen.pid
        started = census.entry(self.pid)
        self.born = started.born if started else 0
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._descriptor = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._reap)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended.done()

    async def wait(self) -> int:
        """Its exit code, 128 + n where signal n ended it. May be awaited by many and cancelled without harm."""
        return await asyncio.shield(self._ended)

    def terminate(self) -> None:
        """Ask it to end: SIGTERM to the container's first process, as a kubelet does."""
        if self.running:
            self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it with all that it started."""
        self._signal_all(signal.SIGKILL)

    def freeze(self, frozen: bool) -> None:
        """Stop all its processes, or let them go on."""
        self._signal_all(signal.SIGSTOP if frozen else signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        if self.running:
            signal_session(self.pid, number)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        signal_session(
            self.pid, signal.SIGKILL
        )  # a container ends with its first process; before its pid is free again
        code = self._popen.wait()
        self._ended.set_result(code if code >= 0 else 128 - code)


def signal_session(leader: int, number: signal.Signals) -> None:
    """Signal every living process of a session and its descendants; those that are gone do not matter.

    One that is being signalled may fork after the census: the census is repeated until it shows nobody new. Processes
    that were stopped fork nothing, so one pass is enough to let them go on.
    """
    told: set[int] = set()
    while new := [found for found in census.members(leader, census.everything()) if found.pid not in told]:
        for process in new:
            told.add(process.pid)
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue
        if number == signal.SIGCONT:
            return
