"""The log of one process: a file that turns itself over at 10 MiB and keeps three, so that logs never fill a disk.

Written by the supervisor, which reads the pipes of its children; read by `status` and `logs`.
"""

from __future__ import annotations

import os
from pathlib import Path

LIMIT = 10 * 1024 * 1024
"""Bytes of one file."""

KEPT = 3
"""Files of one process: name.log, name.log.1, name.log.2."""


class LogFile:
    """Appends bytes; `name.log` becomes `name.log.1` when it would grow over the limit."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.path, self._limit = path, limit
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open()
        if self._size > limit:
            self._turn_over()

    def write(self, data: bytes) -> None:
        """Append; a full disk loses the lines and nothing else."""
        if self._size and self._size + len(data) > self._limit:
            self._turn_over()
        try:
            self._size += os.write(self._descriptor, data)
        except OSError:
            return

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self) -> None:
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _turn_over(self) -> None:
        os.close(self._descriptor)
        for number in range(KEPT - 1, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
            if newer.exists():
                newer.replace(older)
        self._open()


def last_lines(path: Path, count: int, most: int = 256 * 1024) -> list[str]:
    """The last lines of a log, [] when there is none. Reads `most` bytes at most."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[-count:] if count > 0 else []
