"""What `up` and `down` say while they work: one step after the other, each with its time.

`platform.py` speaks; the command line, `demo` and tests listen by handing in a `Report`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Said:
    """One thing said about a step. `state`: begun, going (may come often), note (worth keeping), done, failed."""

    step: str
    state: Literal["begun", "going", "note", "done", "failed"]
    text: str
    seconds: float
    """Since the step began."""
    fraction: float | None = None
    """How much of the step is done, 0..1, where that is known."""


Report = Callable[[Said], None]


def silent(_said: Said) -> None:
    """Listens to nothing."""


class Step:
    """A step that is being done: `going` for what it is at, `note` for what should be read later, `end` for its result."""

    def __init__(self, name: str, report: Report) -> None:
        self.name, self.result = name, ""
        self._report, self._begin = report, time.monotonic()

    def going(self, text: str, fraction: float | None = None) -> None:
        """What it is doing now."""
        self._say("going", text, fraction)

    def note(self, text: str) -> None:
        """Something that a person should know."""
        self._say("note", text)

    def end(self, text: str) -> None:
        """What came out, shown when the step is done."""
        self.result = text

    def _say(
        self, state: Literal["begun", "going", "note", "done", "failed"], text: str, f: float | None = None
    ) -> None:
        self._report(Said(self.name, state, text, time.monotonic() - self._begin, f))


@contextlib.contextmanager
def step(name: str, report: Report) -> Iterator[Step]:
    """Do something as a step: says that it has begun, and how it ended."""
    found = Step(name, report)
    found._say("begun", "")
    try:
        yield found
    except BaseException as error:
        found._say("failed", type(error).__name__)
        raise
    found._say("done", found.result)
