"""Which lines are watched, and the trace that writes them down or dies at one of them.

`sys.settrace` sees the lines of coroutines as they are resumed; threads and SQLAlchemy's greenlets have a trace of
their own, so it is set there too (`house` calls `here` in the one greenlet that runs a line of ours).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from zlib import crc32

ROOT = Path(__file__).resolve().parents[3]

STORIES: dict[str, tuple[str, ...]] = {
    "intake": (
        "api/drishtiksha_api/intake/upload.py",
        "api/drishtiksha_api/intake/form.py",
        "api/drishtiksha_api/intake/probe.py",
        "api/drishtiksha_api/routes/media.py",
    ),
    "dispatcher and janitor": ("api/drishtiksha_api/dispatcher.py", "api/drishtiksha_api/janitor.py"),
    "door": ("api/drishtiksha_api/door/routes.py",),
    "operator": tuple(
        f"operator/drishtiksha_operator/{name}.py"
        for name in ("reconcile", "starting", "attempts", "reporting", "discovery", "jobs", "sweep")
    ),
    "rows": tuple(
        f"core/drishtiksha/database/{name}.py"
        for name in (
            "media", "runs", "results", "result_rows", "admission", "outbox", "locks", "events", "session", "snapshot",
            "upkeep",
        )
    ),
    "bytes": ("core/drishtiksha/objects/local.py",),
    "runner": tuple(
        f"jobrunner/drishtiksha_jobrunner/{name}.py"
        for name in ("run", "door", "model", "service", "body", "answer", "evidence", "progress", "scratch")
    ),
}  # fmt: skip
"""Files whose lines are watched, by story. Paths from the root of the checkout."""

FILES = {str(ROOT / name): name for names in STORIES.values() for name in names}


MISSED = "the line was not executed this time"


@dataclass(frozen=True, order=True)
class Point:
    """One place to die: just before the `time`-th execution of a line within an act."""

    file: str
    line: int
    time: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" (time {self.time})" if self.time > 1 else "")


class Watch:
    """Between `arm` and `disarm` every watched line is counted; at `death` the process ends by SIGKILL."""

    def __init__(self, death: Point | None = None) -> None:
        self.counts: dict[tuple[str, int], int] = {}
        self._death = death
        self._files = set(FILES) if death is None else {str(ROOT / death.file)}
        self._armed = False

    def arm(self) -> None:
        """From now on, in this thread and in those that begin after this."""
        self._armed = True
        threading.settrace(self._call)
        self.here()

    def here(self) -> None:
        """In this greenlet too."""
        if self._armed:
            sys.settrace(self._call)

    def disarm(self) -> None:
        self._armed = False
        threading.settrace(None)  # type: ignore[arg-type]
        sys.settrace(None)

    def _call(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if event == "line" and self._armed:
            key = (FILES[frame.f_code.co_filename], frame.f_lineno)
            count = self.counts[key] = self.counts.get(key, 0) + 1
            death = self._death
            if death is not None and key == (death.file, death.line) and count == death.time:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._line


Counts = dict[tuple[str, int], int]
"""How often an act executed each line."""


def choose(recorded: Mapping[str, Counts]) -> dict[str, list[Point]]:
    """Where each act is killed, so that every line is a place of two deaths. Pure.

    At the line's first execution in one act that executes it, and at its last in another, or in the same when there
    is no other. Which acts these are hangs on the line alone: from run to run the same.
    """
    chosen: dict[str, list[Point]] = {act: [] for act in recorded}
    for file, line in sorted({key for counts in recorded.values() for key in counts}):
        acts = [act for act, counts in recorded.items() if (file, line) in counts]
        first, *others = sorted(acts, key=lambda act: crc32(f"{act} {file} {line}".encode()))
        last = others[0] if others else first
        chosen[first].append(Point(file, line))
        time = recorded[last][file, line]
        if others or time > 1:
            chosen[last].append(Point(file, line, time))
    return chosen


def in_share(act: str, point: Point, share: Sequence[int] | None) -> bool:
    """Whether a point belongs to share i of n; each belongs to exactly one, today and tomorrow."""
    if share is None:
        return True
    return crc32(f"{point} in {act}".encode()) % share[1] == share[0]
