"""IMAGE-SPECTRUM-V1: traces of upsampling, resampling and re-saving, as figures and maps for an analyst. No score.

`spectrum/` measures: averaged spectra (tiles), what stands out in them (peaks), noise and re-saving (maps). This file
opens a picture, or the key frames of a video, and says what was measured.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drishtiksha.domain.media import MediaType

from ..decode.image import opened, pixels
from ..detector import (
    BadMedia,
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
    Series,
    Status,
    Unloadable,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..spectrum.tiles import Spectra

MAX_EXAMINED = 16_000_000
"""Pixels examined at most; of a larger picture the middle part."""
MOST_FRAMES = 8
"""Key frames of a video whose spectra are averaged."""
EVERY = 1.0
"""Seconds between two of them at least."""


@dataclass
class Seen:
    """What was collected of one file. Maps are those of the picture, or of the first key frame."""

    spectra: Spectra
    width: int = 0
    height: int = 0
    frames: int = 0
    whole: bool = True
    film: bool = False
    seconds: tuple[float, float] | None = None
    images: list[Picture] = field(default_factory=list)
    facts: dict[str, Fact] = field(default_factory=dict)


class ImageSpectrum:
    """Spectrum, resampling, noise and re-saving; evidence only."""

    name = "IMAGE-SPECTRUM-V1"
    version = "1.0.0"
    media_types = frozenset({MediaType.IMAGE, MediaType.VIDEO})
    description = (
        "Averages the spectrum of a picture and measures lattices that upsampling leaves, the peak that resampling leaves, "
        "the slope of high frequencies; draws maps of noise and of what one more JPEG save changes. Evidence, no score."
    )
    limits = (
        "It gives evidence and never decides: genuine photographs reach every one of these figures.",
        "JPEG leaves peaks at multiples of 1/8, which are told apart; zooming in a camera and resizing for the web leave a "
        "resampling peak; texture and edges show in both maps.",
        "Making a picture smaller leaves no resampling peak that can be told, and a generator may leave no lattice.",
        "Of an animated picture the first frame is examined, of a video at most 8 key frames.",
    )

    def load(self) -> None:
        """Import numpy, scipy and OpenCV, on one thread. Raises Unloadable."""
        try:
            import cv2

            from ..decode import video  # noqa: F401
            from ..spectrum import maps, peaks  # noqa: F401
        except ImportError as error:
            raise Unloadable(f"the library {error.name} is missing; install drishtiksha[models]") from error
        cv2.setNumThreads(1)

    def examine(self, media: MediaFile, report: Report, deadline: Deadline) -> Examination:
        """Collect, then tell. Raises BadMedia, Unsupported or DeadlinePassed."""
        from ..spectrum.tiles import Spectra

        seen = Seen(Spectra())
        if media.media_type is MediaType.VIDEO:
            _watch(seen, media, report, deadline)
            return tell(seen)
        with opened(media.path) as image:
            seen.width, seen.height = image.size
            box = _middle(*image.size)
            seen.whole = box == (0, 0, *image.size)
            picture = pixels(image, box)
        _collect(seen, picture, deadline, report)
        return tell(seen)


def _watch(seen: Seen, media: MediaFile, report: Report, deadline: Deadline) -> None:
    """The first key frames, at least EVERY seconds apart, at their own size."""
    from ..decode.video import open_film

    film = open_film(media.path)
    seen.film, last = True, 0.0
    for key_only in (True, False):
        # Some files mark no frame as key frame; of those every frame is decoded and one each second is taken.
        with contextlib.suppress(BadMedia) if key_only else contextlib.nullcontext():
            for frame in film.frames(every=EVERY, full_size=True, key_only=key_only):
                last = frame.time
                _frame(seen, frame.image, deadline)
                report(Progress(seen.frames, None, "Frames examined"))
                if seen.frames >= MOST_FRAMES:
                    break
        if seen.frames:
            break
    seen.seconds = (round(last, 3), round(max(film.duration or 0.0, last), 3))


def _frame(seen: Seen, image: NDArray[np.uint8], deadline: Deadline) -> None:
    seen.height, seen.width = image.shape[:2]
    left, top, right, bottom = _middle(seen.width, seen.height)
    seen.whole = seen.whole and (right - left, bottom - top) == (seen.width, seen.height)
    _collect(seen, image[top:bottom, left:right], deadline, lambda _progress: None)


def _collect(seen: Seen, picture: NDArray[np.uint8], deadline: Deadline, report: Report) -> None:
    """Add one picture's spectra; of the first picture also the maps."""
    import cv2
    import numpy as np

    from ..spectrum import maps
    from ..spectrum.tiles import SIDE

    seen.frames += 1
    light = np.asarray(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY), np.uint8)
    if min(light.shape) < SIDE:
        return
    steps, done = light.shape[0] // SIDE, 0

    def step() -> None:
        nonlocal done
        deadline.check()
        done += 1
        report(Progress(min(done, 2 * steps), 2 * steps, "Rows of the picture examined"))

    seen.spectra.feed(light, step)
    if seen.images:
        return
    noise, ela = maps.noise(light), maps.resaved(picture, deadline.check)
    report(Progress(2 * steps, 2 * steps, "Maps drawn"))
    low, middle, high = (round(float(v), 3) for v in np.percentile(noise, (5, 50, 95)))
    seen.facts |= {"noise_5": low, "noise_median": middle, "noise_95": high}
    seen.facts |= {"resave_mean": round(float(ela.mean()), 3), "resave_highest": round(float(ela.max()), 3)}
    seen.images = [
        Picture("heatmap", "noise.png", "image/png", maps.heat(noise, 0.0, max(1.0, 1.5 * high), maps.NOISE_BLOCK)),
        Picture("heatmap", "resave.png", "image/png", maps.heat(ela, 0.0, max(4.0, float(ela.max())), maps.ELA_BLOCK)),
    ]


