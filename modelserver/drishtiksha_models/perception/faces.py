"""Finds faces in one picture: BlazeFace, the short-range network first, the full-range one for what it misses.

Source: Bazarevsky et al., "BlazeFace", 2019; networks of Google MediaPipe (Apache-2.0) out of the wheel named in
`weights.py`. Next to it: `landmarks.py`, which says whether a found box really holds a face.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drishtiksha_models.perception.weights import FACES_FULL_RANGE, FACES_SHORT_RANGE, Weight, locate

SURE = 0.5
"""Score at which a box counts as found; the mesh gate behind it is stricter."""
OVERLAP = 0.3
"""Intersection over union above which two boxes are one face."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Face:
    """A found face: x, y, width, height in pixels, score 0..1, and its right and left eye (x, y) in pixels."""

    box: tuple[float, float, float, float]
    score: float
    right_eye: tuple[float, float]
    left_eye: tuple[float, float]


class BlazeFace:
    """One network with its anchors. A network object is not thread-safe: one per worker."""

    def __init__(self, weight: Weight, side: int, anchors: Floats) -> None:
        self._net = cv2.dnn.readNetFromTFLite(str(locate(weight)))
        self._outputs = list(self._net.getUnconnectedOutLayersNames())
        self._side = side
        self._anchors = anchors

    def find(self, image: NDArray[np.uint8]) -> list[Face]:
        """Faces in an RGB picture of any size, best first."""
        square, scale, left, top = letterbox(image, self._side)
        self._net.setInput(cv2.dnn.blobFromImage(square, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
        # Output order differs between versions of the library: the last axis tells boxes from scores.
        outputs = {int(out.shape[2]): out[0] for out in self._net.forward(self._outputs)}
        scores = 1 / (1 + np.exp(-np.clip(outputs[1][:, 0], -80, 80)))
        sure = np.flatnonzero(scores >= SURE)
        if sure.size == 0:
            return []
        points = outputs[16][sure].reshape(-1, 8, 2) / self._side
        points[:, [0, 2, 3, 4, 5, 6, 7]] += self._anchors[sure, None, :]
        points[:, [0, 2, 3, 4, 5, 6, 7]] = (
            points[:, [0, 2, 3, 4, 5, 6, 7]] * self._side - np.array([left, top], np.float32)
        ) / scale
        points[:, 1] *= self._side / scale
        return _distinct(points, scores[sure])


class FaceFinder:
    """Short range first, full range for what it misses."""

    def __init__(self) -> None:
        self._near = BlazeFace(FACES_SHORT_RANGE, 128, anchors(((16, 2), (8, 6))))
        self._far = BlazeFace(FACES_FULL_RANGE, 192, anchors(((48, 1),)))

    def find(self, image: NDArray[np.uint8], far: bool = True) -> list[Face]:
        """Faces in an RGB picture, largest first; `far` also asks the slower network when the quick one sees nothing."""
        found = self._near.find(image)
        if not found and far:
            found = self._far.find(image)
        return sorted(found, key=lambda face: -face.box[2] * face.box[3])


def anchors(layers: tuple[tuple[int, int], ...]) -> Floats:
    """Centres (x, y) in 0..1, in the networks' order: per layer of `cells` x `cells`, `each` at the same place."""
    centres = []
    for cells, each in layers:
        y, x = np.mgrid[0:cells, 0:cells]
        grid = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / cells
        centres.append(np.repeat(grid, each, axis=0))
    return np.concatenate(centres).astype(np.float32)


def letterbox(image: NDArray[np.uint8], side: int) -> tuple[NDArray[np.uint8], float, int, int]:
    """(square picture, scale, left margin, top margin): the whole picture in a square without distortion."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (side - inner[0]) // 2, (side - inner[1]) // 2
    square = np.zeros((side, side, 3), np.uint8)
    square[top : top + inner[1], left : left + inner[0]] = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    return square, scale, left, top


def _distinct(points: Floats, scores: Floats) -> list[Face]:
    """The best of each heap of overlapping boxes. Points: centre, size, right eye, left eye, …"""
    boxes = [[float(v) for v in (c[0] - s[0] / 2, c[1] - s[1] / 2, s[0], s[1])] for c, s in points[:, :2]]
    kept = cv2.dnn.NMSBoxes(boxes, [float(s) for s in scores], SURE, OVERLAP)
    return [
        Face(
            (boxes[i][0], boxes[i][1], boxes[i][2], boxes[i][3]),
            float(scores[i]),
            (float(points[i, 2, 0]), float(points[i, 2, 1])),
            (float(points[i, 3, 0]), float(points[i, 3, 1])),
        )
        for i in np.asarray(kept, int).ravel()
        if boxes[i][2] > 0 and boxes[i][3] > 0
    ]
