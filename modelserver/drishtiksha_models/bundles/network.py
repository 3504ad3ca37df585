"""A network that runs in this process: ONNX Runtime on the device that is there, batch by batch, with an end to every run.

`graph` has looked at the file before. The commands use it as it is; in the service it runs in a process of its own
(`asked`), where `batches` puts the samples of several requests together.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..detector import Deadline, DeadlinePassed
from .graph import Port, look
from .inputs import Input
from .layout import laid_out
from .manifest import GRAPH, BadBundle, Manifest
from .steps import Floats

_PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider")
_CPU = "CPUExecutionProvider"


class Network:
    """One loaded network. `device`: `cuda` or `cpu`; `sizes`: of its input, N first, None where any size will do; `most`: samples
    in one run; `memory_mb`: None, since it shares its process. One thread at a time."""

    memory_mb = None

    def __init__(self, data: bytes, manifest: Manifest) -> None:
        """Raises BadBundle when the file, its ports or its operators are not what the manifest says or this machine can run."""
        import onnxruntime

        found = look(data)
        self._input, self._output = manifest.input, manifest.output
        self.most = manifest.runtime.max_batch
        self.sizes = _the_input(found.inputs, manifest.input).sizes
        if manifest.output.tensor not in [port.name for port in found.outputs]:
            names = ", ".join(port.name for port in found.outputs)
            raise BadBundle(f"output.tensor: {GRAPH} has no output {manifest.output.tensor!r}; it has {names}.")
        if self.sizes and self.sizes[0] is not None:
            self.most = min(self.most, self.sizes[0])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = manifest.runtime.threads, 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=[*accelerators(manifest), _CPU])
        except Exception as error:  # onnxruntime has an exception per fault, all of them of Exception only
            raise BadBundle(f"{GRAPH}: cannot be run here: {_first_line(error)}") from None
        self.device = "cpu" if self._session.get_providers()[0] == _CPU else "cuda"

    def laid_out(self, sample: Floats) -> NDArray[np.generic]:
        """One sample as the network takes it, without the axis N. Raises BadBundle when its sizes do not fit."""
        return laid_out(sample, self._input, self.sizes)

    def answers(self, samples: Sequence[NDArray[np.generic]], deadline: Deadline) -> NDArray[np.float64]:
        """What the network says of laid-out samples: [samples, numbers]. Raises DeadlinePassed; BadBundle when it says nothing usable."""
        rows = [self._run(np.stack(samples[at : at + self.most]), deadline) for at in range(0, len(samples), self.most)]
        return np.concatenate(rows)

    def _run(self, batch: NDArray[np.generic], deadline: Deadline) -> NDArray[np.float64]:
        import onnxruntime

        deadline.check()
        count, fixed = len(batch), self.sizes[0] if self.sizes else None
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


def accelerators(manifest: Manifest) -> list[str]:
    """What ONNX Runtime offers here beside the CPU, as far as the bundle wants it."""
    import onnxruntime

    there = onnxruntime.get_available_providers()
    return [name for name in _PROVIDERS if name in there] if manifest.runtime.device == "auto" else []


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
