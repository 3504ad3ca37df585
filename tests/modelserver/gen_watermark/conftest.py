"""The encoder of the mark, for tests only, written from the scheme; pictures without a mark; running the detector."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import Deadline, Examination
from drishtiksha_models.detectors.gen_watermark_v1 import DETECTOR

Picture = NDArray[np.uint8]
STEP = 36.0


class Maker:
    """Makes pictures with and without a mark."""

    @staticmethod
    def photo(seed: int, width: int = 512, height: int = 384) -> Picture:
        """Clouds of colour with a 1/f spectrum and a little grain."""
        random = np.random.default_rng(seed)
        radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
        radius[0, 0] = 1.0
        planes = []
        for _ in range(3):
            plane = np.fft.irfft2(np.fft.rfft2(random.normal(size=(height, width))) / radius, s=(height, width))
            planes.append((plane - plane.mean()) / plane.std())
        colour = np.stack(planes, axis=2)
        colour = 120 + 30 * colour.mean(axis=2, keepdims=True) + 14 * colour + random.normal(0, 2, colour.shape)
        return np.clip(colour, 0, 255).astype(np.uint8)

    @staticmethod
    def marked(picture: Picture, bits: Sequence[bool], as_float: bool = True, swapped: bool = False) -> Picture:
        """The picture with the bits written in, as a generator's code hands it to its encoder."""
        there, back = (cv2.COLOR_BGR2YUV, cv2.COLOR_YUV2BGR) if swapped else (cv2.COLOR_RGB2YUV, cv2.COLOR_YUV2RGB)
        yuv = cv2.cvtColor(picture.astype(np.float32) if as_float else picture, there)
        height, width = (side // 8 * 8 for side in picture.shape[:2])
        plane = yuv[:height, :width, 1].astype(np.float64)
        coarse = plane.reshape(height // 2, 2, width // 2, 2).sum(axis=(1, 3)) / 2
        blocks = coarse.reshape(height // 8, 4, width // 8, 4).transpose(0, 2, 1, 3).reshape(-1, 16).copy()
        each = np.arange(len(blocks))
        place = np.abs(blocks[:, 1:]).argmax(axis=1) + 1
        value = blocks[each, place]
        size = (np.abs(value) // STEP + 0.25 + 0.5 * np.resize(np.array(bits, float), len(blocks))) * STEP
        blocks[each, place] = np.where(value < 0, -size, size)
        changed = blocks.reshape(height // 8, width // 8, 4, 4).transpose(0, 2, 1, 3).reshape(coarse.shape)
        plane += np.kron((changed - coarse) / 2, np.ones((2, 2)))
        yuv[:height, :width, 1] = plane if as_float else np.clip(plane, 0, 255)
        return np.clip(cv2.cvtColor(yuv, back), 0, 255).astype(np.uint8)

    @staticmethod
    def jpeg(picture: Picture, quality: int) -> bytes:
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "JPEG", quality=quality)
        return out.getvalue()

    @staticmethod
    def png(picture: Picture) -> bytes:
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "PNG", compress_level=1)
        return out.getvalue()


@pytest.fixture(scope="session")
def maker() -> Maker:
    """The maker."""
    return Maker()


@pytest.fixture
def examine(tmp_path: Path) -> Callable[[bytes], Examination]:
    """Examine bytes, as the worker does."""
    DETECTOR.load()

    def run(data: bytes) -> Examination:
        path = tmp_path / "media"
        path.write_bytes(data)
        return DETECTOR.examine(identify(path), lambda _progress: None, Deadline(100))

    return run
