"""EYE-BLINK-V1: how often and for how long the eyes of a filmed face close. Evidence for a person, never a verdict.

The seeing stands in `perception/` (following, eyes, blinks, eye_picture), the reading in `decode/video.py`; this file tells
the story and says what came of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from drishtiksha.domain.media import MediaType
from drishtiksha_models.detector import (
    Calibration,
    Coverage,
    Deadline,
    Examination,
    Fact,
    Finding,
    MediaFile,
    Picture,
    Progress,
    Region,
    Report,
    Series,
    Status,
    Unloadable,
)

if TYPE_CHECKING:
    from drishtiksha_models.decode.video import Film
    from drishtiksha_models.perception.blinks import Closing
    from drishtiksha_models.perception.eye_picture import Look
    from drishtiksha_models.perception.eyes import EyeReader
    from drishtiksha_models.perception.following import FaceFollower
    from drishtiksha_models.perception.landmarks import Mesh

SMALLEST_FACE = 80
"""Pixels of the frame as it is examined (at most 1280 on its longer side)."""
SLOWEST = 12.0
"""Frames per second; a blink of a tenth of a second may fall between fewer."""
ENOUGH = 2.0
"""Seconds of read eyes; with less, nothing is told about blinks."""
REMARKABLE = 30.0
"""Seconds of read eyes from which on it is worth a note that nobody blinked; people rest 2 to 10 s between blinks."""
REGION_EVERY, MOST_REGIONS = 0.5, 240
"""Seconds between two kept face boxes, and how many are kept."""


@dataclass
class Watched:
    """What was seen of a film, frame by frame: numbers, and two small tiles."""

    times: list[float] = field(default_factory=list)
    openness: list[float | None] = field(default_factory=list)
    faces: int = 0
    largest_face: float = 0.0
    regions: list[Region] = field(default_factory=list)
    widest: Look | None = None
    narrowest: Look | None = None

    @property
    def fps(self) -> float | None:
        """Frames per second as they came; None with fewer than two."""
        span = self.times[-1] - self.times[0] if len(self.times) > 1 else 0.0
        return (len(self.times) - 1) / span if span > 0 else None


class EyeBlink:
    """Blinks and longer closings of the eyes of the largest face."""

    name = "EYE-BLINK-V1"
    version = "1.0.0"
    media_types = frozenset({MediaType.VIDEO})
    description = (
        "Follows the largest face (BlazeFace, FaceMesh), reads how far its eyes are open (MediaPipe Iris; height over width "
        "of the lids, after Soukupova and Cech 2016) and tells blinks, their rate and longer closings. Evidence only."
    )
    limits = (
        "It gives evidence and never decides: faces of today's generators blink, and people may not for a while.",
        "The threshold was read from two people; narrow eyes, laughter, glasses, a look downwards and a turned head move it.",
        "Blinks shorter than the time between two frames are missed; hair or a hand before the eye is no closing but may "
        "look like one.",
        "Only the largest face is followed; faces under 80 pixels (with the frame at most 1280 wide or high) are not.",
        "At most the first ten minutes or 18,000 frames are examined.",
    )

    def __init__(self) -> None:
        self._follower: FaceFollower | None = None
        self._eyes: EyeReader | None = None

    def load(self) -> None:
        """Import numpy and OpenCV, read the four networks. Raises Unloadable."""
        try:
            import cv2

            from drishtiksha_models.decode import video  # noqa: F401
            from drishtiksha_models.perception import eye_picture  # noqa: F401
            from drishtiksha_models.perception.eyes import EyeReader
            from drishtiksha_models.perception.following import FaceFollower
        except ImportError as error:
            raise Unloadable(
                f"{error.name} is not installed; bring it with: pip install 'drishtiksha[models]'"
            ) from error
        cv2.setNumThreads(1)
        self._eyes = EyeReader()
        self._follower = FaceFollower()

    def examine(self, media: MediaFile, report: Report, deadline: Deadline) -> Examination:
        """Watch, then tell. Raises BadMedia, Unsupported or DeadlinePassed."""
        from drishtiksha_models.decode.video import open_film

        film = open_film(media.path)
        return tell(film, self._watch(film, report, deadline))

    def _watch(self, film: Film, report: Report, deadline: Deadline) -> Watched:
        from drishtiksha_models.perception.eye_picture import look

        if self._follower is None or self._eyes is None:
            raise RuntimeError("load comes before examine")
        watched = Watched()
        total = film.frame_count or (int(film.duration * film.fps) if film.duration and film.fps else None)
        for frame, mesh in self._follower.follow(film):
            deadline.check()
            watched.times.append(frame.time)
            watched.openness.append(None)
            if mesh is not None and _note_face(watched, mesh, frame.time, film.scale):
                eyes = self._eyes.read(frame.image, mesh)
                if eyes:
                    value = round(sum(eye.openness for eye in eyes) / len(eyes), 4)
                    watched.openness[-1] = value
                    if watched.widest is None or value > watched.widest.openness:
                        watched.widest = look(frame.image, frame.time, eyes, value)
                    if watched.narrowest is None or value < watched.narrowest.openness:
                        watched.narrowest = look(frame.image, frame.time, eyes, value)
            report(Progress(frame.number + 1, max(total, frame.number + 1) if total else None, "Watching the eyes"))
        return watched


def _note_face(watched: Watched, mesh: Mesh, at: float, scale: float) -> bool:
    """Note a seen face; True when it is large enough for its eyes to be read."""
    x, y, width, height = mesh.box
    watched.faces += 1
    watched.largest_face = max(watched.largest_face, width, height)
    last = watched.regions[-1].t if watched.regions else None
    if len(watched.regions) < MOST_REGIONS and (last is None or at - last >= REGION_EVERY):
        box = (round(x / scale, 1), round(y / scale, 1), round(width / scale, 1), round(height / scale, 1))
        watched.regions.append(Region(box, "face", round(mesh.presence, 4), round(at, 3)))
    return max(width, height) >= SMALLEST_FACE


def why_not(watched: Watched, seconds: float, values: Sequence[float]) -> str | None:
    """The sentence that says why nothing can be said; None when something can."""
    from drishtiksha_models.perception.blinks import OPEN

    fps = watched.fps
    if watched.faces == 0:
        return f"no face was found in {len(watched.times)} frames"
    if fps is None or fps < SLOWEST:
        rate = "one frame only" if fps is None else f"{fps:.1f} frames per second"
        return f"the video has {rate}; at least {SLOWEST:.0f} per second are needed"
    if watched.largest_face < SMALLEST_FACE:
        return f"the largest face is {watched.largest_face:.0f} pixels; at least {SMALLEST_FACE} are needed"
    if seconds < ENOUGH:
        return f"the eyes could be read for {seconds:.1f} s only; at least {ENOUGH:.0f} s are needed"
    if max(values) <= OPEN:
        return "the eyes were never seen open, so a closing cannot be told from a look downwards"
    return None


def tell(film: Film, watched: Watched) -> Examination:
    """The examination as a value."""
    from drishtiksha_models.perception.blinks import CLOSED, closings, read_seconds

    seconds = read_seconds(watched.times, watched.openness)
    values = [v for v in watched.openness if v is not None]
    shut = closings(watched.times, watched.openness)
    blinks = [c for c in shut if c.blink]
    long = [c for c in shut if not c.blink]
    reason = why_not(watched, seconds, values)
    frames = len(watched.times)
    facts: dict[str, Fact] = {
        "codec": film.codec,
        "frames": frames,
        "fps": None if watched.fps is None else round(watched.fps, 3),
        "face_frames": round(watched.faces / max(1, frames), 4),
        "largest_face_px": round(watched.largest_face, 1),
        "eyes_read_s": round(seconds, 3),
        "blinks": len(blinks),
        "blinks_per_minute": round(len(blinks) / seconds * 60, 2) if seconds >= ENOUGH else None,
        "blink_median_s": round(float(median(c.end - c.start for c in blinks)), 3) if blinks else None,
        "longer_or_cut_closings": len(long),
        "longest_closing_s": round(max(c.end - c.start for c in shut), 3) if shut else None,
        "openness_median": round(float(median(values)), 4) if values else None,
        "openness_lowest": round(min(values), 4) if values else None,
        "openness_highest": round(max(values), 4) if values else None,
        "no_blink": None if reason is not None else not shut and seconds >= REMARKABLE,
    }
    read = watched.times[-1] + (1 / watched.fps if watched.fps else 0.0)
    total = max(film.duration or 0.0, read)
    return Examination(
        status=Status.COMPLETED if reason is None else Status.INCONCLUSIVE,
        finding=Finding.NONE,
        note=_note(reason, len(blinks), bool(shut), seconds),
        calibration=Calibration(source="evidence only; no score is given"),
        inconclusive_reason=reason,
        coverage=Coverage(analysed_s=round(read, 3), total_s=round(total, 3), frames=frames),
        series=(
            Series("eye_openness", "1", [round(t, 4) for t in watched.times], watched.openness, CLOSED),
            Series("closings", "s", [round(c.start, 4) for c in shut], [round(c.end - c.start, 4) for c in shut]),
        )
        if values
        else (),
        regions=tuple(watched.regions),
        images=_pictures(watched, shut),
        facts=facts,
        metrics={"blinks_per_minute": round(len(blinks) / seconds * 60, 2)} if reason is None else {},
        limits=() if total <= read + 1.0 else (f"Only the first {read:.0f} s of {total:.0f} s could be examined.",),
    )


def _note(reason: str | None, blinks: int, shut: bool, seconds: float) -> str:
    if reason is not None:
        return "Nothing can be said about the blinking of a face in this video."
    if not shut and seconds >= REMARKABLE:
        return (
            f"The eyes were not seen to close in {seconds:.0f} s, which is longer than usual. That alone is no evidence of a "
            "fake."
        )
    times = "once" if blinks == 1 else f"{blinks} times"
    return f"The eyes blinked {times} in {seconds:.0f} s; the figures are evidence for an analyst, no verdict."


def _pictures(watched: Watched, shut: Sequence[Closing]) -> tuple[Picture, ...]:
    from drishtiksha_models.perception.eye_picture import draw

    if watched.widest is None or watched.narrowest is None:
        return ()
    data = draw(watched.widest, watched.narrowest, watched.times, watched.openness, shut)
    return (Picture("overlay", "eyes.png", "image/png", data),)


DETECTOR = EyeBlink()
