"""Makes the first manifest of a bundle out of an ONNX file, and seals one: hashes, sizes, and what the golden file gives.

What can be read from the graph is written down; what cannot is guessed and said, for the person to change.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..decode.identify import identify
from ..detector import BadMedia
from .detector import BundleDetector, Mingled
from .folder import Bundle
from .graph import Graph, Port, look
from .inputs import LAYOUTS
from .manifest import GRAPH, MANIFEST, SCHEMA, BadBundle, parse

_COLOURS = (1, 3)
_DEFAULT_SIDE = 224
"""Pixels, where the graph takes pictures of any size."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person says about a new bundle."""

    folder: Path
    model: Path
    golden: Path
    name: str
    sampler: str
    licence: str
    source: str


def init(wanted: Wanted) -> list[str]:
    """Make the folder with model, golden file and a sealed manifest; the guesses that a person should look at.

    Raises BadBundle, and FileExistsError when there is a manifest already.
    """
    if (wanted.folder / MANIFEST).exists():
        raise FileExistsError(f"{wanted.folder / MANIFEST} is there already; change it and run: bundle seal")
    try:
        graph = look(wanted.model.read_bytes())
        kind = identify(wanted.golden).media_type
    except OSError as error:
        raise BadBundle(f"{error.filename}: cannot be read ({error.strerror}).") from None
    except BadMedia as error:
        raise BadBundle(f"{wanted.golden.name}: {error}") from None
    manifest, guesses = _first(wanted, graph, str(kind))
    wanted.folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(wanted.model, wanted.folder / GRAPH)
    shutil.copyfile(wanted.golden, wanted.folder / _golden_name(wanted.golden))
    write(wanted.folder, manifest)
    try:
        seal(wanted.folder)
    except Mingled:
        guesses.append(
            "runtime.max_batch: 1, since an answer changes with what else is in the run (quantization may do that)"
        )
        manifest["runtime"]["max_batch"] = 1
        write(wanted.folder, manifest)
        seal(wanted.folder)
    return guesses


def seal(folder: Path) -> dict[str, Any]:
    """Write hashes and sizes of the listed files, and the golden file's answer as it is here, into the manifest; that manifest.

    Raises BadBundle when the bundle cannot be run.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise BadBundle(f"{MANIFEST}: {error}") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise BadBundle(f"{MANIFEST}: files: is missing; see `drishtiksha-models bundle schema`.")
    for name in manifest["files"]:
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise BadBundle(f"{name}: is listed in {MANIFEST}, and no regular file of the folder.")
        with path.open("rb") as file:
            manifest["files"][name] = {
                "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
                "bytes": path.stat().st_size,
            }
    text = json.dumps(manifest).encode()
    detector = BundleDetector(Bundle(folder, parse(text), text))
    detector.prepare()
    manifest["golden"]["expected"] = [float(f"{number:.6g}") for number in detector.golden()]
    write(folder, manifest)
    return manifest


def write(folder: Path, manifest: Mapping[str, Any]) -> None:
    """The manifest for people to read; in one piece or not at all."""
    part = folder / f".{MANIFEST}.part"
    part.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    part.replace(folder / MANIFEST)


def _golden_name(path: Path) -> str:
    return f"golden{path.suffix.lower()}"


def _first(wanted: Wanted, graph: Graph, kind: str) -> tuple[dict[str, Any], list[str]]:
    if len(graph.inputs) != 1:
        names = ", ".join(port.name for port in graph.inputs)
        raise BadBundle(
            f"{GRAPH}: has the inputs {names}; a bundle's network has one. Fold the others in when exporting."
        )
    port, guesses = graph.inputs[0], list[str]()
    layout = _layout(wanted.sampler, port)
    sampler, steps = _sampler(wanted.sampler, port, layout, guesses)
    output = _output(graph, guesses)
    nothing = {"sha256": "0" * 64, "bytes": 1}
    return {
        "schema": SCHEMA,
        "name": wanted.name,
        "version": "0.1.0",
        "media_types": [kind],
        "license": {"spdx": wanted.licence, "source": wanted.source},
        "files": {GRAPH: nothing, _golden_name(wanted.golden): dict(nothing)},
        "runtime": {"threads": 1, "max_batch": 8, "device": "auto"},
        "input": {
            "tensor": port.name,
            "layout": layout,
            "dtype": port.dtype,
            "color": "RGB",
            "sampler": sampler,
            "steps": steps,
        },
        "output": output,
        "calibration": {"status": "none"},
        "decision": {"aggregate": "mean", "suspect_above": 0.8, "clear_below": 0.2, "min_evidence": 1},
        "evidence": {
            "claims": "Says how likely its training data make it that this media is synthetic.",
            "limits": [
                "Not calibrated: its score is no probability, and says nothing about media unlike its training data."
            ],
        },
        "golden": {"file": _golden_name(wanted.golden), "expected": [0.0], "tolerance": 0.001},
    }, guesses


def _layout(sampler: str, port: Port) -> str:
    fitting = [layout for layout in LAYOUTS[sampler] if len(layout) == len(port.sizes)]
    for layout in fitting:
        if "C" not in layout or port.sizes[layout.index("C")] in _COLOURS:
            return layout
    if fitting:
        return fitting[0]
    axes = " or ".join(str(len(layout)) for layout in LAYOUTS[sampler])
    raise BadBundle(f"{GRAPH}: takes {len(port.sizes)} axes; the sampler {sampler} gives {axes}.")


def _sampler(kind: str, port: Port, layout: str, guesses: list[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    size = dict(zip(layout, port.sizes, strict=True))
    if kind in ("audio-window", "mel"):
        guesses.append("input.sampler: 16,000 Hz, windows of 4 s every 4 s: put in what the network was trained on")
        said: dict[str, Any] = {"kind": kind, "rate": 16_000, "seconds": 4.0, "hop": 4.0}
        if kind == "audio-window" and size["S"]:
            said["seconds"] = size["S"] / 16_000
        if kind == "mel":
            said |= {"n_fft": 1024, "step": 256, "bands": size["F"] or 80}
            if size["T"]:
                said["seconds"] = ((size["T"] - 1) * 256 + 1024) / 16_000
        return said, []
    said = {"kind": kind}
    if kind == "frame-sequence":
        said["length"] = size["T"] or 16
    guesses.append("input.steps: pixels are divided by 255 and not normalized: many networks were trained otherwise")
    shape = {"width": size["W"] or _DEFAULT_SIDE, "height": size["H"] or _DEFAULT_SIDE}
    steps: list[dict[str, Any]] = [{"op": "resize", **shape, "by": "linear"}, {"op": "scale", "by": 1 / 255}]
    if size["C"] == 1:
        steps.insert(0, {"op": "to_gray"})
    return said, steps


def _output(graph: Graph, guesses: list[str]) -> dict[str, Any]:
    port = graph.outputs[0]
    numbers = 1
    for size in port.sizes[1:]:
        numbers *= size or 1
    if numbers == 1:
        kind = "probability" if graph.last == "Sigmoid" else "logit"
        guesses.append(f"output.kind: {kind}, of FAKE, since the network ends with {graph.last or 'something unknown'}")
        return {"tensor": port.name, "kind": kind}
    kind = "probabilities" if graph.last == "Softmax" else "logits"
    guesses.append(f"output: {kind} over {numbers} classes, of which the second (positive: 1) is taken for FAKE")
    return {"tensor": port.name, "kind": kind, "classes": [f"class_{i}" for i in range(numbers)], "positive": 1}
