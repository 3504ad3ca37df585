"""Reading the logs of a platform: the last lines of its processes, and what comes next.

The supervisor writes them (`logfile.py`); `drishtiksha logs` prints them.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from drishtiksha.domain.errors import DrishtikshaError

from .logfile import last_lines


class NoLog(DrishtikshaError):
    """There is no log of this name; the text names those that are there."""


def names(home: Path) -> list[str]:
    """Processes that have a log."""
    return sorted(path.stem for path in (home / "logs").glob("*.log"))


def read(home: Path, wanted: Sequence[str], count: int) -> Iterator[tuple[str, str]]:
    """(process, line) of the last `count` lines of each; all processes when none is named. Raises NoLog."""
    for name in _checked(home, wanted):
        for line in last_lines(_path(home, name), count):
            yield name, line


def follow(home: Path, wanted: Sequence[str], *, pause: float = 0.3) -> Iterator[tuple[str, str]]:
    """(process, line) as lines are written, for ever. A log that turned over is read on from its new beginning."""
    chosen = _checked(home, wanted)
    places = {name: _size(_path(home, name)) for name in chosen}
    rest = dict.fromkeys(chosen, b"")
    while True:
        for name in chosen:
            path = _path(home, name)
            size = _size(path)
            if size < places[name]:
                places[name], rest[name] = 0, b""
            if size > places[name]:
                with contextlib.suppress(OSError), open(path, "rb") as file:
                    file.seek(places[name])
                    data = rest[name] + file.read()
                    places[name] = file.tell()
                    *lines, rest[name] = data.split(b"\n")
                    for line in lines:
                        yield name, line.decode(errors="replace")
        time.sleep(pause)


def _checked(home: Path, wanted: Sequence[str]) -> list[str]:
    there = names(home)
    for name in wanted:
        if name not in there:
            raise NoLog(f"there is no log of {name!r} in {home / 'logs'}; there are: {', '.join(there) or 'none'}")
    return list(wanted) or there


def _path(home: Path, name: str) -> Path:
    return home / "logs" / f"{name}.log"


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
