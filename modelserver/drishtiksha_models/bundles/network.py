"""A network that runs: ONNX Runtime on the device that is there, batch by batch, with an end to every run.

`graph` has looked at the file before. Used by `detector`, which makes the samples and reads the scores.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..detector import Deadline, DeadlinePassed
from .graph import Port, look
from .inputs import Input
from .manifest import GRAPH, BadBundle, Manifest
from .steps import Floats

_PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider")
_CPU = "CPUExecutionProvider"
_ORDER = {
    "NCHW": (2, 0, 1),
    "NHWC": (0, 1, 2),
    "NTCHW": (0, 3, 1, 2),
    "NTHWC": (0, 1, 2, 3),
    "NCTHW": (3, 0, 1, 2),
}
"""How a sample [H, W, C] or [T, H, W, C] is turned; sound gets a channel in front where the layout has one."""


class Network:
    """One loaded network. `device`: `cuda` or `cpu`. Not thread-safe: one per worker."""

    def __init__(self, data: bytes, manifest: Manifest) -> None:
        """Raises BadBundle when the file, its ports or its operators are not what the manifest says or this machine can run."""
        import onnxruntime

        found = look(data)
        self._input, self._output = manifest.input, manifest.output
        self._most = manifest.runtime.max_batch
        self._port = _the_input(found.inputs, manifest.input)
        if manifest.output.tensor not in [port.name for port in found.outputs]:
            names = ", ".join(port.name for port in found.outputs)
            raise BadBundle(f"output.tensor: {GRAPH} has no output {manifest.output.tensor!r}; it has {names}.")
        if self._port.sizes and self._port.sizes[0] is not None:
            self._most = min(self._most, self._port.sizes[0])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = manifest.runtime.threads, 1
        options.log_severity_level = 4
        there = onnxruntime.get_available_providers()
        wanted = [name for name in _PROVIDERS if name in there] if manifest.runtime.device == "auto" else []
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=[*wanted, _CPU])
        except Exception as error:  # onnxruntime has an exception per fault, all of them of Exception only
            raise BadBundle(f"{GRAPH}: cannot be run here: {_first_line(error)}") from None
        self.device = "cpu" if self._session.get_providers()[0] == _CPU else "cuda"

    def laid_out(self, sample: Floats) -> NDArray[np.generic]:
        """One sample in the layout and type that the network takes, without the axis N. Raises BadBundle when its sizes do not fit."""
        kind = self._input
        turned = np.transpose(sample, _ORDER[kind.layout]) if kind.layout in _ORDER else sample
        if kind.layout in ("NCS", "NCFT"):
            turned = turned[None]
        wanted = self._port.sizes[1:]
        if len(turned.shape) != len(wanted) or any(
            w not in (None, s) for w, s in zip(wanted, turned.shape, strict=True)
        ):
            says = " x ".join("any" if size is None else str(size) for size in wanted)
            gets = " x ".join(map(str, turned.shape))
            raise BadBundle(
                f"input: sampler and steps make {gets} ({kind.layout[1:]}), {GRAPH} takes {says}; change the steps."
            )
        if kind.dtype == "uint8":
            turned = np.clip(np.rint(turned), 0, 255)
        return np.ascontiguousarray(turned, dtype=kind.dtype)

    def answers(self, samples: Sequence[NDArray[np.generic]], deadline: Deadline) -> NDArray[np.float64]:
        """What the network says of laid-out samples: [samples, numbers]. Raises DeadlinePassed; BadBundle when it says nothing usable."""
        rows = [
            self._run(np.stack(samples[at : at + self._most]), deadline) for at in range(0, len(samples), self._most)
        ]
        return np.concatenate(rows)

    def _run(self, batch: NDArray[np.generic], deadline: Deadline) -> NDArray[np.float64]:
        import onnxruntime

        deadline.check()
        count, fixed = len(batch), self._port.sizes[0] if self._port.sizes else None
        if fixed is not None and count < fixed:  # a network of a fixed batch is given its last sample again
            batch = np.concatenate([batch, np.repeat(batch[-1:], fixed - count, axis=0)])
        options = onnxruntime.RunOptions()
        late = threading.Timer(deadline.left(), setattr, (options, "terminate", True))
        late.daemon = True
        late.start()
        try:
            (answer,) = self._session.run([self._output.tensor], {self._input.tensor: batch}, options)
        except Exception as error:  # as above
            if options.terminate:
                raise DeadlinePassed("The time given for this analysis is over.") from None
            raise BadBundle(f"{GRAPH}: fails on its input: {_first_line(error)}") from None
        finally:
            late.cancel()
        rows = np.asarray(answer, np.float64)
        if rows.ndim == 0 or rows.shape[0] != len(batch):
            raise BadBundle(
                f"output: {GRAPH} answers {list(rows.shape)} for {len(batch)} samples; its first axis must be N."
            )
        return rows.reshape(len(batch), -1)[:count]


def _the_input(ports: Sequence[Port], said: Input) -> Port:
    names = ", ".join(port.name for port in ports)
    if len(ports) != 1:
        raise BadBundle(
            f"{GRAPH}: has the inputs {names}; a bundle's network has one. Fold the others in when exporting."
        )
    (port,) = ports
    if port.name != said.tensor:
        raise BadBundle(f"input.tensor: {GRAPH} has no input {said.tensor!r}; its input is {names}.")
    if port.dtype != said.dtype:
        raise BadBundle(f"input.dtype: is {said.dtype}, {GRAPH} takes {port.dtype}.")
    if len(port.sizes) != len(said.layout):
        raise BadBundle(f"input.layout: {said.layout} has {len(said.layout)} axes, {GRAPH} takes {len(port.sizes)}.")
    return port


def _first_line(error: Exception) -> str:
    """ONNX Runtime's words, without their tail of source positions."""
    return str(error).strip().splitlines()[0][:300]
