"""The demo's media, drawn by code from a fixed seed: nothing is downloaded, nobody is shown.

A clip (drawn shapes in motion, H.264 + AAC), a picture in which a JPEG patch was moved off its grid, and a recording
of tones without speech. Called by `demo` only; numpy, PyAV and Pillow are imported inside the functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEED = 20260722
CLIP_SECONDS = 10
FPS = 24
SIZE = (640, 360)
RATE = 48_000


@dataclass(frozen=True)
class DemoFile:
    """One file: where it is, how it was made, and what an honest platform says about it."""

    path: Path
    made: str
    expected: str


def draw_all(folder: Path, say: Callable[[str], None] = lambda _: None) -> list[DemoFile]:
    """Draw the three files into `folder`, unless they are there already, and tell what each is."""
    folder.mkdir(parents=True, exist_ok=True)
    plan: list[tuple[str, Callable[[Path], None], str, str]] = [
        (
            "clip.mp4",
            draw_clip,
            f"{CLIP_SECONDS} s of drawn shapes in motion, H.264 + AAC; no face is in it",
            "INCONCLUSIVE: there is no face to examine",
        ),
        (
            "picture.png",
            draw_picture,
            "a drawn landscape, JPEG-compressed, with a patch of it moved off the 8x8 JPEG grid, saved lossless",
            "FAKE: a region of the picture lies on another compression grid",
        ),
        (
            "recording.flac",
            draw_recording,
            "12 s of tones and noise; nobody speaks",
            "INCONCLUSIVE: there is less than 2 s of speech",
        ),
    ]
    files = []
    for name, draw, made, expected in plan:
        path = folder / name
        if not path.is_file():
            say(f"drawing {name}")
            unfinished = path.with_name("unfinished-" + name)
            draw(unfinished)
            unfinished.replace(path)
        files.append(DemoFile(path, made, expected))
    return files


def _noise(rng: np.random.Generator, height: int, width: int, slope: float) -> NDArray[np.float64]:
    """Noise whose amplitude spectrum falls as 1/f^slope, like that of photographs; zero mean, unit variance."""
    import numpy as np

    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    radius = np.hypot(fy, fx)
    radius[0, 0] = np.inf
    spectrum = (rng.normal(size=radius.shape) + 1j * rng.normal(size=radius.shape)) / radius**slope
    field = np.fft.irfft2(spectrum, s=(height, width))
    scaled: NDArray[np.float64] = (field - field.mean()) / field.std()
    return scaled


def _landscape(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Sky, hills and texture: height x width x 3, sRGB."""
    import numpy as np

    y = np.linspace(0, 1, height)[:, None]
    x = np.linspace(0, 1, width)[None, :]
    sky = np.stack([120 + 80 * y + 0 * x, 160 + 50 * y + 0 * x, 215 - 10 * y + 0 * x], axis=-1)
    picture = sky + 9 * _noise(rng, height, width, 1.4)[..., None]
    for base, amplitude, colour in (
        (0.55, 0.07, (96, 116, 92)),
        (0.68, 0.05, (70, 96, 62)),
        (0.82, 0.04, (58, 74, 44)),
    ):
        phases = rng.uniform(0, 2 * np.pi, 4)
        ridge = base + amplitude * sum(
            np.sin(2 * np.pi * (k + 1) * x[0] * 1.3 + p) / (k + 1) for k, p in enumerate(phases)
        )
        hill = y >= ridge[None, :]
        texture = 14 * _noise(rng, height, width, 0.9)
        picture = np.where(hill[..., None], np.array(colour) + texture[..., None] * np.array((1.0, 1.1, 0.8)), picture)
    sun = np.exp(-(((x - 0.78) / 0.05) ** 2 + ((y - 0.2) / 0.09) ** 2))
    picture = picture + sun[..., None] * np.array((90, 70, 20)) + rng.normal(0, 1.6, picture.shape)
    drawn: NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
    return drawn


def draw_picture(path: Path) -> None:
    """A JPEG-compressed landscape (quality 80) in which a 168 x 136 patch was copied to a place off its grid; PNG."""
    import io

    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(SEED)
    buffer = io.BytesIO()
    Image.fromarray(_landscape(rng, 600, 896)).save(buffer, "JPEG", quality=80, subsampling=0)
    compressed = np.asarray(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")).copy()
    patch = compressed[424:560, 64:232].copy()  # begins on the grid …
    compressed[381 : 381 + 136, 499 : 499 + 168] = patch  # … and lies off it: 381 % 8 = 5, 499 % 8 = 3
    Image.fromarray(compressed).save(path, "PNG")


def _tones(rng: np.random.Generator, seconds: float, rate: int) -> NDArray[np.float32]:
    """A slow melody of decaying tones over a little noise, mono, -1..1."""
    import numpy as np

    t = np.arange(int(seconds * rate)) / rate
    sound = rng.normal(0, 0.004, t.size)
    for start in np.arange(0, seconds, 0.75):
        pitch = 196.0 * 2 ** (rng.choice([0, 2, 4, 7, 9, 12]) / 12)
        age = np.clip(t - start, 0, None)
        envelope = np.where(t >= start, np.exp(-3 * age), 0.0)
        sound += 0.22 * envelope * (np.sin(2 * np.pi * pitch * age) + 0.3 * np.sin(4 * np.pi * pitch * age))
    mono: NDArray[np.float32] = np.clip(sound, -1, 1).astype(np.float32)
    return mono


def draw_recording(path: Path) -> None:
    """12 s of tones, 48 kHz mono FLAC."""
    import av
    import numpy as np

    sound = _tones(np.random.default_rng(SEED + 1), 12.0, RATE)
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray((sound * 32767).astype(np.int16)[None, :], format="s16", layout="mono")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def draw_clip(path: Path) -> None:
    """Drawn shapes moving over a landscape, 640 x 360 at 24 fps, H.264, with a tone track in AAC."""
    import av
    import numpy as np

    rng = np.random.default_rng(SEED + 2)
    width, height = SIZE
    scene = _landscape(rng, height, width + 480)
    yy, xx = np.mgrid[0:height, 0:width]
    sound = _tones(rng, float(CLIP_SECONDS), RATE)
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=FPS, options={"crf": "22", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for number in range(CLIP_SECONDS * FPS):
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
