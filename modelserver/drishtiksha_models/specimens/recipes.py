"""For each detector the media of its card: small labelled sets drawn from seeds, and which of them is shown as hit and miss.

`evaluation/cards.py` examines them and writes the card. The sets are small and easy on purpose: they show that a detector
works, and where it fails, never how often it errs in the field. A detector without a recipe gets a card without figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

Make = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Example:
    """One file that a card shows: its name in the set, and what to see, in a sentence."""

    file: str
    words: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """`made` tells how; `media` are (`real/…` or `fake/MANIPULATION/…`, how to make it); `failures` are known and shown."""

    made: str
    media: tuple[tuple[str, Make], ...]
    hit: Example
    miss: Example
    failures: tuple[str, ...]
    labels: str = "`fake` is what the detector is to notice, `real` is the same kind of file left alone"


def _still(seed: int, kind: str, path: Path) -> None:
    """One picture of a kind, from a seed."""
    from ..watermark.messages import MESSAGES
    from . import pictures as p
    from .drawing import decoded, jpeg, png
    from .signed import moved_to, sign

    plain = p.scene(seed)
    if kind == "altered":
        edited = plain.copy()
        edited[60:150, 380:520] = edited[200:290, 80:220]
        path.write_bytes(moved_to(sign(jpeg(plain, 92)), jpeg(edited, 92)))
        return
    data = {
        "png": lambda: png(plain),
        "jpeg": lambda: jpeg(plain, 92),
        "lossless copy of a JPEG": lambda: png(decoded(jpeg(plain, 80))),
        "signed-as-generated": lambda: sign(jpeg(plain, 92)),
        "signed-as-captured": lambda: sign(jpeg(plain, 92), "digitalCapture"),
        "splice": lambda: png(p.spliced(plain)),
        "splice, saved again": lambda: jpeg(p.spliced(plain), 85),
        "SDXL": lambda: png(p.marked(p.clouds(seed), MESSAGES[0].bits)),
        "SDXL, landscape": lambda: png(p.marked(plain, MESSAGES[0].bits)),
        "FLUX": lambda: png(p.marked(p.clouds(seed), MESSAGES[1].bits)),
        "clouds": lambda: png(p.clouds(seed)),
        "resized": lambda: png(p.resized(p.marked(p.clouds(seed), MESSAGES[0].bits), 0.9)),
        "enlarged": lambda: png(p.resized(plain, 1.5)),
        "lattice": lambda: png(p.upsampled(p.scene(seed, 120, 160))),
    }[kind]()
    path.write_bytes(data)


def _stills(*wanted: tuple[str, str, int], first: int = 100) -> tuple[tuple[str, Make], ...]:
    """(folder, kind, how many) as media; the same seed is not drawn twice in a set."""
    media: list[tuple[str, Make]] = []
    for folder, kind, count in wanted:
        for number in range(count):
            media.append((f"{folder}/{number + 1}", partial(_still, first + len(media), kind)))
    return tuple(media)


def _face(jitter: float, seed: int, size: int, path: Path) -> None:
    from .films import face

    face(path, jitter, 3.0, seed, size)


def _eyes(every: int, size: int, path: Path) -> None:
    from .films import blinking

    blinking(path, lambda frame: bool(every) and frame % every in (20, 21, 22), 5.0, size)


def _sound(kind: str, seed: int, pitch: float, path: Path) -> None:
    import numpy as np

    from .sounds import flac, tones, voice

    rng = np.random.default_rng(seed)
    flac(path, voice(rng, 5.0, pitch) if kind == "voice" else tones(rng, 5.0))


_DRAWN = "Drawn landscapes of 640 x 480 pixels, another seed for each"
RECIPES = {
    "PROVENANCE-V1": Recipe(
        f"{_DRAWN}, as JPEG of quality 92. Signed by an authority that is made on the spot and that stands on no trust list.",
        _stills(
            ("fake/signed as generated", "signed-as-generated", 4),
            ("fake/altered, signer unknown", "altered", 4),
            ("fake/manifest stripped", "jpeg", 2),
            ("real/unsigned", "jpeg", 4),
            ("real/signed as captured", "signed-as-captured", 4),
        ),
        Example("fake/signed as generated/1", "Nothing in the pixels tells it: the file itself declares it, signed."),
        Example("fake/manifest stripped/1", "The same kind of file without its manifest: nothing is left to read."),
        (
            "A file whose manifest was stripped, which any re-save does, is INCONCLUSIVE.",
            "A file that was altered after signing is only SUSPICIOUS while its signer is not on the trust list.",
        ),
    ),
    "GEN-WATERMARK-V1": Recipe(
        "Drawn clouds of colour and landscapes of 640 x 480 pixels, another seed for each, as PNG; marks written with the generators' "
        "published scheme and messages, no generator was used.",
        _stills(
            ("fake/SDXL", "SDXL", 4),
            ("fake/SDXL, landscape", "SDXL, landscape", 4),
            ("fake/FLUX", "FLUX", 4),
            ("fake/SDXL, resized to 90 %", "resized", 4),
            ("real/clouds", "clouds", 5),
            ("real/landscape", "png", 5),
        ),
        Example("fake/SDXL/1", "The votes of each bit lean the way that the message says."),
        Example("fake/SDXL, resized to 90 %/1", "The same mark after resizing to 90 %: nothing can be read."),
        (
            "Resizing, cropping, screenshots and JPEG below about 90 erase the mark.",
            "Most generators write none, or another kind.",
            "In a picture whose colours lean one way, as in the landscapes, all votes lean too: the mark is read by their order, though "
            "hardly more than half of the bits agree.",
        ),
    ),
    "JPEG-GRID-V1": Recipe(
        f"{_DRAWN}; compressed as JPEG of quality 80, a patch of 120 x 128 pixels moved off the grid, saved as PNG.",
        _stills(
            ("fake/splice", "splice", 6),
            ("fake/splice, saved again", "splice, saved again", 4),
            ("real/lossless copy of a JPEG", "lossless copy of a JPEG", 6),
            ("real/never compressed", "png", 4),
        ),
        Example("fake/splice/1", "The moved patch votes for another grid than the rest."),
        Example("fake/splice, saved again/1", "The same after one more save as JPEG of quality 85: the traces are gone."),
        ("One more save as JPEG below quality 97 erases the traces.", "A patch that was never JPEG, or lies on the grid by chance (1 in 64)."),
    ),
    "IMAGE-SPECTRUM-V1": Recipe(
        f"{_DRAWN}; enlarged 1.5 times (cubic), or raised four times by zeros and a small kernel, as PNG.",
        _stills(("fake/enlarged 1.5 times", "enlarged", 4), ("fake/lattice of period 4", "lattice", 4), ("real/plain", "png", 6)),
        Example("fake/lattice of period 4/1", "Bright points in the spectrum, on a lattice: traces of upsampling."),
        Example("real/plain/1", "A picture left alone: structure in the maps all the same. They need a trained eye."),
        ("Genuine photographs reach every one of its figures; that is why it gives no score.",),
    ),
    "AUDIO-EVIDENCE-V1": Recipe(
        "Recordings of 5 s: pulses and resonances that pass for a voice, and tones.",
        tuple((f"fake/drawn voice/{n}", partial(_sound, "voice", 200 + n, 90.0 + 30 * n)) for n in range(1, 5))
        + tuple((f"real/tones/{n}", partial(_sound, "tones", 300 + n, 0.0)) for n in range(1, 5)),
        Example("fake/drawn voice/1", "Speech is found and measured, though nobody speaks: the network hears voices, not people."),
        Example("real/tones/1", "No speech: INCONCLUSIVE, with the figures of the sound itself."),
        ("It takes a drawn voice for speech; it tells no synthetic voice from a real one.",),
    ),
    "FACE-TEMPORAL-V1": Recipe(
        "Films of 3 s at 24 frames per second, 480 x 270, H.264 crf 20: one drawn portrait before a swaying camera; as `fake` its "
        "face alone is put down anew in each frame, off by a random displacement (standard deviation given), or, as a smooth fake would be, without one.",
        tuple((f"fake/off by 1 pixel/{n}", partial(_face, 1.0, n, 140)) for n in range(1, 5))
        + tuple((f"fake/smooth over time/{n}", partial(_face, 0.0, n + 10, 120 + 10 * n)) for n in range(1, 3))
        + tuple((f"real/steady/{n}", partial(_face, 0.0, n, size)) for n, size in enumerate((130, 140, 150, 160), 1)),
        Example("fake/off by 1 pixel/1", "The face trembles against its surroundings."),
        Example("fake/smooth over time/1", "A face that is put down smoothly moves as a filmed one does: nothing is seen."),
        ("Fakes that are smooth over time, and frames that were generated as a whole, are not seen.",),
    ),
    "EYE-BLINK-V1": Recipe(
        "Films of 5 s at 24 frames per second, 480 x 360: one drawn portrait that blinks every one to two seconds (`real`), or never "
        "(`fake`); and one whose face is too small.",
        tuple((f"real/blinking/{n}", partial(_eyes, every, 220)) for n, every in enumerate((24, 36, 48), 1))
        + tuple((f"fake/never blinks/{n}", partial(_eyes, 0, size)) for n, size in enumerate((210, 220), 1))
        + (("fake/small face/1", partial(_eyes, 24, 60)),),
        Example("real/blinking/1", "The widest and the narrowest eyes, and each closing in the curve."),
        Example("fake/small face/1", "The face is under 80 pixels: INCONCLUSIVE."),
        ("Not blinking for a few seconds means nothing, and fakes of today blink: it never decides.",),
    ),
}  # fmt: skip
