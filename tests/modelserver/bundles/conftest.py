"""Small networks and the bundles made of them, through the very commands that people use."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

import tiny_networks as nets

from drishtiksha_models.bundles.scaffold import Wanted, init, seal, write

Make = Callable[..., Path]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture with stripes: what the trained network calls fake."""
    return nets.save(nets.striped(3), tmp_path / "striped.png")


@pytest.fixture
def make(tmp_path: Path, picture: Path) -> Make:
    """Makes a sealed bundle: of a network's bytes, with changes to its manifest by dotted keys."""

    def made(
        network: bytes | None = None,
        changes: dict[str, Any] | None = None,
        *,
        name: str = "STRIPES-V1",
        sampler: str = "whole-image",
        golden: Path | None = None,
        where: Path | None = None,
    ) -> Path:
        model = tmp_path / f"{name}.onnx"
        model.write_bytes(nets.trained() if network is None else network)
        folder = (where or tmp_path / "bundles") / name
        init(Wanted(folder, model, golden or picture, name, sampler, "Apache-2.0", "trained by this test"))
        if changes:
            change(folder, changes)
            seal(folder)
        return folder

    return made


def change(folder: Path, changes: dict[str, Any]) -> None:
    """Set keys of a manifest, like {"decision.min_evidence": 2}; None removes one."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for where, value in changes.items():
        at, (*path, last) = manifest, where.split("/") if "/" in where else where.split(".")
        for key in path:
            at = at[key]
        if value is None:
            del at[last]
        else:
            at[last] = value
    write(folder, manifest)
