"""Which processes run on this machine and what memory they hold, read from /proc in one pass.

`process` finds the members of a container with it, `memory` what they use, `records` whether a process of an earlier
life is still the same one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Entry:
    """One process. `born` is its start in clock ticks since boot: pid and `born` together are unique."""

    pid: int
    parent: int
    session: int
    born: int
    zombie: bool


def entry(pid: int) -> Entry | None:
    """The process with this pid, or None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            text = stat.read()
    except OSError:
        return None
    words = text[text.rindex(b")") + 2 :].split()  # the name before it may hold spaces and brackets
    return Entry(pid, int(words[1]), int(words[3]), int(words[19]), words[0] in (b"Z", b"X"))


def everything() -> list[Entry]:
    """All processes of the machine."""
    found = (entry(int(name)) for name in os.listdir("/proc") if name.isdecimal())
    return [process for process in found if process is not None]


def members(of: int, processes: Iterable[Entry]) -> list[Entry]:
    """The living processes of a session and all their descendants, also those that made a session of their own."""
    processes = list(processes)
    inside = {process.pid for process in processes if of in (process.pid, process.session)}
    while more := {process.pid for process in processes if process.parent in inside} - inside:
        inside |= more
    return [process for process in processes if process.pid in inside and not process.zombie]


def private_bytes(pid: int) -> int:
    """The resident memory that a cgroup would not give back under pressure: without pages that files back."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:
            _size, resident, shared = statm.read().split()[:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * _PAGE
