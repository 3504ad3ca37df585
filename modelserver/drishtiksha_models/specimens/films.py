"""Films drawn by code: an ordinary clip with sound, a portrait that moves or is drawn anew for each frame, and one that blinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np

from .drawing import Pixels, landscape
from .portrait import DARK, Pen, Portrait
from .sounds import RATE, tones

FPS = 24
SIZE = (640, 360)


def clip(path: Path, rng: np.random.Generator, seconds: int) -> None:
    """Drawn shapes moving over a landscape, 640 x 360 at 24 fps, H.264, with a tone track in AAC; no face is in it."""
    width, height = SIZE
    scene = landscape(rng, height, width + 48 * seconds)
    yy, xx = np.mgrid[0:height, 0:width]
    sound = tones(rng, float(seconds))
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=FPS, options={"crf": "22", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for number in range(seconds * FPS):
            time = number / FPS
            picture = scene[:, int(time * 44) : int(time * 44) + width].copy()
            for k, colour in enumerate(((214, 84, 58), (240, 196, 66), (66, 120, 190))):
                cx = width * (0.5 + 0.33 * np.sin(time * (0.9 + 0.2 * k) + k * 2.1))
                cy = height * (0.5 + 0.28 * np.cos(time * (1.1 - 0.15 * k) + k))
                picture[(xx - cx) ** 2 + (yy - cy) ** 2 < (26 + 10 * k) ** 2] = colour
            for packet in video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        samples = av.AudioFrame.from_ndarray(sound[None, :], format="fltp", layout="mono")
        samples.sample_rate = RATE
        for packet in [*video.encode(None), *audio.encode(samples), *audio.encode(None)]:
            container.mux(packet)


@cache
def head(size: int = 140, width: int = 480, height: int = 270) -> Portrait:
    """The drawn portrait; `size` is the height of its head or so, in pixels."""
    return Pen.portrait(size, width, height)


def face(path: Path, jitter: float, seconds: float, seed: int = 3, size: int = 140) -> None:
    """The portrait before a swaying camera. With `jitter` its face alone is put down anew in each frame, off by a random
    displacement of so many pixels (standard deviation): what synthesis frame by frame leaves."""
    Pen.film(path, Pen.moving(head(size), int(seconds * FPS), jitter, seed), fps=FPS)


def blinking(path: Path, shut: Callable[[int], bool], seconds: float, size: int = 220) -> None:
    """The portrait with its eyes shut in the frames that `shut` accepts."""
    width, height = 480, 360
    opened = head(size, width, height)
    closed = _lids(opened, size)

    def pictures() -> Iterator[Pixels]:
        for i in range(int(seconds * FPS)):
            sway = np.array([[1, 0, 4 * np.sin(i / 9)], [0, 1, 3 * np.cos(i / 13)]])
            frame = closed if shut(i) else opened.image
            yield np.asarray(cv2.warpAffine(frame, sway, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)

    Pen.film(path, pictures(), fps=FPS)


def _lids(portrait: Portrait, size: int) -> Pixels:
    """The same head with lids of skin over its eyes and a dark line where they meet."""
    picture = portrait.image.copy()
    height, width = picture.shape[:2]
    k = size / 200
    for side in (-28, 28):
        x, y = int(width // 2 + side * k), int(height // 2 - 8 * k)
        around = picture[y - int(14 * k), x].tolist()
        cv2.ellipse(picture, (x, y), (int(18 * k), int(10 * k)), 0, 0, 360, around, -1, cv2.LINE_AA)
        line = (x, y - int(2 * k)), (int(15 * k), int(4 * k))
        cv2.ellipse(picture, *line, 0, 10, 170, DARK, 3, cv2.LINE_AA)
    return picture
