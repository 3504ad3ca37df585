"""How one sample is laid out for a network: the order of its axes, its type, and the sizes that the input takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .inputs import Input
from .manifest import GRAPH, BadBundle
from .steps import Floats

_ORDER = {
    "NCHW": (2, 0, 1),
    "NHWC": (0, 1, 2),
    "NTCHW": (0, 3, 1, 2),
    "NTHWC": (0, 1, 2, 3),
    "NCTHW": (3, 0, 1, 2),
}
"""How a sample [H, W, C] or [T, H, W, C] is turned; sound gets a channel in front where the layout has one."""


def laid_out(sample: Floats, said: Input, sizes: Sequence[int | None]) -> NDArray[np.generic]:
    """One sample without the axis N, for an input of these `sizes` (N first). Raises BadBundle when they do not fit."""
    turned = np.transpose(sample, _ORDER[said.layout]) if said.layout in _ORDER else sample
    if said.layout in ("NCS", "NCFT"):
        turned = turned[None]
    wanted = sizes[1:]
    if len(turned.shape) != len(wanted) or any(w not in (None, s) for w, s in zip(wanted, turned.shape, strict=True)):
        says = " x ".join("any" if size is None else str(size) for size in wanted)
        gets = " x ".join(map(str, turned.shape))
        raise BadBundle(
            f"input: sampler and steps make {gets} ({said.layout[1:]}), {GRAPH} takes {says}; change the steps."
        )
    if said.dtype == "uint8":
        turned = np.clip(np.rint(turned), 0, 255)
    return np.ascontiguousarray(turned, dtype=said.dtype)
