"""One file through the decoding that the detectors use, and what must hold of it whatever the file is.

Looked at as a worker does it: identify, then pixels, frames and sound, and PROVENANCE-V1 as a whole (header text and C2PA).
The bounds are written here once more, so that a bound which the service loses is missed here.
"""

from __future__ import annotations

import math
import re
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from drishtiksha.domain.media import MediaType
from drishtiksha_models.decode import audio, image, video
from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import BadMedia, Deadline, DeadlinePassed, MediaFile, Unsupported
from drishtiksha_models.detectors.provenance_v1 import DETECTOR as PROVENANCE

PICTURE_PIXELS, FRAME_PIXELS, FRAME_SIDE = 50_000_000, 36_000_000, 1280
FILM_SECONDS, FRAMES, KEY_FRAMES = 600.0, 16, 4
"""Frames are what this target asks for; seconds are the service's own limit."""
SOUND_SECONDS, LOUDEST, HIGHEST_RATE = 20.0, 8.0, 48_000
TEXT = 301
"""Characters of one claim, with the mark that it was cut."""
CPU_S = 10.0
"""Of one input; the deadline is asked between frames and blocks as detectors do, so this is the longest single step."""
STEP_S = 3.0
"""Deadline of each part of an input."""
GROWN_MIB = 1024
"""Memory of one input beyond what the process held before; a worker may have 8 GiB of address space."""


class Wrong(Exception):
    """Something that must hold did not."""


@dataclass
class Seen:
    """What came of one input. `signs` are words that tell one way through the decoders from another; `wrong` names the fault."""

    outcome: str = "refused"
    kind: str = "unknown"
    signs: list[str] = field(default_factory=list)
    wrong: str | None = None
    words: str = ""
    cpu_s: float = 0.0
    grown_mib: float = 0.0


def look(path: Path) -> Seen:
    """Send one file through; never raises. `wrong` is None, "fault" (an exception that is no refusal) or "over" (a bound passed)."""
    seen = Seen()
    Path("/proc/self/clear_refs").write_text("5")  # forgets the highest memory so far
    before, began = _status_mib("VmRSS"), time.process_time()
    try:
        _through(path, seen)
    except Wrong as error:
        seen.wrong, seen.words = "over", str(error)
    except MemoryError:
        seen.wrong, seen.words = "over", "memory ran out"
    except Exception as error:
        ours = [f for f in traceback.extract_tb(error.__traceback__) if "drishtiksha_models" in f.filename]
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "the target"
        seen.wrong, seen.words = "fault", f"{type(error).__name__}: {error} at {place}"
    seen.cpu_s, seen.grown_mib = time.process_time() - began, _status_mib("VmHWM") - before
    if seen.wrong is None and seen.cpu_s > CPU_S:
        seen.wrong, seen.words = "over", f"{seen.cpu_s:.1f} s of CPU; {CPU_S:.0f} are granted"
    if seen.wrong is None and seen.grown_mib > GROWN_MIB:
        seen.wrong, seen.words = "over", f"{seen.grown_mib:.0f} MiB; {GROWN_MIB} are granted"
    return seen


def _through(path: Path, seen: Seen) -> None:
    try:
        media = identify(path, "fuzzed")
    except (BadMedia, Unsupported) as error:
        seen.signs.append(_sign("identify", error))
        return
    seen.kind = media.mimetype
    seen.signs.append(media.mimetype)
    parts = {"provenance": _provenance}
    if media.media_type is MediaType.IMAGE:
        parts["picture"] = _picture
    else:
        parts |= {"frames": _frames, "key-frames": _key_frames, "voice": _voice, "sound": _sound}
    for name, part in parts.items():
        try:
            for sign in part(media, Deadline(STEP_S)):
                seen.signs.append(f"{media.mimetype} {name} {sign}")
                if name != "provenance":
                    seen.outcome = "decoded"
        except (BadMedia, Unsupported, DeadlinePassed) as error:
            seen.signs.append(_sign(f"{media.mimetype} {name}", error))


