"""The steps of a manifest on one picture or one stretch of sound: pure functions of arrays. `inputs` says what each means."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from . import inputs

Floats = NDArray[np.float32]
"""Height x width x channels (0..255 before the first step), or sound as samples or bands x frames."""

_BY = {
    "area": cv2.INTER_AREA,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "nearest": cv2.INTER_NEAREST,
}
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601, for red, green, blue."""


def apply(steps: Sequence[inputs.Step], array: Floats, color: str = "RGB") -> Floats:
    """All steps in their order; of a picture in RGB the channels are brought into the order of `color` first."""
    if color == "BGR" and array.ndim == 3:
        array = array[:, :, ::-1]
    for step in steps:
        array = _one(step, np.ascontiguousarray(array), color)
    return np.ascontiguousarray(array)


def _one(step: inputs.Step, array: Floats, color: str) -> Floats:
    match step:
        case inputs.Resize():
            return _resized(array, step.width, step.height, step.by)
        case inputs.ResizeShort():
            scale = step.to / min(array.shape[:2])
            wide, high = (max(step.to, round(side * scale)) for side in (array.shape[1], array.shape[0]))
            return _resized(array, wide, high, step.by)
        case inputs.CenterCrop():
            return _middle(array, step.width, step.height)
        case inputs.Pad():
            side = max(array.shape[:2])
            square = np.full((side, side, array.shape[2]), step.value, np.float32)
            top, left = (side - array.shape[0]) // 2, (side - array.shape[1]) // 2
            square[top : top + array.shape[0], left : left + array.shape[1]] = array
            return square
        case inputs.Scale():
            return np.asarray(array * np.float32(step.by))
        case inputs.Normalize():
            return np.asarray((array - np.array(step.mean, np.float32)) / np.array(step.std, np.float32))
        case inputs.ToGray():
            weights = _GREY if color == "RGB" else _GREY[::-1]
            return np.asarray(array @ weights)[..., None] if array.shape[2] == 3 else array


def _resized(array: Floats, width: int, height: int, by: str) -> Floats:
    done = cv2.resize(array, (width, height), interpolation=_BY[by])
    return np.asarray(done, np.float32).reshape(height, width, array.shape[2])  # cv2 drops a single channel


def _middle(array: Floats, width: int, height: int) -> Floats:
    out = np.zeros((height, width, array.shape[2]), np.float32)
    high, wide = min(height, array.shape[0]), min(width, array.shape[1])
    top, left = (array.shape[0] - high) // 2, (array.shape[1] - wide) // 2
    to_top, to_left = (height - high) // 2, (width - wide) // 2
    out[to_top : to_top + high, to_left : to_left + wide] = array[top : top + high, left : left + wide]
    return out
