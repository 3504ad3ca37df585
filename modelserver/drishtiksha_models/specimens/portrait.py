"""A portrait and films of it, drawn by code, that the face networks take for a face. Nobody is shown.

`films.py` makes the specimens of them; the tests of the face detectors draw with the same pen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

SKIN, HAIR, DARK, LIPS = (214, 170, 145), (50, 35, 28), (62, 44, 34), (180, 94, 94)
SHADOWS = (
    (-28, -8, 22, 14, -38), (28, -8, 22, 14, -38), (0, 25, 12, 30, 14), (-9, 36, 7, 5, -45), (9, 36, 7, 5, -45),
    (0, 44, 22, 5, -25), (0, 80, 26, 7, -25), (-60, 30, 12, 50, -30), (60, 30, 12, 50, -30),
    (-13, 10, 6, 28, -18), (13, 10, 6, 28, -18),
)  # fmt: skip
"""x, y, half width, half height, brightness: sockets, nose, chin and cheeks, with the face's middle at 0, 0."""


@dataclass(frozen=True)
class Portrait:
    """An RGB picture, and how much of each pixel belongs to the face (0..1)."""

    image: Picture
    face: NDArray[np.float32]


class Pen:
    """Draws; sizes in pixels, the face's oval is about 0.68 x 0.92 of `size` wide and high."""

    @staticmethod
    def portrait(size: int, width: int = 480, height: int = 270, centre: tuple[int, int] | None = None) -> Portrait:
        """Head and shoulders before an uneven wall."""
        fine, k = 3, 3 * size / 200
        rng = np.random.default_rng(1)
        wall = cv2.resize(
            rng.normal(0, 1, (height // 6, width // 6)).astype(np.float32),
            (width * fine, height * fine),
            interpolation=cv2.INTER_CUBIC,
        )
        picture: Any = np.array((120, 140, 160), np.float32) + wall[..., None] * 18
        cx, cy = (v * fine for v in (centre or (width // 2, height // 2)))

        def ellipse(on: Any, x: float, y: float, a: float, b: float, colour: Any, *arc: float) -> None:
            turn, start, end, thick = arc or (0, 0, 360, -1)
            place, axes = (int(cx + x * k), int(cy + y * k)), (int(a * k), int(b * k))
            thick = thick if thick < 0 else max(1, int(thick * k))
            cv2.ellipse(on, place, axes, turn, start, end, colour, int(thick), cv2.LINE_AA)

        ellipse(picture, 0, 190, 130, 90, (60, 70, 110))
        ellipse(picture, 0, -20, 88, 108, HAIR)
        ellipse(picture, 0, 100, 32, 40, (190, 145, 120))
        ellipse(picture, 0, 10, 68, 92, SKIN)
        picture = cv2.GaussianBlur(picture, (0, 0), 3 * k)
        for x, y, a, b, light in SHADOWS:
            shade = np.zeros(picture.shape[:2], np.float32)
            ellipse(shade, x, y, a, b, 1.0)
            picture += cv2.GaussianBlur(shade, (0, 0), 4 * k)[..., None] * light
        for side in (-28, 28):
            ellipse(picture, side, -8, 15, 7, (235, 232, 228))
            ellipse(picture, side, -8, 7.2, 7.2, (70, 50, 40))
            ellipse(picture, side, -8, 3.4, 3.4, (12, 10, 10))
            ellipse(picture, side, -8, 16, 8, DARK, 0, 180, 360, 2.5)
            ellipse(picture, side, -26, 20, 7, DARK, 0, 200, 340, 5)
        ellipse(picture, 0, 62, 26, 8, LIPS)
        face: Any = np.zeros(picture.shape[:2], np.float32)
        ellipse(face, 0, 10, 62, 86, 1.0)
        picture, face = (cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in (picture, face))
        picture += rng.normal(0, 4, picture.shape)
        return Portrait(
            np.clip(picture, 0, 255).astype(np.uint8), np.asarray(cv2.GaussianBlur(face, (0, 0), 2), np.float32)
        )

    @staticmethod
    def moving(portrait: Portrait, frames: int, jitter: float, seed: int = 3) -> Iterator[Picture]:
        """The camera sways smoothly; the face alone is displaced by a random `jitter` pixels in each frame."""
        rng = np.random.default_rng(seed)
        height, width = portrait.image.shape[:2]
        for i in range(frames):
            sway = np.array([[1, 0, 6 * np.sin(i / 9)], [0, 1, 4 * np.cos(i / 13)]])
            shake = sway + np.array([[0, 0, 1], [0, 0, 0]]) * rng.normal(0, jitter)
            shake = shake + np.array([[0, 0, 0], [0, 0, 1]]) * rng.normal(0, jitter)
            still, moved = (
                cv2.warpAffine(portrait.image, m, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
                for m in (sway, shake)
            )
            share = cv2.warpAffine(portrait.face, sway, (width, height))[..., None]
            yield (still * (1 - share) + moved * share).astype(np.uint8)

    @staticmethod
    def film(
        path: Path,
        frames: Iterable[Picture],
        fps: int = 24,
        crf: int = 20,
        rotation: int = 0,
        times: Sequence[float] | None = None,
    ) -> Path:
        """H.264 in the container that the path's suffix names; `times` in seconds make the rate vary."""
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": "veryfast"})
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = Fraction(1, 1000)
            for i, picture in enumerate(frames):
                if i == 0:
                    stream.height, stream.width = picture.shape[:2]
                    if rotation:
                        stream.set_display_rotation(rotation)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts, frame.time_base = round((times[i] if times else i / fps) * 1000), Fraction(1, 1000)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        return path
