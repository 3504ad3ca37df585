"""What every child process of the service does first: keep its wire from what libraries print, bound its memory, end with it."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import frames

MEMORY_LIMIT = 8 * 1024**3
"""Bytes of address space: a file that makes a decoder ask for more gets a failed allocation, not the machine."""


def wire() -> Callable[[dict[str, Any]], None]:
    """How messages are sent to the service from now on, from any thread; what else is printed goes to standard error."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    lock = threading.Lock()

    def send(message: dict[str, Any]) -> None:
        with lock:
            out.write(frames.pack(message))
            out.flush()

    return send


def follow(take: Callable[[dict[str, Any]], object]) -> None:
    """Hand the service's messages to `take`, in a thread; this process ends with them: then nobody waits for an answer."""

    def read() -> None:
        while (message := frames.read(sys.stdin.buffer)) is not None:
            take(message)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()


def restrict(*, memory: bool = True) -> None:
    """No core dumps; with `memory`, a bound to the address space (a GPU's libraries reserve more than they use)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
    if memory and platform.system() == "Linux":
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def memory_mb() -> float:
    """The most that this process has held, in MiB. Linux hands `ru_maxrss` of whoever started it on, so its own word goes first."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
