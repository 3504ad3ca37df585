"""Reads how far the eyes of a face are open: the lids' outline by MediaPipe Iris, and its height over its width.

FaceMesh's own eye points do not follow closed lids; those of the iris network do. Source of the network: Ablavatski et
al., "Real-time Pupil Tracking from Monocular Video for Digital Puppetry", 2020 (Google MediaPipe, Apache-2.0). The ratio
follows Soukupova and Cech, "Real-Time Eye Blink Detection using Facial Landmarks", CVWW 2016.
Next to it: `landmarks.py` (where the eyes are), `blinks.py` (what the openness over time means).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, hypot, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from drishtiksha_models.perception.landmarks import Mesh
from drishtiksha_models.perception.weights import EYES, locate

SIDE = 64
"""Pixels of the network's input."""
MARGIN = 2.3
"""How much larger than the eye's width the square is that the network sees."""
CORNERS = ((33, 133, False), (263, 362, True))
"""Outer corner, inner corner, whether the eye is mirrored for the network; the eye at the picture's left comes first."""
LOWER, UPPER = tuple(range(1, 8)), tuple(range(9, 16))
"""Points of the lids between the corners 0 and 8, each above its partner."""
NARROWEST = 12.0
"""Pixels between the corners under which an eye is not read."""
TURNED_AWAY = 0.6
"""An eye whose width is less than this share of the other's is turned away and not read."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Eye:
    """One eye: the 16 points of its lids (x, y) in pixels of the picture, and mean height over width."""

    lids: Floats
    openness: float


class EyeReader:
    """The loaded network. It is not thread-safe: one per worker. Raises Unloadable when the weights are missing."""

    def __init__(self) -> None:
        self._net = cv2.dnn.readNetFromTFLite(str(locate(EYES)))
        self._outputs = list(self._net.getUnconnectedOutLayersNames())

    def read(self, image: NDArray[np.uint8], mesh: Mesh) -> list[Eye]:
        """The eyes of a face in an RGB picture that are turned to the camera and large enough: none, one or two."""
        widths = [float(np.hypot(*(mesh.points[a] - mesh.points[b]))) for a, b, _ in CORNERS]
        least = max(NARROWEST, TURNED_AWAY * max(widths))
        found = [
            self._lids(image, mesh.points[outer], mesh.points[inner], mirrored)
            for width, (outer, inner, mirrored) in zip(widths, CORNERS, strict=True)
            if width >= least
        ]
        return [Eye(lids, openness(lids)) for lids in found if np.isfinite(lids).all()]

    def _lids(self, image: NDArray[np.uint8], outer: Floats, inner: Floats, mirrored: bool) -> Floats:
        left, right = (inner, outer) if mirrored else (outer, inner)
        middle, along = (left + right) / 2, right - left
        scale, angle = SIDE / (MARGIN * max(1.0, hypot(*along))), atan2(along[1], along[0])
        c, s = cos(-angle) * scale, sin(-angle) * scale
        forward = np.array([[c, -s, 0], [s, c, 0]], np.float64)
        forward[:, 2] = SIDE / 2 - forward[:, :2] @ middle
        if mirrored:
            forward[0] = -forward[0]
            forward[0, 2] += SIDE
        crop = cv2.warpAffine(image, forward, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self._net.setInput(cv2.dnn.blobFromImage(crop, 1 / 255.0))
        # Output order differs between versions of the library: the size tells the lids from the iris.
        outputs = {out.size: out.ravel() for out in self._net.forward(self._outputs)}
        points = outputs[213].reshape(71, 3)[:16, :2]
        back = cv2.invertAffineTransform(forward)
        return np.asarray(points @ back[:, :2].T + back[:, 2], np.float32)


def openness(lids: Floats) -> float:
    """Mean height between the lids over the width between the corners: 0 shut, about 0.3 wide open."""
    heights = np.hypot(*(lids[list(LOWER)] - lids[list(UPPER)]).T)
    return float(heights.mean() / max(1e-6, np.hypot(*(lids[0] - lids[8]))))
