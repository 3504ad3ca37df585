"""Hears where somebody speaks: Silero's voice activity network, run as a stream, and the segments drawn from it.

Source of the network: silero-vad (MIT). It wants 512 new samples at 16 kHz with the 64 samples before them, and its
own state back. Next to it: `acoustics.py` (what the sound is like), `weights.py` (where the network lies).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from drishtiksha_models.perception.weights import SPEECH, locate

RATE = 16_000
"""Hz, the network's only rate here."""
HOP = 512
"""New samples per step: 32 ms."""
CONTEXT = 64
"""Samples of the step before that the network wants to see again."""
SPEAKS = 0.5
"""Probability at which a segment begins."""
SILENT = 0.35
"""Probability under which a segment may end; lower than SPEAKS, so that a segment does not flicker."""
SHORTEST = 0.25
"""Seconds; shorter bursts are no segment."""
PAUSE = 0.1
"""Seconds of silence that end a segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Somebody speaks from `start` to `end`, in seconds."""

    start: float
    end: float


class SpeechNetwork:
    """The loaded network; `listen` gives a fresh stream. Raises Unloadable when the weights are missing."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(locate(SPEECH)), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def listen(self) -> SpeechStream:
        """A stream that begins in silence."""
        return SpeechStream(self._session)


class SpeechStream:
    """Probability of speech for each 32 ms of one recording, fed block by block."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(CONTEXT, np.float32)
        self._rest = np.zeros(0, np.float32)
        self._rate = np.array(RATE, np.int64)

    def feed(self, samples: NDArray[np.float32]) -> list[float]:
        """Take 16 kHz mono samples of any number; give the probabilities of the steps that became complete."""
        waiting = np.concatenate([self._rest, samples])
        steps = waiting.size // HOP
        self._rest = waiting[steps * HOP :]
        return [self._step(waiting[i * HOP : (i + 1) * HOP]) for i in range(steps)]

    def _step(self, samples: NDArray[np.float32]) -> float:
        window = np.concatenate([self._context, samples])[None, :]
        self._context = samples[-CONTEXT:]
        inputs = {"input": window, "state": self._state, "sr": self._rate}
        probability, self._state = self._session.run(["output", "stateN"], inputs)
        return float(probability[0, 0])


def segments(probabilities: Sequence[float]) -> list[Segment]:
    """Segments of speech, in seconds, from one probability per 32 ms; hysteresis between SPEAKS and SILENT."""
    step = HOP / RATE
    found: list[Segment] = []
    start: int | None = None
    quiet: int | None = None
    for i, probability in enumerate(probabilities):
        if probability >= SPEAKS:
            start = i if start is None else start
            quiet = None
        elif start is not None and probability < SILENT:
            quiet = i if quiet is None else quiet
            if (i + 1 - quiet) * step >= PAUSE:
                found.append(Segment(start * step, quiet * step))
                start = quiet = None
    if start is not None:
        found.append(Segment(start * step, (quiet if quiet is not None else len(probabilities)) * step))
    return [s for s in found if s.end - s.start >= SHORTEST]
