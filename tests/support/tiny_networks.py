"""Networks of a few numbers, trained here and written as ONNX; and the pictures that they tell apart.

`trained` learns to tell stripes (what an upsampler may leave) from smooth pictures, by the strength of their second
differences. Nothing here measures anything about real media.
"""

from __future__ import annotations

import functools
import wave
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE = 32
Pixels = NDArray[np.uint8]
_LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)


def smooth(seed: int, side: int = 96) -> Pixels:
    """A slope between two colours, [side, side, 3]."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 256, (2, 3))
    along = np.linspace(0, 1, side)[:, None, None] * np.ones((1, side, 1))
    return np.asarray(first + (second - first) * along, np.uint8)


def striped(seed: int, side: int = 96) -> Pixels:
    """The same with stripes three columns wide, of another brightness."""
    out = smooth(seed, side).astype(int)
    out[:, np.arange(side) // 3 % 2 == 0] += np.random.default_rng(seed).integers(25, 60)
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def save(pixels: Pixels, path: Path) -> Path:
    """The picture as a file."""
    Image.fromarray(pixels).save(path)
    return path


def sound(path: Path, seconds: float = 3.0, rate: int = 16_000, level: float = 0.5) -> Path:
    """A tone as a WAV file."""
    t = np.arange(int(seconds * rate)) / rate
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.sin(2 * np.pi * 440 * t) * level * 32767).astype("<i2").tobytes())
    return path


@functools.cache
def trained(bias: float = 0.0) -> bytes:
    """Logistic regression on the mean strength of second differences, fitted by gradient descent; [N, 3, 32, 32] to a logit."""
    pictures = [np.asarray(Image.fromarray(make(seed)).resize((SIDE, SIDE)), np.float32) / 255
                for make in (smooth, striped) for seed in range(40)]  # fmt: skip
    strengths = np.array([_strength(each) for each in pictures])
    middle, spread = strengths.mean(), strengths.std()
    features, labels = (strengths - middle) / spread, np.repeat([0.0, 1.0], 40)
    slope, offset = 0.0, 0.0
    for _ in range(500):
        p = 1 / (1 + np.exp(-(slope * features + offset)))
        slope -= float(np.mean((p - labels) * features))
        offset -= float(np.mean(p - labels))
    weight, offset = slope / spread, offset - slope * middle / spread
    kernel = np.zeros((3, 1, 3, 3), np.float32)
    kernel[:] = _LAPLACE
    constants = {
        "kernel": kernel,
        "w": np.full((3, 1), weight / 3, np.float32),
        "b": np.array([offset + bias], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["edges"], group=3),
        helper.make_node("Abs", ["edges"], ["strength"]),
        helper.make_node("ReduceMean", ["strength"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Gemm", ["mean", "w", "b"], ["y"]),
    ]
    return graph(nodes, ["N", 3, SIDE, SIDE], ["N", 1], constants)


def _strength(picture: NDArray[np.float32]) -> float:
    inner = picture[1:-1, 1:-1] * -4
    inner = inner + picture[:-2, 1:-1] + picture[2:, 1:-1] + picture[1:-1, :-2] + picture[1:-1, 2:]
    return float(np.abs(inner).mean())


def mean_of(sizes: list[int | str], bias: float = 0.0) -> bytes:
    """The mean of each sample plus `bias`, as a logit, for an input of these sizes."""
    axes = list(range(1, len(sizes)))
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("Add", ["mean", "bias"], ["shifted"]),
        helper.make_node("Unsqueeze", ["shifted", "last"], ["y"]),
    ]
    return graph(nodes, sizes, ["N", 1], {"bias": np.array(bias, np.float32), "last": np.array([1], np.int64)})


def graph(
    nodes: list[onnx.NodeProto], sizes: list[int | str], answer: list[int | str], constants: dict[str, NDArray]
) -> bytes:
    """A model of these nodes from `x` to `y`, as the bytes of its file."""
    made = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, answer)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return model(made)


def model(made: onnx.GraphProto) -> bytes:
    """A graph as a file, for operators of opset 13."""
    imports = [helper.make_opsetid("", 13), helper.make_opsetid("somebody.else", 1)]
    return bytes(helper.make_model(made, opset_imports=imports, ir_version=9).SerializeToString())


def endless() -> bytes:
    """A loop that has no end in anybody's lifetime."""
    return slow(2**62)


def slow(times: int) -> bytes:
    """The mean of a picture, turned round an even number of times: one run takes as long for many pictures as for one."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_in"], ["go_out"]),
            helper.make_node("Neg", ["v_in"], ["v_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_in", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_out", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Loop", ["times", "go", "mean"], ["turned"], body=body),
        helper.make_node("Unsqueeze", ["turned", "last"], ["y"]),
    ]
    constants = {"times": np.array(times, np.int64), "go": np.array(True), "last": np.array([1], np.int64)}
    return graph(nodes, ["N", 3, SIDE, SIDE], ["N", 1], constants)


def sociable() -> bytes:
    """How far a picture's mean is above that of all in the run: an answer that hangs on its company."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["each"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["x"], ["all"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["each", "all"], ["off"]),
        helper.make_node("Unsqueeze", ["off", "last"], ["y"]),
    ]
    return graph(nodes, ["N", 3, SIDE, SIDE], ["N", 1], {"last": np.array([1], np.int64)})
