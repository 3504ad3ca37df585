"""Ports of one platform: chosen once, kept in the state folder, so that addresses survive a restart.

Every port but the api's is any free one on loopback. The platform's other modules only read the numbers.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

QUIET = range(20_000, 32_000)
"""Below the ports that the kernel hands out to outgoing connections, which may take one before we listen on it."""

_handed_out: set[int] = set()
"""By this process. Whoever got one may not listen on it yet, and the next one must not get it, too."""


def free_port(host: str = "127.0.0.1", wish: int = 0) -> int:
    """A port that nobody listens on now: `wish` if it is free, else the next free one above it; 0: any quiet one.

    No other process of this user on this machine gets the same one here as long as this one lives.
    """
    for port in range(wish, min(wish + 200, 65536)) if wish else random.sample(QUIET, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
        if (wish or port not in _handed_out) and _claimed(port):
            _handed_out.add(port)
            return port
    raise OSError(f"no free port between {wish} and {wish + 199} on {host}" if wish else f"no free port on {host}")


def _claimed(port: int) -> bool:
    """Whether it is ours now: a lock on the byte of this number, which the kernel releases with the process."""
    claims = _claims(os.getpid())
    if claims is None:
        return True
    try:
        fcntl.lockf(claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _claims(process: int) -> int | None:
    """The descriptor of the file of claims, open until this process ends; None where it cannot be had."""
    path = Path(tempfile.gettempdir()) / f"drishtiksha-ports-{os.getuid()}"
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
