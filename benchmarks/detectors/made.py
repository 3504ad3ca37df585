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
        "clip": _clip(folder / "clip.mp4"),
        "picture": _picture(folder / "picture.jpg"),
        "sound": _sound(folder / "sound.wav"),
    }


def _clip(path: Path) -> Path:
    """10 s of 1280 x 720 at 24 frames per second: the whole picture sways, the eyes shut every three seconds."""
    drawing = _module(TESTS / "face_temporal" / "conftest.py")
    shutting = _module(TESTS / "eye_blink" / "conftest.py")
    pen = drawing.Pen()
    opened = pen.portrait(shutting.SIZE, shutting.WIDTH, shutting.HEIGHT)
    heads = [cv2.resize(p, (960, 720), interpolation=cv2.INTER_CUBIC) for p in (opened.image, shutting.shut(opened))]
    heads = [cv2.copyMakeBorder(p, 0, 0, 160, 160, cv2.BORDER_REFLECT) for p in heads]

    def frames() -> Iterator[Any]:
        for i in range(CLIP_SECONDS * FPS):
            sway = np.array([[1, 0, 12 * math.sin(i / 9)], [0, 1, 8 * math.cos(i / 13)]])
            yield cv2.warpAffine(heads[40 <= i % 72 < 45], sway, CLIP_SIZE, borderMode=cv2.BORDER_REFLECT)

    film: Path = pen.film(path, frames(), fps=FPS, crf=23)
    return film


def _picture(path: Path) -> Path:
    """12 million pixels, saved as JPEG of quality 98, so that JPEG-GRID-V1 examines it."""
    part = _module(TESTS / "jpeg_grid" / "photos.py").photo(1, 1000, 750)
    width, height = PICTURE_SIZE
    Image.fromarray(np.tile(part, (4, 4, 1))[:height, :width]).save(path, quality=98)
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
