"""The measured media, drawn from fixed seeds: a clip of a head that moves and blinks, a large picture, a voice.

The head and the voice are those that the detectors' tests draw and the networks take for real, loaded from there.
"""

from __future__ import annotations

import importlib.util
import math
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

TESTS = Path(__file__).resolve().parent.parent.parent / "tests" / "modelserver"
CLIP_SECONDS, FPS, CLIP_SIZE = 10, 24, (1280, 720)
PICTURE_SIZE = (4000, 3000)
SOUND_SECONDS, RATE = 60, 48_000


def make(folder: Path) -> dict[str, Path]:
    """The three files, by name of what they are."""
    return {
        "clip": clip(folder / "clip.mp4", CLIP_SECONDS, CLIP_SIZE),
        "picture": picture(folder / "picture.jpg", PICTURE_SIZE),
        "sound": _sound(folder / "sound.wav"),
    }


def clip(path: Path, seconds: int, size: tuple[int, int]) -> Path:
    """A wide film at 24 frames per second: the whole picture sways, the eyes shut every three seconds."""
    drawing = _module(TESTS / "face_temporal" / "conftest.py")
    shutting = _module(TESTS / "eye_blink" / "conftest.py")
    pen = drawing.Pen()
    opened = pen.portrait(shutting.SIZE, shutting.WIDTH, shutting.HEIGHT)
    width, height = size
    edge = (width - height * 4 // 3) // 2
    heads = [
        cv2.resize(p, (width - 2 * edge, height), interpolation=cv2.INTER_CUBIC)
        for p in (opened.image, shutting.shut(opened))
    ]
    heads = [cv2.copyMakeBorder(p, 0, 0, edge, edge, cv2.BORDER_REFLECT) for p in heads]

    def frames() -> Iterator[Any]:
        for i in range(seconds * FPS):
            sway = np.array([[1, 0, 12 * math.sin(i / 9)], [0, 1, 8 * math.cos(i / 13)]])
            yield cv2.warpAffine(heads[40 <= i % 72 < 45], sway, size, borderMode=cv2.BORDER_REFLECT)

    film: Path = pen.film(path, frames(), fps=FPS, crf=23)
    return film


def picture(path: Path, size: tuple[int, int]) -> Path:
    """A photograph, tiled where it is large, saved as JPEG of quality 98, so that JPEG-GRID-V1 examines it."""
    part = _module(TESTS / "jpeg_grid" / "photos.py").photo(1, 1000, 750)
    width, height = size
    Image.fromarray(np.tile(part, (-(-height // 750), -(-width // 1000), 1))[:height, :width]).save(path, quality=98)
    return path


def _sound(path: Path) -> Path:
    """A minute of the voice that the tests of AUDIO-EVIDENCE-V1 draw."""
    voice = _module(TESTS / "audio_evidence" / "conftest.py").Draw.voice(SOUND_SECONDS, 120, RATE)
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes((np.clip(voice, -1, 1) * 32_767).astype("<i2").tobytes())
    return path


def _module(path: Path) -> Any:
    name = f"measured_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"no {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
