"""The drawn portrait of FACE-TEMPORAL-V1's tests, with its eyes open and shut; films of it blinking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from drishtiksha_models.specimens.portrait import DARK, Pen

SIZE, WIDTH, HEIGHT = 220, 480, 360
FPS = 24


def shut(portrait: Any) -> Any:
    """The same head with lids of skin over its eyes and a dark line where they meet."""
    picture = portrait.image.copy()
    k, cx, cy = SIZE / 200, WIDTH // 2, HEIGHT // 2
    for side in (-28, 28):
        place = int(cx + side * k), int(cy - 8 * k)
        around = picture[place[1] - int(14 * k), place[0]].tolist()
        cv2.ellipse(picture, place, (int(18 * k), int(10 * k)), 0, 0, 360, around, -1, cv2.LINE_AA)
        cv2.ellipse(
            picture,
            (place[0], place[1] - int(2 * k)),
            (int(15 * k), int(4 * k)),
            0,
            10,
            170,
            DARK,
            3,
            cv2.LINE_AA,
        )
    return picture


@pytest.fixture(scope="session")
def blinking(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A film of so many frames whose eyes are shut in the frames that `closed` accepts."""
    pen = Pen()
    portrait = pen.portrait(SIZE, WIDTH, HEIGHT)
    closed_eyes = shut(portrait)
    folder = tmp_path_factory.mktemp("blinks")

    def make(name: str, frames: int, closed: Callable[[int], bool], fps: int = FPS) -> Path:
        def pictures() -> Iterator[Any]:
            for i in range(frames):
                sway = np.array([[1, 0, 4 * np.sin(i / 9)], [0, 1, 3 * np.cos(i / 13)]])
                yield cv2.warpAffine(
                    closed_eyes if closed(i) else portrait.image, sway, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT
                )

        path: Path = pen.film(folder / name, pictures(), fps=fps)
        return path

    return make
