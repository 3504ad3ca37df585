"""The face of each frame of a film, seen once per file: what one detector saw is remembered for the next one here.

Memory is that of one worker process, keyed by the sha256 of the file, and bounded. Only meshes are kept, never pixels:
the next detector decodes again, which costs a fifth of seeing. Next to it: `tracking.py` (how a face is followed).
See docs/decisions/0016-faces-are-seen-once.md.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drishtiksha_models.perception.landmarks import Mesh
from drishtiksha_models.perception.tracking import FaceTracker

if TYPE_CHECKING:
    from drishtiksha_models.decode.video import Film, Frame

MOST_BYTES = 64 * 1024 * 1024
"""Of meshes kept in one process; one takes 3.7 KiB, so the longest film that is examined fits."""
MESH_BYTES = 4096
"""What one mesh is counted as."""

Sightings = Sequence[Mesh | None]
"""For each frame from the first on: the mesh of the face, or None."""


class Memory:
    """What was seen of the last files, the latest used first to stay. Nothing is kept for a single reader."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[str, Sightings] = OrderedDict()
        self.readers = 0
        self.passes = 0
        """Films whose faces were looked for, frame by frame."""
        self.recalls = 0
        """Films whose faces were known already."""

    @property
    def size(self) -> int:
        """Bytes, counted."""
        return sum(self._bytes(kept) for kept in self._kept.values())

    def recall(self, key: str) -> Sightings | None:
        """What was seen of this file, if it is still known."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        self.recalls += 1
        return self._kept[key]

    def keep(self, key: str, seen: Sightings) -> None:
        """Remember, and forget the longest unused until all fits; what alone does not fit is not kept."""
        if self.readers < 2 or self._bytes(seen) > self._most:
            return
        self._kept[key] = seen
        while self.size > self._most:
            self._kept.popitem(last=False)

    @staticmethod
    def _bytes(seen: Sightings) -> int:
        return sum(MESH_BYTES if mesh is not None else 8 for mesh in seen)


SHARED = Memory()
"""The memory of this process."""


class FaceFollower:
    """Frames with the mesh of their face; one per detector. Raises Unloadable when the weights are missing."""

    def __init__(self, memory: Memory = SHARED) -> None:
        self._tracker = FaceTracker()
        self._memory = memory
        memory.readers += 1

    def follow(self, film: Film) -> Iterator[tuple[Frame, Mesh | None]]:
        """Decode the film, frame by frame; look for the face unless it is known. A pass that is broken off is forgotten."""
        key = _digest(film.path)
        known = self._memory.recall(key)
        if known is not None:
            for frame in film.frames():
                yield frame, known[frame.number]
            return
        self._tracker.forget()
        self._memory.passes += 1
        seen: list[Mesh | None] = []
        for frame in film.frames():
            mesh = self._tracker.see(frame.image)
            if self._memory.readers > 1:
                seen.append(mesh)
            yield frame, mesh
        self._memory.keep(key, seen)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
