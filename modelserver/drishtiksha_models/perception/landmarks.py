"""Lays FaceMesh over a face: whether a face is there at all, and where its 468 points are.

Source: Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019; the network is
Google MediaPipe's (Apache-2.0). Next to it: `faces.py` (where to look first), `coherence.py` (what the points frame).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, exp, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from drishtiksha_models.perception.faces import Face
from drishtiksha_models.perception.weights import FACE_MESH, locate

SIDE = 192
"""Pixels of the network's input."""
MARGIN = 1.5
"""How much larger than the face the square is that the network sees."""
PRESENT = 0.9
"""Presence above which a box holds a face: it removed every false box of our clips and kept every true one."""
RIGHT_EYE, LEFT_EYE = 33, 263
"""Points at the outer corners of the eyes."""
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Points around the face, in order."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Square:
    """Where to look: centre and side in pixels, turned by `angle` radians."""

    x: float
    y: float
    side: float
    angle: float


@dataclass(frozen=True, slots=True)
class Mesh:
    """Presence of a face 0..1, and 468 points (x, y) in pixels of the picture."""

    presence: float
    points: Floats

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, width, height around all points."""
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])

    @property
    def square(self) -> Square:
        """Where to look in the next frame."""
        x, y, width, height = self.box
        return Square(
            x + width / 2,
            y + height / 2,
            MARGIN * max(width, height),
            _tilt(self.points[RIGHT_EYE], self.points[LEFT_EYE]),
        )


class FaceMesh:
    """The loaded network. It is not thread-safe: one per worker."""

    def __init__(self) -> None:
        self._net = cv2.dnn.readNetFromTFLite(str(locate(FACE_MESH)))
        self._outputs = list(self._net.getUnconnectedOutLayersNames())

    def lay(self, image: NDArray[np.uint8], where: Square) -> Mesh:
        """Lay the mesh over an RGB picture at a place."""
        scale = SIDE / max(1.0, where.side)
        c, s = cos(-where.angle) * scale, sin(-where.angle) * scale
        forward = np.array([[c, -s, 0], [s, c, 0]], np.float64)
        forward[:, 2] = SIDE / 2 - forward[:, :2] @ np.array([where.x, where.y])
        crop = cv2.warpAffine(image, forward, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
        self._net.setInput(cv2.dnn.blobFromImage(crop, 1 / 255.0))
        # Output order differs between versions of the library: the size tells points from presence.
        outputs = {out.size: out.ravel() for out in self._net.forward(self._outputs)}
        presence = 1 / (1 + exp(-float(np.clip(outputs[1][0], -80, 80))))
        points = outputs[1404].reshape(468, 3)[:, :2]
        back = cv2.invertAffineTransform(forward)
        return Mesh(presence, (points @ back[:, :2].T + back[:, 2]).astype(np.float32))


def square_of(face: Face) -> Square:
    """Where the mesh should look for a face that was found."""
    x, y, width, height = face.box
    return Square(x + width / 2, y + height / 2, MARGIN * max(width, height), _tilt(face.right_eye, face.left_eye))


def _tilt(right_eye: NDArray | tuple[float, float], left_eye: NDArray | tuple[float, float]) -> float:
    return atan2(float(left_eye[1] - right_eye[1]), float(left_eye[0] - right_eye[0]))
