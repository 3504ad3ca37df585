"""GEN-WATERMARK-V1: does a picture carry the hidden bits that known image generators write, more often than by chance?

The scheme is `dwtDct` of invisible-watermark. `watermark/` holds the messages, the reading and the chance; this file
looks at a picture in all eight ways in which it can lie, or at a frame each second of a video, and says what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import log10
from typing import TYPE_CHECKING

from drishtiksha.domain.media import MediaType

from ..decode.image import opened, pixels
from ..detector import (
    Calibration,
    Coverage,
    Deadline,
    Examination,
    Fact,
    Finding,
    MediaFile,
    Picture,
    Progress,
    Report,
    Score,
    Series,
    Status,
    Unloadable,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..watermark.messages import Message

DECIDES = -6.0
"""log10 of the p-value, after all corrections, below which the mark counts as read."""
MAX_EXAMINED = 16_000_000
"""Pixels read in each way of lying; of a larger picture the first rows, which is where the bits begin."""
EVERY = 1.0
"""Seconds between two examined frames of a video."""
MOST_FRAMES = 60
_SMALLEST = -30.0
"""log10 of the smallest bound that is stated."""
_SOURCE = (
    "exact permutation law of the rank sum of votes (Wilcoxon 1945), within the places of a letter for text, times the "
    "number of tests (messages, ways of lying, readings, frames)"
)


@dataclass(frozen=True, slots=True)
class Match:
    """One message held against the bits of one reading. `chance`, `fair`: log10 for this single test."""

    message: Message
    reading: str
    turn: tuple[int, bool]
    at: float | None
    agreeing: int
    chance: float
    fair: float
    bits: tuple[bool, ...]
    shares: tuple[float, ...]


@dataclass
class Seen:
    """All that was read of one file. `tests` counts every comparison that was made."""

    width: int = 0
    height: int = 0
    frames: int = 0
    tests: int = 0
    whole: bool = True
    film: bool = False
    seconds: tuple[float, float] | None = None
    best: Match | None = None
    fairest: Match | None = None
    times: list[float] = field(default_factory=list)
    curve: list[float | None] = field(default_factory=list)

    def corrected(self, single: float) -> float:
        """log10 of the p-value after Bonferroni's correction; at most 0."""
        return min(0.0, single + log10(max(1, self.tests)))


class GeneratorWatermark:
    """Hidden messages of known generators."""

    name = "GEN-WATERMARK-V1"
    version = "1.0.0"
    media_types = frozenset({MediaType.IMAGE, MediaType.VIDEO})
    description = (
        "Reads the invisible watermark (dwtDct of invisible-watermark) that Stable Diffusion, SDXL and FLUX reference "
        "code writes, and states how often such bits would be read by chance."
    )
    limits = (
        "That no mark is read says nothing: most generators write none, or another kind; resizing, cropping, a screenshot "
        "or strong compression erases it, and in some pictures it never could be read.",
        "The mark needs no key: anybody can write it into a genuine picture. Genuine pictures that were only improved or "
        "partly redrawn by such a generator carry it too.",
        "Whose mark it is follows from published code; for FLUX that could not be confirmed at its origin.",
        "Of an animated picture the first frame is read, of a video one frame each second, 60 at most, none after ten "
        "minutes.",
    )

    def load(self) -> None:
        """Import numpy and OpenCV, on one thread. Raises Unloadable."""
        try:
            import cv2

            from ..decode import video  # noqa: F401
            from ..watermark import picture, votes  # noqa: F401
        except ImportError as error:
            raise Unloadable(f"the library {error.name} is missing; install drishtiksha[models]") from error
        cv2.setNumThreads(1)

    def examine(self, media: MediaFile, report: Report, deadline: Deadline) -> Examination:
        """Read, hold against the messages, tell. Raises BadMedia, Unsupported or DeadlinePassed."""
        if media.media_type is MediaType.VIDEO:
            return tell(_watch(media, report, deadline))
        with opened(media.path) as image:
            picture = pixels(image)
        seen = Seen(picture.shape[1], picture.shape[0], frames=1)
        _read(seen, picture, None, tuple((q, m) for m in (False, True) for q in range(4)), report, deadline)
        return tell(seen)


def _watch(media: MediaFile, report: Report, deadline: Deadline) -> Seen:
    """A frame each second, or fewer of a long film, as seen and mirrored."""
    from ..decode.video import MAX_SECONDS, open_film

    film = open_film(media.path)
    length = min(film.duration or MAX_SECONDS, MAX_SECONDS)
    seen, last = Seen(film=True), 0.0
    for frame in film.frames(every=max(EVERY, length / MOST_FRAMES), full_size=True):
        seen.height, seen.width = frame.image.shape[:2]
        seen.frames, last = seen.frames + 1, frame.time
        found = _read(seen, frame.image, frame.time, ((0, False), (0, True)), lambda _progress: None, deadline)
        seen.times.append(frame.time)
        seen.curve.append(found)
        report(Progress(seen.frames, None, "Frames read"))
        if seen.frames >= MOST_FRAMES:
            break
    seen.seconds = (last, max(film.duration or 0.0, last))
    return seen