def _picture(media: MediaFile, _deadline: Deadline) -> Iterator[str]:
    with image.opened(media.path) as opened:
        yield from ()
        pixels = image.pixels(opened)
        sign = f"{opened.format} {opened.mode}"
    must(
        pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3,
        f"pixels of {pixels.dtype} {pixels.shape}",
    )
    must(pixels.shape[0] * pixels.shape[1] <= PICTURE_PIXELS, f"a picture of {pixels.shape} was decoded")
    yield sign


def _frames(media: MediaFile, deadline: Deadline) -> Iterator[str]:
    film = video.open_film(media.path)
    must(film.fps is None or 0 < film.fps < math.inf, f"{film.fps} frames per second")
    must(film.duration is None or 0 <= film.duration < math.inf, f"a film of {film.duration} s")
    last = 0.0
    for frame in film.frames(max_frames=FRAMES):
        deadline.check()
        height, width = frame.image.shape[:2]
        must(max(height, width) <= FRAME_SIDE, f"a frame of {frame.image.shape} was handed over")
        must(
            frame.number < FRAMES and last <= frame.time <= FILM_SECONDS,
            f"frame {frame.number} at {frame.time} after {last}",
        )
        last = frame.time
        yield f"{film.codec} {frame.number}"


def _key_frames(media: MediaFile, deadline: Deadline) -> Iterator[str]:
    film = video.open_film(media.path)
    for frame in film.frames(max_frames=KEY_FRAMES, every=0.1, full_size=True, key_only=True):
        deadline.check()
        must(frame.image.shape[0] * frame.image.shape[1] <= FRAME_PIXELS, f"a frame of {frame.image.shape} was decoded")
        yield f"{film.codec} {frame.number}"


def _voice(media: MediaFile, deadline: Deadline) -> Iterator[str]:
    return _heard(audio.open_sound(media.path), 16_000, True, deadline)


def _sound(media: MediaFile, deadline: Deadline) -> Iterator[str]:
    return _heard(audio.open_sound(media.path), None, False, deadline)


def _heard(track: audio.SoundTrack, rate: int | None, mono: bool, deadline: Deadline) -> Iterator[str]:
    must(track.working_rate <= HIGHEST_RATE, f"a working rate of {track.working_rate} Hz")
    must(track.duration is None or 0 <= track.duration < math.inf, f"a sound of {track.duration} s")
    done = 0
    for at, block in track.blocks(rate, mono, SOUND_SECONDS):
        deadline.check()
        must(
            block.dtype == np.float32 and block.shape[0] in ((1,) if mono else (1, 2)),
            f"a block of {block.dtype} {block.shape}",
        )
        must(
            bool(np.isfinite(block).all()) and float(np.abs(block).max(initial=0.0)) <= LOUDEST,
            "samples that are no numbers",
        )
        done += block.shape[1]
        must(done <= SOUND_SECONDS * (rate or track.working_rate) + 1, f"{done} samples")
        yield f"{track.codec} {track.channels} {min(int(at), 4)}"


def _provenance(media: MediaFile, deadline: Deadline) -> Iterator[str]:
    said = PROVENANCE.examine(media, lambda _progress: None, deadline)
    for name, value in said.facts.items():
        if isinstance(value, str) and not name.startswith("c2pa"):
            must(len(value) <= TEXT, f"a claim of {len(value)} characters")
            must(value.isprintable() and value.encode() is not None, f"the claim {name} cannot be printed")
    yield f"{said.facts['c2pa']} {len(said.facts)}"


def must(held: bool, words: str) -> None:
    """Raises Wrong when it does not hold."""
    if not held:
        raise Wrong(words)


def _sign(where: str, error: Exception) -> str:
    cause = error.__cause__ or error.__context__
    words = f"{where}: {type(error).__name__} {error} {type(cause).__name__} {str(cause)[:60] if cause else ''}"
    return re.sub(r"0x[0-9a-f]+|[0-9]+|'[^']*'", "#", words)  # a number in a complaint makes no other way


def _status_mib(key: str) -> float:
    """A line of /proc/self/status, in MiB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key)) / 1024
