"""Misbehaviour happens to those pods that were named, as often as was asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drishtiksha_devcluster.node.faults import Fault, Faults, write


def pod(name: str = "ma-1", uid: str = "1", **labels: str) -> dict[str, Any]:
    return {"name": name, "namespace": "n", "uid": uid, "labels": labels}


def test_without_a_file_nothing_is_different(tmp_path: Path) -> None:
    faults = Faults(tmp_path / "faults.json", "cpu-0")
    assert not faults.look()
    assert faults.of(pod()) == set()
    assert not faults.lost


def test_a_fault_is_a_level_that_ends_when_it_is_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    faults = Faults(file, "cpu-0")
    write(file, [Fault("freeze", name="ma-*", labels={"model": "X"})], ["cpu-0"])
    assert faults.look()
    assert not faults.look()
    assert faults.lost
    assert faults.of(pod(model="X")) == {"freeze"}
    assert faults.of(pod(model="Y")) == faults.of(pod("other", model="X")) == set()
    write(file)
    assert faults.look()
    assert faults.of(pod(model="X")) == set()
    assert not faults.lost


def test_a_limited_fault_stays_with_the_pods_that_had_it_first(tmp_path: Path) -> None:
    write(tmp_path / "faults.json", [Fault("evict", times=1)])
    faults = Faults(tmp_path / "faults.json", "cpu-0")
    faults.look()
    assert [faults.of(pod(uid=uid)) for uid in ("1", "2", "1")] == [{"evict"}, set(), {"evict"}]


def test_an_unreadable_file_means_no_faults(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    faults = Faults(file, "cpu-0")
    write(file, [Fault("freeze")])
    faults.look()
    for wrong in ("{", "[]", '{"pods": [{"fault": "freeze", "unknown": 1}]}'):
        file.write_text(wrong)
        faults.look()
        assert faults.of(pod()) == set()
