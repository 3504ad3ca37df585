"""Faces are seen once per file: the second detector in a process looks for none, and says the same as it would alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drishtiksha.domain.media import MediaType
from drishtiksha_models.decode.video import open_film
from drishtiksha_models.detector import Deadline, DeadlinePassed, MediaFile
from drishtiksha_models.detectors.eye_blink_v1 import EyeBlink
from drishtiksha_models.detectors.face_temporal_v1 import FaceTemporal
from drishtiksha_models.perception import following
from drishtiksha_models.perception.following import MESH_BYTES, FaceFollower, Memory
from drishtiksha_models.perception.landmarks import FaceMesh, Mesh

Blinking = Callable[..., Path]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """The memory of a process that has just begun."""
    fresh = Memory()
    monkeypatch.setattr(following.FaceFollower.__init__, "__defaults__", (fresh,))
    return fresh


@pytest.fixture
def laid(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each run of FaceMesh."""
    runs: list[int] = []
    lay = FaceMesh.lay

    def counted(self: FaceMesh, *given: Any) -> Mesh:
        runs.append(1)
        return lay(self, *given)

    monkeypatch.setattr(FaceMesh, "lay", counted)
    return runs


def examine(detector: Any, path: Path, deadline: float = 300.0) -> Any:
    return detector.examine(MediaFile(path, MediaType.VIDEO, "video/mp4"), lambda _progress: None, Deadline(deadline))


def test_the_second_detector_of_a_file_makes_no_second_face_pass(
    memory: Memory, laid: list[int], blinking: Blinking, tmp_path: Path
) -> None:
    path = blinking("shared.mp4", 60, range(30, 35).__contains__)
    temporal, blink = FaceTemporal(), EyeBlink()
    temporal.load()
    blink.load()
    alone = examine(blink, path)
    assert (memory.passes, memory.recalls, len(laid) >= 60) == (1, 0, True)

    before = len(laid)
    copy = tmp_path / "the-same-bytes-elsewhere.mp4"
    copy.write_bytes(path.read_bytes())
    first = examine(temporal, copy)
    assert (memory.passes, memory.recalls, len(laid)) == (1, 1, before)

    memory._kept.clear()
    assert examine(temporal, path).facts == first.facts  # seen anew: the same answer
    assert examine(blink, path).facts == alone.facts  # recalled: the same answer
    assert (memory.passes, memory.recalls) == (2, 2)


def test_another_file_is_seen_by_itself(memory: Memory, blinking: Blinking) -> None:
    blink, other = EyeBlink(), EyeBlink()
    blink.load()
    other.load()
    examine(blink, blinking("one.mp4", 4, lambda _: False))
    examine(blink, blinking("two.mp4", 5, lambda _: False))
    assert (memory.passes, memory.recalls) == (2, 0)


def test_a_pass_that_was_broken_off_is_not_remembered(memory: Memory, blinking: Blinking) -> None:
    path = blinking("three.mp4", 6, lambda _: False)
    blink, other = EyeBlink(), EyeBlink()
    blink.load()
    other.load()
    with pytest.raises(DeadlinePassed):
        examine(blink, path, deadline=0.0)
    assert memory.size == 0
    examine(blink, path)
    assert (memory.passes, memory.recalls) == (2, 0)


def test_a_single_detector_keeps_nothing(memory: Memory, blinking: Blinking) -> None:
    follower = FaceFollower(memory)
    list(follower.follow(open_film(blinking("four.mp4", 4, lambda _: False))))
    assert memory.size == 0


def test_memory_forgets_the_longest_unused_and_never_passes_its_bound() -> None:
    memory = Memory(10 * MESH_BYTES)
    memory.readers = 2
    mesh = Mesh(1.0, np.zeros((468, 2), np.float32))
    for name in ("a", "b"):
        memory.keep(name, [mesh] * 4)
    assert memory.recall("a") is not None
    memory.keep("c", [mesh] * 4)
    assert [memory.recall(name) is not None for name in ("a", "b", "c")] == [True, False, True]
    memory.keep("too long", [mesh] * 11)
    assert memory.recall("too long") is None
    assert memory.size <= 10 * MESH_BYTES
    assert mesh.points.nbytes < MESH_BYTES
