"""A network as a worker sees it: asked over a socket, in the process that `asked` is. The counterpart of `Network`.

When that process dies, the samples are asked again by themselves, in the next one: whoever's samples kill it again, alone,
is told so; all others get their answers.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..detector import Crashed, Deadline, DeadlinePassed
from . import arrays
from .inputs import Input
from .layout import laid_out
from .manifest import BadBundle
from .steps import Floats

PATIENCE = 60.0
"""Seconds that a worker waits for a network's process to be there."""
ATTEMPTS = 6
"""How often samples are asked when the process keeps dying of others' samples."""
_GRACE = 1.0
"""Seconds after the deadline in which the process may still say that it is late."""
_PAUSE = 0.02


class _Broken(Exception):
    """The process has gone; `ours`: while it ran these samples and no others."""

    def __init__(self, *, ours: bool) -> None:
        super().__init__()
        self.ours = ours


class RemoteNetwork:
    """One per worker. Attributes as those of `Network`; `memory_mb` is that of the network's process. Not thread-safe."""

    def __init__(self, place: Path, said: Input) -> None:
        """Connect; raises BadBundle with the reason when the network is refused or not there."""
        self._address, self._input = arrays.address(place), said
        self._end: socket.socket | None = None
        try:
            hello = self._connect(Deadline(PATIENCE))
        except (DeadlinePassed, Crashed):
            raise BadBundle("its network's process does not answer; the service's log says why.") from None
        self.device, self.memory_mb = str(hello["device"]), float(hello["memory_mb"])
        self.sizes: tuple[int | None, ...] = tuple(hello["sizes"])
        self.most = int(hello["most"])

    def laid_out(self, sample: Floats) -> NDArray[np.generic]:
        """As `Network.laid_out`."""
        return laid_out(sample, self._input, self.sizes)

    def answers(self, samples: Sequence[NDArray[np.generic]], deadline: Deadline) -> NDArray[np.float64]:
        """As `Network.answers`. Raises Crashed, too, when these samples end the network's process."""
        parts = [np.stack(samples[at : at + self.most]) for at in range(0, len(samples), self.most)]
        return np.concatenate([self._part(part, deadline) for part in parts])

    def _part(self, part: NDArray[np.generic], deadline: Deadline) -> NDArray[np.float64]:
        for attempt in range(ATTEMPTS):
            deadline.check()
            try:
                return self._ask(part, deadline, alone=attempt > 0)
            except _Broken as broken:
                self._leave()
                if broken.ours:
                    break
        raise Crashed("The network's process ended while it examined this file.")

    def _ask(self, part: NDArray[np.generic], deadline: Deadline, *, alone: bool) -> NDArray[np.float64]:
        if self._end is None:
            self._connect(deadline)
        end, begun = self._end, False
        if end is None:
            raise RuntimeError("a connection was made")
        try:
            end.settimeout(deadline.left() + _GRACE)
            arrays.send(end, {"seconds": deadline.left(), "alone": alone}, part)
            said, rows = arrays.receive(end)
            if "begins" in said:
                begun = True
                said, rows = arrays.receive(end)
        except TimeoutError:
            self._leave()
            raise DeadlinePassed("The time given for this analysis is over.") from None
        except OSError:
            raise _Broken(ours=begun) from None
        if "late" in said:
            raise DeadlinePassed(str(said["late"]))
        if "refused" in said or rows is None:
            raise BadBundle(str(said.get("refused", "the network's process gave no answer.")))
        return np.asarray(rows, np.float64)

    def _connect(self, deadline: Deadline) -> dict[str, Any]:
        """A connection and what it says first. Raises BadBundle with the reason of a refusal; Crashed after PATIENCE."""
        patience = Deadline(PATIENCE)
        while True:
            deadline.check()
            end = socket.socket(socket.AF_UNIX)
            try:
                end.settimeout(PATIENCE)
                end.connect(self._address)
                hello, _ = arrays.receive(end)
            except OSError:
                end.close()
                if patience.left() == 0:
                    raise Crashed("The network's process is not there; the service's log says why.") from None
                time.sleep(_PAUSE)
                continue
            if "refused" in hello:
                end.close()
                raise BadBundle(str(hello["refused"]))
            self._end = end
            return hello

    def _leave(self) -> None:
        if self._end is not None:
            self._end.close()
            self._end = None
