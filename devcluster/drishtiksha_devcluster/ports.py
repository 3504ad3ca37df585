"""Ports of one platform: chosen once, kept in the state folder, so that addresses survive a restart.

Every port but the api's is any free one on loopback. The platform's other modules only read the numbers.
"""

from __future__ import annotations

import random
import socket

QUIET = range(20_000, 32_000)
"""Below the ports that the kernel hands out to outgoing connections, which may take one before we listen on it."""

_handed_out: set[int] = set()
"""By this process. Whoever got one may not listen on it yet, and the next one must not get it, too."""


def free_port(host: str = "127.0.0.1", wish: int = 0) -> int:
    """A port that nobody listens on now: `wish` if it is free, else the next free one above it; 0: any quiet one."""
    for port in range(wish, min(wish + 200, 65536)) if wish else random.sample(QUIET, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
        if wish or found not in _handed_out:
            _handed_out.add(found)
            return found
    raise OSError(f"no free port between {wish} and {wish + 199} on {host}" if wish else f"no free port on {host}")
