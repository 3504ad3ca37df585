"""Samples of several requests in one run of a network, without waiting for company: what is there when it is free goes together.

A request that is alone is run at once. Where a run of several fails or is late, each is run by itself, so that one
request's samples cost no other its answer. Pure but for its threads; `asked` puts it behind a socket.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..detector import Deadline, DeadlinePassed

STUCK = 5.0
"""Seconds after its deadline at which a run that should have ended by itself is given up, and the process with it."""


class Runs(Protocol):
    """A network, as far as it is needed here. `most`: samples in one run."""

    most: int

    def answers(self, samples: Sequence[NDArray[Any]], deadline: Deadline) -> NDArray[np.float64]:
        """[samples, numbers]. Raises DeadlinePassed, BadBundle."""
        ...


@dataclass(eq=False)
class Asked:
    """At most `most` samples of one request, laid out, [n, ...]. `alone`: never together with another's; `begins` is called
    before it is run so."""

    samples: NDArray[Any]
    deadline: Deadline
    alone: bool = False
    begins: Callable[[], None] = lambda: None
    rows: NDArray[np.float64] | None = None
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def end(self, rows: NDArray[np.float64] | None = None, error: Exception | None = None) -> None:
        """Wake whoever waits for it."""
        self.rows, self.error = rows, error
        self.done.set()


class Batches:
    """The queue before one network. `tell` hears of each run: how many requests and how many samples it had; `stuck` is called
    when a run goes on and on after its deadline: only the end of the process ends it."""

    def __init__(self, network: Runs, tell: Callable[[int, int], None], stuck: Callable[[], object]) -> None:
        self._network, self._tell, self._stuck = network, tell, stuck
        self._waiting: deque[Asked] = deque()
        self._news = threading.Condition()

    def ask(self, asked: Asked) -> NDArray[np.float64]:
        """Wait for the rows of these samples; any thread. Raises DeadlinePassed, BadBundle."""
        if len(asked.samples) > self._network.most:
            raise ValueError(f"{len(asked.samples)} samples at once, {self._network.most} fit")
        with self._news:
            self._waiting.append(asked)
            self._news.notify()
        asked.done.wait()
        if asked.error is not None:
            raise asked.error
        assert asked.rows is not None
        return asked.rows

    def serve(self) -> None:
        """Run what waits, for ever; one thread."""
        while True:
            self.run(self._take())

    def run(self, together: list[Asked]) -> None:
        """One run, and by itself again each that is not to blame for a run of several that failed."""
        together = [asked for asked in together if not self._is_late(asked)]
        if not together:
            return
        if together[0].alone:
            together[0].begins()
        samples = [sample for asked in together for sample in asked.samples]
        self._tell(len(together), len(samples))
        deadline = min((asked.deadline for asked in together), key=Deadline.left)
        watch = threading.Timer(deadline.left() + STUCK, self._stuck)
        watch.daemon = True
        watch.start()
        try:
            rows = self._network.answers(samples, deadline)
        except Exception as error:
            watch.cancel()
            if len(together) == 1:
                together[0].end(error=error)
                return
            for asked in together:
                self.run([asked])
            return
        watch.cancel()
        at = 0
        for asked in together:
            asked.end(rows[at : at + len(asked.samples)])
            at += len(asked.samples)

    def _take(self) -> list[Asked]:
        """The first that waits, and those behind it that may and can go with it, in their order."""
        with self._news:
            while not self._waiting:
                self._news.wait()
            together = [self._waiting.popleft()]
            room = self._network.most - len(together[0].samples)
            while not together[0].alone and self._waiting and not self._waiting[0].alone:
                if len(self._waiting[0].samples) > room or not _alike(self._waiting[0], together[0]):
                    break
                together.append(self._waiting.popleft())
                room -= len(together[-1].samples)
            return together

    def _is_late(self, asked: Asked) -> bool:
        late = asked.deadline.left() == 0
        if late:
            asked.end(error=DeadlinePassed("The time given for this analysis is over."))
        return late


def _alike(one: Asked, other: Asked) -> bool:
    """Whether two may be stacked: where an input takes any size, samples of two files may differ."""
    return one.samples.shape[1:] == other.samples.shape[1:] and one.samples.dtype == other.samples.dtype
