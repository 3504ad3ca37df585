"""A bundle under load: how many requests a run of its network holds, and what the weights cost when there are more workers.

The network is made here of random numbers; it says nothing about anything.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from drishtiksha_models.bundles.scaffold import Wanted, init, seal, write

from . import clients, stage

NAME = "RANDOM-V1"
WIDE = 4096
SIDE = 64
WORKERS, CLIENTS = 4, 16


def measure(media: clients.Media, seconds: float, folder: Path) -> dict[str, Any]:
    """The same load on runs of up to eight samples and on runs of one; memory with one worker and with four."""
    picture = folder / media.name
    picture.write_bytes(media.data)
    (folder / "net.onnx").write_bytes(_network())
    asked = clients.Media(media.name, media.mimetype, media.data, (NAME,))
    rounds, memory = [], {}
    for most in (8, 1):
        served = folder / f"runs-of-{most}"
        made = served / NAME
        init(Wanted(made, folder / "net.onnx", picture, NAME, "whole-image", "Apache-2.0", "random numbers"))
        manifest = json.loads((made / "manifest.json").read_text())
        manifest["runtime"]["max_batch"] = most
        manifest["golden"]["tolerance"] = 0.01
        write(made, manifest)
        seal(made)
        for workers in (1, WORKERS) if most == 8 else (WORKERS,):
            with stage.service(workers, CLIENTS, BUNDLES=str(served), ACTIVE_MODELS=NAME) as of:
                clients.measure(of, asked, 2 * workers, 1.0)
                memory[workers] = round(of.memory_mib())
                if workers == WORKERS:
                    before = _counts(of.url)
                    found = clients.measure(of, asked, CLIENTS, seconds)
                    runs, requests = (now - old for now, old in zip(_counts(of.url), before, strict=True))
                    rounds.append({"most": most, "runs": runs, "requests": requests, **found})
    return {
        "weights_mib": round(len(_network()) / 1024**2),
        "workers": WORKERS,
        "clients": CLIENTS,
        "rounds": rounds,
        "memory_mib": [{"workers": workers, "mib": mib} for workers, mib in sorted(memory.items())],
    }


def _counts(url: str) -> tuple[int, int]:
    """Runs and requests so far."""
    text = httpx.get(f"{url}/metrics", timeout=10).text
    found = dict(re.findall(r"^drishtiksha_model_network_(runs|requests)_total\S* (\d+)\.0$", text, re.MULTILINE))
    return int(found["runs"]), int(found["requests"])


def _network() -> bytes:
    """[N, 3, SIDE, SIDE] to a logit, by way of WIDE x WIDE numbers."""
    random = np.random.default_rng(1)
    sizes = ((3 * SIDE * SIDE, 256), (256, WIDE), (WIDE, WIDE), (WIDE, 1))
    nodes, weights, at = [helper.make_node("Flatten", ["x"], ["h0"])], [], "h0"
    for index, (inside, outside) in enumerate(sizes):
        scale = np.float32(1 / np.sqrt(inside))
        weights.append(
            numpy_helper.from_array(random.normal(0, scale, (inside, outside)).astype(np.float32), f"w{index}")
        )
        last = index == len(sizes) - 1
        nodes.append(helper.make_node("MatMul", [at, f"w{index}"], ["y" if last else f"m{index}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"m{index}"], [at := f"h{index + 1}"]))
    graph = helper.make_graph(
        nodes,
        "random",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        weights,
    )
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
    return bytes(made.SerializeToString())