def tell(seen: Seen) -> Examination:
    """The examination as a value."""
    from ..spectrum import maps
    from ..spectrum.peaks import PERIODS, blocks, lattice, outstanding, radial, slope, strongest
    from ..spectrum.tiles import SIDE

    spectra = seen.spectra
    facts: dict[str, Fact] = {"tiles": spectra.tiles, **seen.facts}
    metrics: dict[str, float] = {}
    series: tuple[Series, ...] = ()
    images = tuple(seen.images)
    enough = spectra.tiles > 0
    if enough:
        residual = outstanding(spectra.residual())
        predictable = outstanding(spectra.predictable())
        peak = strongest(predictable)
        for period in PERIODS:
            metrics[f"lattice_z_1/{period}"] = round(lattice(residual, period), 2)
        metrics["resampling_peak_z"] = round(peak.z, 2)
        metrics["jpeg_block_peak_z"] = round(blocks(predictable), 2)
        metrics["slope"] = round(slope(spectra.light()), 3)
        facts |= metrics
        facts |= {"resampling_peak_fx": round(peak.fx, 4), "resampling_peak_fy": round(peak.fy, 4)}
        frequency, decibels = radial(spectra.light())
        series = (
            Series("power_over_frequency_cycles_per_pixel", "dB", frequency.tolist(), decibels.round(2).tolist()),
        )
        images = (Picture("chart", "spectrum.png", "image/png", maps.spectrum(residual)), *images)
    reason = None if enough else f"the picture is smaller than {SIDE} pixels in one direction"
    read, total = seen.seconds or (None, None)
    return Examination(
        status=Status.COMPLETED if enough else Status.INCONCLUSIVE,
        finding=Finding.NONE,
        note=(
            "Spectrum, noise and re-saving were measured; the figures and maps are evidence for an analyst, no verdict."
            if enough
            else "The picture is too small for a spectrum."
        ),
        calibration=Calibration(source="evidence only; no score is given"),
        inconclusive_reason=reason,
        coverage=Coverage(read, total, seen.frames),
        series=series,
        images=images,
        facts=facts,
        metrics=metrics,
        limits=() if seen.whole else ("Only the middle part of this large picture was examined.",),
        width=None if seen.film else seen.width,
        height=None if seen.film else seen.height,
    )


def _middle(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is examined: all, or the middle with at most MAX_EXAMINED pixels."""
    if width * height <= MAX_EXAMINED:
        return 0, 0, width, height
    scale = (MAX_EXAMINED / (width * height)) ** 0.5
    columns, rows = max(1, int(width * scale)), max(1, int(height * scale))
    left, top = (width - columns) // 2, (height - rows) // 2
    return left, top, left + columns, top + rows


DETECTOR = ImageSpectrum()
