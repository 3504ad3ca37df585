"""How one talks to a platform's supervisor: JSON lines over a Unix socket in the state folder.

Used by platform.py, the command line and tests. A socket's path may have 107 bytes; a state folder may lie deeper, so
both sides go through a descriptor of the folder instead.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drishtiksha.domain.errors import DrishtikshaError

from .logfile import LogFile, last_lines
from .node.records import end_all_leftovers
from .process import ProcessSpec, Trace, alive, end, plain_environment, session_members

_SOCKET = "supervisor.sock"

_LETTING_GO = 2.0
"""Seconds in which the kernel frees the lock of a supervisor that was killed; the record of a new one may lag as long."""


class ControlFailed(DrishtikshaError):
    """The supervisor is not there, or says no; the text is its sentence."""


@contextlib.contextmanager
def listening_socket(home: Path) -> Iterator[socket.socket]:
    """The supervisor's side, for its user alone; the file is gone at the end."""
    with _folder(home) as folder, socket.socket(socket.AF_UNIX) as listener:
        path = f"/proc/self/fd/{folder}/{_SOCKET}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(16)
        try:
            yield listener
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


class Control:
    """Requests to the supervisor of one state folder."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def running(self) -> bool:
        """Whether a supervisor holds this state folder. One that was killed this moment is waited for: it lets go."""
        deadline = time.monotonic() + _LETTING_GO
        while _is_held(self.home / "run" / "supervisor.lock"):
            supervisor = _recorded(self.home)[0]
            if supervisor is None or alive(supervisor) or time.monotonic() > deadline:
                return True
            time.sleep(0.02)
        return False

    def call(self, op: str, *, patience: float = 60.0, **request: Any) -> dict[str, Any]:
        """Ask and wait for the answer, `patience` seconds at most. Raises ControlFailed."""
        try:
            with _folder(self.home) as folder, socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(patience)
                connection.connect(f"/proc/self/fd/{folder}/{_SOCKET}")
                connection.sendall(json.dumps({"op": op, **request}).encode() + b"\n")
                with connection.makefile("rb") as stream:
                    line = stream.readline()
        except TimeoutError:
            raise ControlFailed(f"the supervisor of {self.home} did not answer within {patience:.0f} s") from None
        except OSError as error:
            raise ControlFailed(f"no platform runs in {self.home} ({error.strerror or error})") from None
        if not line:
            raise ControlFailed(f"the supervisor of {self.home} ended before it answered")
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise ControlFailed(answer["error"])
        return answer

    def status(self, *, probe: bool = False, lines: int = 0) -> list[dict[str, Any]]:
        """All processes, by name."""
        found: list[dict[str, Any]] = self.call("status", probe=probe, lines=lines)["processes"]
        return found

    def add(self, spec: ProcessSpec, *, start: bool = True) -> str:
        """Hand in a spec: `new`, `same`, or `changed` (then the process was restarted)."""
        return str(self.call("add", spec=spec.to_json(), start=start, patience=spec.grace + 60)["change"])

    def wait(self, names: list[str], timeout: float) -> list[dict[str, Any]]:
        """Wait until all of these are ready, one is down for good, or the time is up; then describe them."""
        described: list[dict[str, Any]] = self.call("wait", names=names, timeout=timeout, patience=timeout + 10)[
            "processes"
        ]
        return described

    def start_supervisor(self, *, first_pause: float | None = None, patience: float = 20.0) -> None:
        """Start the supervisor in a session of its own, if there is none; returns when it listens."""
        deadline = time.monotonic() + patience
        child: subprocess.Popen[bytes] | None = None
        while True:
            # Asked again each time: what looked like a supervisor may have been one that was just being killed.
            if (child is None or child.poll() is not None) and not self.running():
                child = self._spawn(first_pause)
            try:
                self.call("status", patience=5.0)
            except ControlFailed:
                if time.monotonic() > deadline:
                    tail = "\n".join(last_lines(self.home / "logs" / "supervisor.log", 12))
                    raise ControlFailed(f"the supervisor did not start; its last lines:\n{tail}") from None
                time.sleep(0.03)
            else:
                if child is not None:
                    child.returncode = 0  # it outlives us: nobody here waits for it
                return

    def _spawn(self, first_pause: float | None) -> subprocess.Popen[bytes]:
        log = self.home / "logs" / "supervisor.log"
        LogFile(log).close()
        command = [sys.executable, "-m", "drishtiksha_devcluster.supervisor", "--home", str(self.home)]
        command += ["--first-pause", str(first_pause)] if first_pause is not None else []
        with open(log, "ab") as sink:
            return subprocess.Popen(
                command,
                cwd="/",
                env=plain_environment(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    def shut_down(self, patience: float = 120.0) -> None:
        """Stop everything and wait until the supervisor itself is gone."""
        supervisor = _recorded(self.home)[0]
        with contextlib.suppress(ControlFailed):
            self.call("shutdown", patience=patience)
        deadline = time.monotonic() + 10
        while supervisor and alive(supervisor) and time.monotonic() < deadline:
            time.sleep(0.03)
        self.end_leftovers()

    def end_leftovers(self, *, except_for: tuple[str, ...] = ()) -> list[str]:
        """End processes of a supervisor that is gone, found by pid file and start time; their names."""
        supervisor, processes = _recorded(self.home)
        if supervisor and alive(supervisor):
            end([supervisor], first=signal.SIGKILL)
        found: dict[str, list[Trace]] = {}
        for name, seen in processes.items():
            members = session_members(seen.pid, seen.started)
            if members and name not in except_for:
                found[name] = members
        end([one for name, members in found.items() if name != "postgres" for one in members], grace=3.0)
        if "postgres" in found:
            leader = processes["postgres"]
            end([leader], first=signal.SIGINT, grace=15.0)
            end([one for one in found["postgres"] if alive(one)], first=signal.SIGQUIT)
        end_all_leftovers(self.home)  # what pods of dead nodes had started themselves
        return sorted(found)


@contextlib.contextmanager
def _folder(home: Path) -> Iterator[int]:
    descriptor = os.open(home / "run", os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_held(path: Path) -> bool:
    try:
        with open(path) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _recorded(home: Path) -> tuple[Trace | None, dict[str, Trace]]:
    """The supervisor and the processes of the pid file."""
    try:
        body = json.loads((home / "run" / "pids.json").read_text())
        return Trace(*body["supervisor"]), {name: Trace(*seen) for name, seen in body["processes"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None, {}
