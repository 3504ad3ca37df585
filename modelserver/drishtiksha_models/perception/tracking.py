"""Follows the largest face from frame to frame, and lets nothing pass that FaceMesh does not call a face.

While the mesh holds, it says itself where to look next, and the finder rests. Next to it: `faces.py`, `landmarks.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drishtiksha_models.perception.faces import FaceFinder
from drishtiksha_models.perception.landmarks import PRESENT, FaceMesh, Mesh, Square, square_of

TRIED = 2
"""Found boxes, largest first, that the mesh is laid over before the frame counts as empty."""
FAR_EVERY = 6
"""Frames without a face between two askings of the slower full-range network."""


class FaceTracker:
    """The networks and the place of the face in the last frame. One per worker; `forget` between two videos."""

    def __init__(self) -> None:
        self._finder = FaceFinder()
        self._mesh = FaceMesh()
        self._where: Square | None = None
        self._empty = 0

    def forget(self) -> None:
        """Begin another video."""
        self._where, self._empty = None, 0

    def see(self, image: NDArray[np.uint8]) -> Mesh | None:
        """The mesh of the face in the next RGB frame; None when no face is surely there."""
        mesh = self._follow(image) or self._find(image)
        self._where = mesh.square if mesh else None
        self._empty = 0 if mesh else self._empty + 1
        return mesh

    def all_in(self, image: NDArray[np.uint8]) -> list[Mesh]:
        """The mesh of every face in one RGB picture, largest first; what was followed before is forgotten."""
        self.forget()
        meshes = [_sure(self._mesh.lay(image, square_of(face))) for face in self._finder.find(image)]
        return [mesh for mesh in meshes if mesh is not None]

    def _follow(self, image: NDArray[np.uint8]) -> Mesh | None:
        if self._where is None:
            return None
        return _sure(self._mesh.lay(image, self._where))

    def _find(self, image: NDArray[np.uint8]) -> Mesh | None:
        for face in self._finder.find(image, far=self._empty % FAR_EVERY == 0)[:TRIED]:
            mesh = _sure(self._mesh.lay(image, square_of(face)))
            if mesh is not None:
                return mesh
        return None


def _sure(mesh: Mesh) -> Mesh | None:
    return mesh if mesh.presence > PRESENT and bool(np.isfinite(mesh.points).all()) else None