def _read(
    seen: Seen,
    picture: NDArray[np.uint8],
    at: float | None,
    turns: Sequence[tuple[int, bool]],
    report: Report,
    deadline: Deadline,
) -> float | None:
    """Hold one picture against all messages; gives log10 of its best single test, None when it is too small."""
    from ..watermark.chance import agreement, log10_chance, log10_fair
    from ..watermark.messages import MESSAGES
    from ..watermark.votes import LEAST_PIXELS, ballots, turned

    if picture.shape[0] * picture.shape[1] < LEAST_PIXELS:
        return None
    seen.whole = seen.whole and picture.shape[0] * picture.shape[1] <= MAX_EXAMINED
    lowest = 0.0
    for done, turn in enumerate(turns):
        for reading, ballot in ballots(turned(picture, turn), MAX_EXAMINED, deadline.check).items():
            for message in MESSAGES:
                bits = ballot.bits(message.length)
                seen.tests += 1
                shares = ballot.shares(message.length)
                match = Match(
                    message,
                    reading,
                    turn,
                    at,
                    agreement(message, bits),
                    log10_chance(message, shares),
                    log10_fair(message, bits),
                    tuple(map(bool, bits)),
                    tuple(map(float, shares)),
                )
                lowest = min(lowest, match.chance)
                seen.best = _lower(seen.best, match, lambda m: m.chance)
                seen.fairest = _lower(seen.fairest, match, lambda m: m.fair)
        report(Progress(done + 1, len(turns), "Ways of lying read"))
    return round(lowest, 2)


def _lower(old: Match | None, new: Match, key: Callable[[Match], float]) -> Match:
    return new if old is None or key(new) < key(old) else old


def tell(seen: Seen) -> Examination:
    """The examination as a value."""
    if seen.best is None or seen.fairest is None:
        reason = "the picture has fewer than 256 x 256 pixels; the encoder of this mark refuses such pictures"
        return _say(seen, None, Status.INCONCLUSIVE, Finding.NONE, "Nothing can be read: " + reason + ".", reason)
    p, fair = seen.corrected(seen.best.chance), seen.corrected(seen.fairest.fair)
    if p < DECIDES:
        where = "" if seen.best.at is None else f" in the frame at {seen.best.at:.1f} s"
        note = (
            f"Hidden bits{where} fit the mark of {seen.best.message.name} ({seen.best.agreeing} of "
            f"{seen.best.message.length} agree); by chance bits fit so well less than once in "
            f"{10 ** min(30.0, -p):.2g} files. The mark can be copied by anybody."
        )
        return _say(seen, seen.best, Status.COMPLETED, Finding.SYNTHETIC_MARKED, note, None)
    if fair < DECIDES:
        reason = (
            f"the bits fit {seen.fairest.message.name}, but this message is text, and a picture with a rhythm of its own fits "
            "it too easily to say that it was written there"
        )
        note = f"{reason[0].upper()}{reason[1:]}."
        return _say(seen, seen.fairest, Status.INCONCLUSIVE, Finding.SUSPICIOUS, note, reason)
    reason = "no known watermark could be read; that says nothing, for most generated pictures carry none that survives"
    return _say(seen, seen.best, Status.INCONCLUSIVE, Finding.NONE, "No known watermark could be read.", reason)


def _say(
    seen: Seen, match: Match | None, status: Status, finding: Finding, note: str, reason: str | None
) -> Examination:
    facts: dict[str, Fact] = {"tests": seen.tests, "frames_read": seen.frames}
    images: tuple[Picture, ...] = ()
    log10_p = None
    if match is not None:
        log10_p = round(seen.corrected(match.chance), 2)
        facts |= {
            "best_message": match.message.name,
            "message_bits": match.message.length,
            "agreeing_bits": match.agreeing,
            "agreeing_share": round(match.agreeing / match.message.length, 4),
            "log10_p": log10_p,
            "log10_p_fair_bits": round(seen.corrected(match.fair), 2),
            "reading": match.reading,
            "quarter_turns_left": match.turn[0],
            "mirrored": match.turn[1],
            "frame_s": None if match.at is None else round(match.at, 3),
            "bits_read": "".join("01"[bit] for bit in match.bits),
        }
    if match is not None and finding is not Finding.NONE:
        from ..watermark.picture import vote_chart

        images = (Picture("chart", "bits.png", "image/png", vote_chart(match.message, match.shares)),)
    decided = finding is Finding.SYNTHETIC_MARKED and log10_p is not None
    bound = 10.0 ** max(_SMALLEST, log10_p) if decided and log10_p is not None else None
    read, total = seen.seconds or (None, None)
    return Examination(
        status=status,
        finding=finding,
        note=note,
        score=None if log10_p is None else Score(log10_p, "log10_p", "log10-p-value"),
        calibration=Calibration("p-value", bound, _SOURCE) if decided else Calibration(),
        inconclusive_reason=reason,
        coverage=Coverage(read, total, seen.frames),
        series=(Series("log10_chance_of_frame", "1", seen.times, seen.curve),) if any(seen.curve) else (),
        images=images,
        facts=facts,
        metrics={} if log10_p is None else {"log10_p": log10_p},
        limits=() if seen.whole else (f"Only the first {MAX_EXAMINED // 1_000_000} million pixels were read.",),
        width=None if seen.film else seen.width,
        height=None if seen.film else seen.height,
    )


DETECTOR = GeneratorWatermark()
