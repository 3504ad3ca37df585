"""FACE-TEMPORAL-V1: does the face of a video move as smoothly as what surrounds it? A statistic, no verdict.

Frames stream through a window of three. The seeing stands in `perception/` (following, coherence, motion_picture), the
reading in `decode/video.py`; this file tells the story, counts windows and says what came of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

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
    Score,
    Series,
    Status,
    Unloadable,
)

if TYPE_CHECKING:
    from drishtiksha_models.decode.video import Film
    from drishtiksha_models.perception.following import FaceFollower
    from drishtiksha_models.perception.landmarks import Mesh

THRESHOLD = 1.0
"""acc_ratio that the median of a window passes only when the face trembles; see `calibration.source`."""
WINDOW = 24
"""Frames of one window."""
ENOUGH_IN_A_ROW = 48
"""Consecutive frames with a face: two windows."""
SMALLEST_FACE = 80
"""Pixels of the frame as it is examined (at most 1280 on its longer side)."""
SLOWEST = 15.0
"""Frames per second; with fewer, ordinary movement is no longer smooth from frame to frame."""
SUSPICIOUS_SHARE, SUSPICIOUS_WINDOWS = 0.25, 2
"""Share and number of windows over the threshold from which on the finding is SUSPICIOUS."""
REGION_EVERY, MOST_REGIONS = 0.5, 240
"""Seconds between two kept face boxes, and how many are kept."""
CALIBRATION = Calibration(
    kind="none",
    source=(
        "self-made: clips of three people, one other face swapped onto them by FaceMesh or by a similarity, x264 crf 20; "
        "25 windows as filmed (highest 0.95) and 50 swapped (23 over 1.0)"
    ),
    auc=0.93,
    n=75,
)
"""Where THRESHOLD comes from. It was chosen after seeing these clips, so the figures flatter it."""


@dataclass
class Watched:
    """What was seen of a film, frame by frame. Numbers per frame only; of pixels, one frame and one mean."""

    times: list[float] = field(default_factory=list)
    ratios: list[float | None] = field(default_factory=list)
    runs: list[list[int]] = field(default_factory=list)
    """Frame numbers of each stretch of consecutive frames with a face that is large enough."""
    faces: int = 0
    largest_face: float = 0.0
    crowded: int = 0
    """Frames whose face leaves too little of its surroundings in the picture."""
    regions: list[Region] = field(default_factory=list)
    acceleration: Any = None
    shown: Any = None
    shown_ratio: float = -1.0

    @property
    def longest_run(self) -> int:
        """Frames."""
        return max((len(run) for run in self.runs), default=0)

    @property
    def fps(self) -> float | None:
        """Frames per second as they came; None with fewer than two."""
        span = self.times[-1] - self.times[0] if len(self.times) > 1 else 0.0
        return (len(self.times) - 1) / span if span > 0 else None


class FaceTemporal:
    """Temporal coherence of the largest face."""

    name = "FACE-TEMPORAL-V1"
    version = "1.0.0"
    media_types = frozenset({MediaType.VIDEO})
    description = (
        "Follows the largest face (BlazeFace, FaceMesh) and compares how smoothly it moves with how smoothly its "
        "surroundings move (Farneback optical flow, 2003). Gives the share of windows in which the face trembles more."
    )
    limits = (
        "The score is an uncalibrated statistic, never a probability; it was tried on clips of three people only.",
        "A fake that is smooth over time, or a whole frame that was generated, is not seen.",
        "Shaking cameras, rolling shutter, scene cuts, strong compression and flicker of the light disturb the measure.",
        "Only the largest face is followed; faces under 80 pixels (with the frame at most 1280 wide or high) are not.",
        "At most the first ten minutes or 18,000 frames are examined.",
    )

    def __init__(self) -> None:
        self._follower: FaceFollower | None = None

    def load(self) -> None:
        """Import numpy and OpenCV, read the three networks. Raises Unloadable."""
        try:
            import cv2

            from drishtiksha_models.decode import video  # noqa: F401
            from drishtiksha_models.perception import coherence, motion_picture  # noqa: F401
            from drishtiksha_models.perception.following import FaceFollower
        except ImportError as error:
            raise Unloadable(
                f"{error.name} is not installed; bring it with: pip install 'drishtiksha[models]'"
            ) from error
        cv2.setNumThreads(1)
        self._follower = FaceFollower()

    def examine(self, media: MediaFile, report: Report, deadline: Deadline) -> Examination:
        """Watch, then tell. Raises BadMedia, Unsupported or DeadlinePassed."""
        from drishtiksha_models.decode.video import open_film

        film = open_film(media.path)
        watched = self._watch(film, report, deadline)
        return tell(film, watched)

    def _watch(self, film: Film, report: Report, deadline: Deadline) -> Watched:
        from cv2 import COLOR_RGB2GRAY, cvtColor

        if self._follower is None:
            raise RuntimeError("load comes before examine")
        watched = Watched()
        window: deque[tuple[Any, Any, Mesh]] = deque(maxlen=3)
        total = film.frame_count or (int(film.duration * film.fps) if film.duration and film.fps else None)
        for frame, mesh in self._follower.follow(film):
            deadline.check()
            watched.times.append(frame.time)
            watched.ratios.append(None)

            # Without a face that is large enough, the stretch ends here.
            if mesh is None or not _note_face(watched, mesh, frame.number, frame.time, film.scale):
                window.clear()
            else:
                # The stretch goes on; its middle frame can be measured once three frames are there.
                if not window:
                    watched.runs.append([])
                watched.runs[-1].append(frame.number)
                window.append((cvtColor(frame.image, COLOR_RGB2GRAY), frame.image, mesh))
                if len(window) == 3:
                    _measure(watched, window, frame.number - 1)
            report(Progress(frame.number + 1, max(total, frame.number + 1) if total else None, "Following the face"))
        return watched


def _note_face(watched: Watched, mesh: Mesh, number: int, at: float, scale: float) -> bool:
    """Note a seen face; True when it is large enough to be measured."""
    x, y, width, height = mesh.box
    size = max(width, height)
    watched.faces += 1
    watched.largest_face = max(watched.largest_face, size)
    last = watched.regions[-1].t if watched.regions else None
    if len(watched.regions) < MOST_REGIONS and (last is None or at - last >= REGION_EVERY):
        box = (round(x / scale, 1), round(y / scale, 1), round(width / scale, 1), round(height / scale, 1))
        watched.regions.append(Region(box, "face", round(mesh.presence, 4), round(at, 3)))
    return size >= SMALLEST_FACE


def _measure(watched: Watched, window: Sequence[tuple[Any, Any, Mesh]], middle: int) -> None:
    from drishtiksha_models.perception.coherence import coherence, crop_around

    (before, _, _), (now, image, mesh), (after, _, _) = window
    found = coherence(before, now, after, crop_around(mesh.points, now.shape[1], now.shape[0]))
    if found is None:
        watched.crowded += 1
        return
    watched.ratios[middle] = round(found.ratio, 4)
    watched.acceleration = found.acceleration + (0.0 if watched.acceleration is None else watched.acceleration)
    if found.ratio > watched.shown_ratio:
        watched.shown, watched.shown_ratio = (image, mesh.box), found.ratio


def windows(watched: Watched) -> list[tuple[float, float]]:
    """(middle in seconds, median acc_ratio) of each window of WINDOW frames inside the stretches that are long enough.

    A window needs measures in at least half of its frames.
    """
    found = []
    for run in watched.runs:
        if len(run) < ENOUGH_IN_A_ROW:
            continue
        # The first and the last frame of a stretch have no neighbour on one side.
        inner = run[1:-1]
        for first in range(0, len(inner) - WINDOW + 3, WINDOW):
            numbers = inner[first : first + WINDOW]
            values = [r for r in (watched.ratios[n] for n in numbers) if r is not None]
            if len(numbers) >= WINDOW - 2 and len(values) >= WINDOW // 2:
                found.append((watched.times[numbers[len(numbers) // 2]], float(median(values))))
    return found


def why_not(watched: Watched, found: Sequence[tuple[float, float]]) -> str | None:
    """The sentence that says why nothing can be said; None when something can."""
    frames, fps = len(watched.times), watched.fps
    if watched.faces == 0:
        return f"no face was found in {frames} frames"
    if fps is None or fps < SLOWEST:
        rate = "one frame only" if fps is None else f"{fps:.1f} frames per second"
        return f"the video has {rate}; at least {SLOWEST:.0f} per second are needed"
    if watched.largest_face < SMALLEST_FACE:
        return f"the largest face is {watched.largest_face:.0f} pixels; at least {SMALLEST_FACE} are needed"
    if watched.longest_run < ENOUGH_IN_A_ROW:
        return (
            f"a large enough face was seen in at most {watched.longest_run} consecutive frames; "
            f"at least {ENOUGH_IN_A_ROW} are needed"
        )
    if not found:
        return "the face fills the picture; there is too little around it to compare its movement with"
    return None


def tell(film: Film, watched: Watched) -> Examination:
    """The examination as a value."""
    found = windows(watched)
    reason = why_not(watched, found)
    above = sum(1 for _, value in found if value > THRESHOLD)
    suspicious = reason is None and above >= SUSPICIOUS_WINDOWS and above / max(1, len(found)) >= SUSPICIOUS_SHARE
    measured = [r for r in watched.ratios if r is not None]
    frames, coverage = len(watched.times), _coverage(film, watched)
    facts: dict[str, Fact] = {
        "codec": film.codec,
        "frames": frames,
        "fps": None if watched.fps is None else round(watched.fps, 3),
        "face_frames": round(watched.faces / max(1, frames), 4),
        "largest_face_px": round(watched.largest_face, 1),
        "longest_run_frames": watched.longest_run,
        "measured_frames": len(measured),
        "frames_without_surroundings": watched.crowded,
        "windows": len(found),
        "windows_above": above,
        "window_highest": round(max(v for _, v in found), 4) if found else None,
        "acc_ratio_median": round(float(median(measured)), 4) if measured else None,
        "examined_at_scale": round(film.scale, 4),
    }
    metrics = {"face_frames": round(watched.faces / max(1, frames), 4)}
    if reason is None:
        metrics["windows_above_1.0"] = round(above / len(found), 4)
        metrics["acc_ratio_median"] = round(float(median(measured)), 4)
    return Examination(
        status=Status.COMPLETED if reason is None else Status.INCONCLUSIVE,
        finding=Finding.SUSPICIOUS if suspicious else Finding.NONE,
        note=_note(reason, above, len(found)),
        score=Score(round(above / len(found), 4), "windows_above_1.0") if reason is None else None,
        calibration=CALIBRATION,
        inconclusive_reason=reason,
        coverage=coverage,
        series=_series(watched, found),
        regions=tuple(watched.regions),
        images=_pictures(watched, len(measured)),
        facts=facts,
        metrics=metrics,
        limits=_cut(coverage),
    )


def _note(reason: str | None, above: int, count: int) -> str:
    if reason is not None:
        return "Nothing can be said about the movement of a face in this video."
    if above == 0:
        return f"In none of {count} windows does the face tremble against its surroundings: no evidence found."
    return f"In {above} of {count} windows the face trembles against its surroundings; this alone decides nothing."


def _coverage(film: Film, watched: Watched) -> Coverage:
    """A frame lasts as long as frames do on average; a container that does not know its length is as long as was read."""
    read = watched.times[-1] + (1 / watched.fps if watched.fps else 0.0)
    total = max(film.duration or 0.0, read)
    return Coverage(analysed_s=round(read, 3), total_s=round(total, 3), frames=len(watched.times))


def _cut(coverage: Coverage) -> tuple[str, ...]:
    """What this file's length kept from being examined."""
    read, total = coverage.analysed_s or 0.0, coverage.total_s or 0.0
    return () if total <= read + 1.0 else (f"Only the first {read:.0f} s of {total:.0f} s could be examined.",)


def _series(watched: Watched, found: Sequence[tuple[float, float]]) -> list[Series]:
    if not any(r is not None for r in watched.ratios):
        return []
    times = [round(t, 4) for t in watched.times]
    series = [Series("acc_ratio", "1", times, watched.ratios, THRESHOLD)]
    if found:
        series.append(
            Series("acc_ratio_window", "1", [round(t, 4) for t, _ in found], [round(v, 4) for _, v in found], THRESHOLD)
        )
    return series


def _pictures(watched: Watched, measured: int) -> tuple[Picture, ...]:
    from drishtiksha_models.perception.motion_picture import draw

    if watched.shown is None:
        return ()
    image, box = watched.shown
    data = draw(image, box, watched.acceleration / measured, watched.times, watched.ratios, THRESHOLD)
    return (Picture("heatmap", "temporal.png", "image/png", data),)


DETECTOR = FaceTemporal()
