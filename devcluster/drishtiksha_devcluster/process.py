"""What a process of the one-machine platform is, how it is started so that it dies with its parent, how one is found.

`ProcessSpec` is a value that builders return (postgres, valkey, cluster, apps) and that the supervisor runs. Linux only:
parent-death signals, start times and sessions come from prctl(2) and /proc.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)

_KEPT_NAMES = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"}
)
_KEPT_BEGINNINGS = ("LC_", "XDG_", "PYTHON", "SSL_CERT_", "COVERAGE_")


@dataclass(frozen=True)
class ProcessSpec:
    """One process: its command, how one sees that it is ready, whom it needs first, how it is stopped."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    """Additions to the plain environment that `plain_environment` makes."""
    ready: str | None = None
    """http(s)://… (any 200; https unverified), tcp://host:port, postgresql://host:port, redis://host:port, or None:
    ready when it has lived for half a second."""
    needs: tuple[str, ...] = ()
    """Names that must be ready first."""
    grace: float = 10.0
    """Seconds between the stop signal and SIGKILL."""
    stop_signal: int = signal.SIGTERM
    cwd: Path | None = None
    user: str | None = None
    """The system user that it runs as; None: the same as the parent."""
    death_signal: int = signal.SIGKILL
    """What the kernel sends it when its parent dies."""

    def to_json(self) -> dict[str, Any]:
        """A dict that JSON can carry; it holds the secrets of `env`."""
        return {**asdict(self), "env": dict(self.env), "cwd": str(self.cwd) if self.cwd else None}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> ProcessSpec:
        """The reverse of `to_json`."""
        values = dict(body)
        values["argv"], values["needs"] = tuple(values["argv"]), tuple(values["needs"])
        values["cwd"] = Path(values["cwd"]) if values["cwd"] else None
        return cls(**values)


@dataclass(frozen=True)
class Trace:
    """A process as a pid file keeps it. The start time tells it from a later process with the same pid."""

    pid: int
    started: int
    """Clock ticks since boot, field 22 of /proc/<pid>/stat."""


def plain_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process inherits: where things are and which language; no settings and no secrets of the caller's shell."""
    source = os.environ if environment is None else environment
    return {k: v for k, v in source.items() if k in _KEPT_NAMES or k.startswith(_KEPT_BEGINNINGS)}


def identity(user: str | None) -> dict[str, Any]:
    """Options of Popen that make the child run as this system user. KeyError when there is no such user."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def home_of(user: str | None) -> dict[str, str]:
    """The environment variables that name this system user and his home."""
    return {"HOME": pwd.getpwnam(user).pw_dir, "USER": user, "LOGNAME": user} if user is not None else {}


def dies_with_parent(death_signal: int = signal.SIGKILL) -> Callable[[], None]:
    """A `preexec_fn` that ties the child to the thread that starts it: call this and Popen in the same, main thread."""
    parent = os.getpid()

    def tie() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # the parent died between fork and prctl: no signal would ever come
            os._exit(1)

    return tie


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent dies, so that none of them is lost from sight."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def popen(spec: ProcessSpec, **options: Any) -> subprocess.Popen[bytes]:
    """Start a spec in a session of its own. OSError when the command, the folder or the user does not exist."""
    return subprocess.Popen(
        spec.argv,
        env={**plain_environment(), **home_of(spec.user), **spec.env},
        cwd=spec.cwd or "/",
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=dies_with_parent(spec.death_signal),  # noqa: PLW1509  the death signal has no other way in
        **identity(spec.user),
        **options,
    )


def trace(pid: int) -> Trace | None:
    """The trace of a living process; None when there is none, or only a zombie."""
    fields = _stat(pid)
    return Trace(pid, int(fields[19])) if fields and fields[0] not in "ZX" else None


def alive(seen: Trace) -> bool:
    """Whether this very process still lives."""
    return trace(seen.pid) == seen


def session_members(session: int, not_before: int = 0) -> list[Trace]:
    """Living processes of a session that were not started before that many clock ticks since boot."""
    members = []
    for entry in os.listdir("/proc"):
        fields = _stat(int(entry)) if entry.isdigit() else None
        if fields and fields[0] not in "ZX" and int(fields[3]) == session and int(fields[19]) >= not_before:
            members.append(Trace(int(entry), int(fields[19])))
    return members


def end(traces: list[Trace], *, first: int = signal.SIGTERM, grace: float = 5.0) -> None:
    """End these processes: `first`, then SIGKILL after `grace` seconds. Returns when none of them lives."""
    _signal_all(traces, first)
    deadline = time.monotonic() + grace
    while traces := [one for one in traces if alive(one)]:
        if time.monotonic() > deadline:
            _signal_all(traces, signal.SIGKILL)
        time.sleep(0.05)


def _signal_all(traces: list[Trace], number: int) -> None:
    for one in traces:
        if alive(one):
            try:
                os.kill(one.pid, number)
            except ProcessLookupError:
                continue


def _stat(pid: int) -> list[str] | None:
    """/proc/<pid>/stat after the command's name, so [0] is the state, [3] the session, [19] the start time."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
