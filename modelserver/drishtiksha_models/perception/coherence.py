"""Measures whether a face moves as smoothly as what surrounds it: acc_ratio, from the optical flow of three frames.

The flow from the middle frame back and the flow forward cancel where motion is smooth; what is left is acceleration.
Its median inside the face over its median in a ring around the face (plus STILL) is acc_ratio. A face drawn anew for each frame
trembles against its surroundings and raises it. Source of the flow: Farneback, "Two-frame motion estimation based on
polynomial expansion", SCIA 2003. The ratio is this project's own; flow as a cue follows Amerini et al., ICCVW 2019.
Next to it: `landmarks.py`, whose points frame the crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drishtiksha_models.perception.landmarks import OVAL

SIDE = 160
"""Pixels of the stabilised crop."""
FACE = 80
"""Pixels of the crop that the face takes."""
RING_INNER, RING_OUTER = 1.1, 1.5
"""The ring around the face, in sizes of the face oval."""
LEAST_RING = 600
"""Pixels of the ring that must lie inside the picture."""
STILL = 0.05
"""Pixels of flow added under the line: about the flow's own noise, without which a still picture divides by nothing."""

Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Crop:
    """A place of the picture brought to SIDE x SIDE: the transform, and where face, ring and picture lie in it."""

    transform: NDArray[np.float64]
    oval: NDArray[np.bool_]
    ring: NDArray[np.bool_]

    def cut(self, gray: Gray) -> Gray:
        """The crop of one frame."""
        cut = cv2.warpAffine(
            gray, self.transform, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(cut, np.uint8)


@dataclass(frozen=True, slots=True)
class Coherence:
    """acc_ratio of one frame, and the acceleration of each pixel of its crop in pixels of the crop (SIDE x SIDE)."""

    ratio: float
    acceleration: Floats


def crop_around(points: Floats, width: int, height: int) -> Crop:
    """The crop that holds the face of these 468 points upright at FACE pixels, of a picture of that size."""
    low, high = points.min(axis=0), points.max(axis=0)
    centre, size = (low + high) / 2, float(max(high - low))
    scale = FACE / max(1.0, size)
    shift = SIDE / 2 - scale * centre
    transform = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)
    contour = points[list(OVAL)] * scale + shift.astype(np.float32)
    middle = contour.mean(axis=0)

    def filled(grown: float) -> NDArray[np.bool_]:
        mask = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillPoly(mask, [np.round(middle + (contour - middle) * grown).astype(np.int32)], 1)
        return mask.astype(bool)

    inside = np.zeros((SIDE, SIDE), bool)
    x0, y0 = np.ceil(np.clip(shift + 1, 0, SIDE)).astype(int)
    x1, y1 = np.floor(np.clip(scale * np.array([width, height]) + shift - 1, 0, SIDE)).astype(int)
    inside[y0:y1, x0:x1] = True
    return Crop(transform, filled(1.0) & inside, filled(RING_OUTER) & ~filled(RING_INNER) & inside)


def coherence(before: Gray, now: Gray, after: Gray, crop: Crop) -> Coherence | None:
    """acc_ratio of the middle of three gray frames; None when too little around the face is in the picture.

    All three are cut at the middle frame's place, so that no trembling of the landmarks enters.
    """
    if crop.ring.sum() < LEAST_RING or crop.oval.sum() < LEAST_RING:
        return None
    middle = crop.cut(now)
    left_over = _flow(middle, crop.cut(before)) + _flow(middle, crop.cut(after))
    acceleration = np.hypot(left_over[..., 0], left_over[..., 1]).astype(np.float32)
    face, ring = float(np.median(acceleration[crop.oval])), float(np.median(acceleration[crop.ring]))
    return Coherence(face / (ring + STILL), acceleration)


def _flow(a: Gray, b: Gray) -> Floats:
    empty = np.zeros((SIDE, SIDE, 2), np.float32)
    return np.asarray(cv2.calcOpticalFlowFarneback(a, b, empty, 0.5, 3, 15, 3, 5, 1.2, 0), np.float32)
