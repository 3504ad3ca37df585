"""Running a fuzzing process from outside: what kills it or makes it stand still is a finding, and the next one goes on.

`run.py` and the tests call `attend`; `booking.py` is the record that both sides know.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import booking

PATIENCE = 60.0
"""Seconds on one input after which the process is held to stand still; the target asks for CPU seconds beside that."""
_LOOK = 0.2
_STOPPED = (-signal.SIGTERM, -signal.SIGINT, 72)
"""Ends that were asked for; 72 is libFuzzer's after a signal."""


@dataclass(frozen=True)
class Ended:
    """How one process ended: "done", "crash", "hang" or "stopped" (by a person), and the last of what it said."""

    how: str
    said: str


def attend(
    command: Sequence[str], folder: Path, patience: float = PATIENCE, environment: dict[str, str] | None = None
) -> Ended:
    """Run one process to its end. A crash or a hang is kept as a finding, with the input that was at work."""
    log = folder / "said"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        hung, seen, looks = False, 0.0, 0
        while process.poll() is None:
            time.sleep(_LOOK)
            # Looks are counted instead of asking a clock, which may jump where a machine was put to sleep.
            seen, looks = (seen, looks + 1) if _touched(folder) == seen else (_touched(folder), 0)
            if looks * _LOOK > patience and process.poll() is None:
                hung = True
                process.kill()
        code = process.wait()
    said = log.read_text(errors="replace")[-20_000:]
    if not hung and code == 0:
        return Ended("done", said)
    if code in _STOPPED and not hung:
        return Ended("stopped", said)
    at_work = folder / booking.AT_WORK
    data = at_work.read_bytes() if at_work.exists() else b""
    how, words = ("hang", f"nothing for {patience:.0f} s") if hung else ("crash", _ending(code))
    booking.keep(folder, data, how, f"{words}: {_last(said)}" if how == "crash" else words)
    return Ended(how, said)


def _touched(folder: Path) -> float:
    try:
        return (folder / booking.AT_WORK).stat().st_mtime
    except OSError:
        return 0.0


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _last(said: str) -> str:
    """The words about the end: a Python exception or a dumped stack, else the last lines."""
    at = max(said.rfind(mark) for mark in ("=== Uncaught Python exception", "Fatal Python error"))
    return said[at:][:1500] if at >= 0 else said[-600:]
