"""The demo's media: each with its name, how it is made, and what an honest platform says of it.

`command.py` makes them into a folder (`drishtiksha-models specimens`); the command line's demo asks for them there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SEED = 20260722
CLIP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Specimen:
    """One file of the demo. `make` writes it to a path; `basic`: it is drawn without `--all`."""

    name: str
    made: str
    expected: str
    make: Callable[[Path], None]
    basic: bool = True


def _clip(path: Path) -> None:
    import numpy as np

    from .films import clip

    clip(path, np.random.default_rng(SEED + 2), CLIP_SECONDS)


def _picture(path: Path) -> None:
    import numpy as np

    from .drawing import decoded, jpeg, landscape, png

    compressed = decoded(jpeg(landscape(np.random.default_rng(SEED), 600, 896), 80, 0))
    patch = compressed[424:560, 64:232].copy()  # begins on the grid …
    compressed[381 : 381 + 136, 499 : 499 + 168] = patch  # … and lies off it: 381 % 8 = 5, 499 % 8 = 3
    path.write_bytes(png(compressed))


def _recording(path: Path) -> None:
    import numpy as np

    from .sounds import flac, tones

    flac(path, tones(np.random.default_rng(SEED + 1), 12.0))


def _signed(path: Path) -> None:
    from .drawing import jpeg
    from .pictures import scene
    from .signed import sign

    path.write_bytes(sign(jpeg(scene(SEED + 3), 92)))


def _altered(path: Path) -> None:
    from .drawing import jpeg
    from .pictures import scene
    from .signed import moved_to, sign

    picture = scene(SEED + 3)
    signed = sign(jpeg(picture, 92))
    picture[60:150, 380:520] = picture[200:290, 80:220]
    path.write_bytes(moved_to(signed, jpeg(picture, 92)))


def _watermarked(path: Path) -> None:
    from ..watermark.messages import MESSAGES
    from .drawing import png
    from .pictures import clouds, marked

    path.write_bytes(png(marked(clouds(SEED + 4), MESSAGES[0].bits)))


def _face(path: Path) -> None:
    from .films import face

    face(path, 0.0, 4.0)


def _redrawn(path: Path) -> None:
    from .films import face

    face(path, 1.0, 4.0)


def _voice(path: Path) -> None:
    import numpy as np

    from .sounds import flac, voice

    flac(path, voice(np.random.default_rng(SEED + 5), 6.0))


SPECIMENS = (
    Specimen(
        "clip.mp4",
        f"{CLIP_SECONDS} s as a phone would write them, H.264 + AAC: drawn shapes in motion, no face, no manifest",
        "INCONCLUSIVE, as for most of what one meets: there is no face to examine, and the file declares nothing",
        _clip,
    ),
    Specimen(
        "picture.png",
        "a drawn landscape, JPEG-compressed, with a patch of it moved off the 8x8 JPEG grid, saved lossless",
        "FAKE: a region of the picture lies on another compression grid",
        _picture,
    ),
    Specimen(
        "recording.flac",
        "12 s of tones and noise; nobody speaks",
        "INCONCLUSIVE: there is less than 2 s of speech",
        _recording,
    ),
    Specimen(
        "signed.jpg",
        "a drawn landscape with a C2PA manifest that declares it as made by a generator; signed by an authority that was made "
        "on the spot and that nobody trusts",
        "FAKE: the file itself declares it",
        _signed,
    ),
    Specimen(
        "altered.jpg",
        "the same with a patch moved after signing, the manifest kept",
        "INCONCLUSIVE, with a suspicion: the content is not what was signed; by a signer on the trust list it would be FAKE",
        _altered,
        basic=False,
    ),
    Specimen(
        "watermarked.png",
        "drawn clouds of colour into which the hidden mark of SDXL was written (its encoder is public; no generator was used)",
        "FAKE: the mark is read, with a bound on chance",
        _watermarked,
    ),
    Specimen(
        "face.mp4",
        "4 s of a drawn portrait before a swaying camera",
        "INCONCLUSIVE: the face moves as its surroundings do, no evidence was found",
        _face,
        basic=False,
    ),
    Specimen(
        "face-redrawn.mp4",
        "the same 4 s with the face put down anew in each frame, off by about a pixel, as synthesis frame by frame does",
        "INCONCLUSIVE, with a suspicion: the face trembles against its surroundings",
        _redrawn,
        basic=False,
    ),
    Specimen(
        "voice.flac",
        "6 s of pulses and resonances that a speech network takes for a voice; it says nothing",
        "INCONCLUSIVE: the speech is measured, and measures decide nothing",
        _voice,
        basic=False,
    ),
)
