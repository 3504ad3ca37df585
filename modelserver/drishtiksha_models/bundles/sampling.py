"""Takes the samples of a manifest's sampler out of a file: streaming, bounded in memory, each with its place and time.

`inputs` says what each sampler means; `steps` brings a sample to size before it is kept. Decoding is `decode/`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drishtiksha.domain.media import MediaType

from ..decode import audio, image, video
from ..detector import Coverage, Deadline, MediaFile, Progress, Report
from ..perception.landmarks import Mesh
from ..perception.tracking import FaceTracker
from . import inputs
from .mel import Spectrogram
from .spread import Spread
from .steps import Floats, apply

MOST_FACES = 8
"""Of one still picture, largest first."""
Box = tuple[float, float, float, float]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the network is to see, after all steps; where in the media it was (x, y, width, height in its pixels; seconds)."""

    array: Floats
    box: Box | None = None
    t: float | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The samples of one file. `width`, `height` of a still picture; `seen`: frames or windows that were looked at."""

    samples: list[Sample]
    coverage: Coverage
    seen: int
    width: int | None = None
    height: int | None = None


def take(media: MediaFile, said: inputs.Input, faces: FaceTracker | None, report: Report, deadline: Deadline) -> Taken:
    """Every sample of the file. `faces` is there when the sampler asks for faces. Raises BadMedia, Unsupported, DeadlinePassed."""
    match said.sampler:
        case inputs.AudioWindow() | inputs.Mel():
            return _sound(media, said, said.sampler, deadline)
        case inputs.FrameSequence():
            return _sequences(media, said, said.sampler, faces, report, deadline)
        case _ if media.media_type is MediaType.IMAGE:
            return _still(media, said, faces)
        case _:
            return _frames(media, said, said.sampler, faces, report, deadline)


def needs_faces(sampler: inputs.Sampler) -> bool:
    """Whether this sampler looks for faces."""
    return isinstance(sampler, inputs.FaceCrop) or (
        isinstance(sampler, inputs.FrameSequence) and sampler.crop == "face"
    )


def square(picture: Pixels, box: Box, margin: float) -> Pixels:
    """The square around a box that is larger by `margin` of its longer side on each side; beyond the picture it is black."""
    x, y, width, height = box
    side = max(1, round(max(width, height) * (1 + 2 * margin)))
    left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
    out = np.zeros((side, side, 3), np.uint8)
    inside = picture[max(0, top) : top + side, max(0, left) : left + side]
    if inside.size:
        out[max(0, -top) :, max(0, -left) :][: inside.shape[0], : inside.shape[1]] = inside
    return out


def _still(media: MediaFile, said: inputs.Input, faces: FaceTracker | None) -> Taken:
    with image.opened(media.path) as opened:
        picture = image.pixels(opened)
    height, width = picture.shape[:2]
    whole = Coverage(frames=1)
    if not isinstance(said.sampler, inputs.FaceCrop):
        sample = Sample(apply(said.steps, picture.astype(np.float32), said.color))
        return Taken([sample], whole, 1, width, height)
    found = [mesh.box for mesh in _tracker(faces).all_in(picture)[:MOST_FACES]]
    samples = [_face(picture, box, said, said.sampler.margin) for box in found if max(box[2:]) >= said.sampler.smallest]
    return Taken(samples, whole, 1, width, height)


def _frames(
    media: MediaFile,
    said: inputs.Input,
    sampler: inputs.WholeImage | inputs.FaceCrop,
    faces: FaceTracker | None,
    report: Report,
    deadline: Deadline,
) -> Taken:
    film, kept, seen, last = video.open_film(media.path), Spread[Sample](sampler.frames), 0, 0.0
    for frame in film.frames():
        deadline.check()
        seen, last = frame.number + 1, frame.time
        if not kept.wants(frame.number):
            continue
        report(Progress(seen, film.frame_count, "taking frames"))
        if isinstance(sampler, inputs.WholeImage):
            kept.add(Sample(apply(said.steps, frame.image.astype(np.float32), said.color), None, frame.time))
            continue
        tracker = _tracker(faces)
        tracker.forget()  # the frames lie far apart
        mesh = tracker.see(frame.image)
        if mesh is not None and max(mesh.box[2:]) >= sampler.smallest:
            kept.add(_face(frame.image, mesh.box, said, sampler.margin, frame.time, film.scale))
    return Taken(kept.all(), Coverage(last, film.duration, seen), seen)


def _sequences(
    media: MediaFile,
    said: inputs.Input,
    sampler: inputs.FrameSequence,
    faces: FaceTracker | None,
    report: Report,
    deadline: Deadline,
) -> Taken:
    film, kept, seen, last = video.open_film(media.path), Spread[Sample](sampler.windows), 0, 0.0
    span = sampler.length * sampler.stride
    window: list[Sample] = []
    for frame in film.frames():
        deadline.check()
        seen, last = frame.number + 1, frame.time
        number, place = divmod(frame.number, span)
        if not kept.wants(number) or place % sampler.stride:
            continue
        if place == 0:
            window = []
            if sampler.crop == "face":
                _tracker(faces).forget()
        report(Progress(seen, film.frame_count, "taking frames"))
        one = _in_window(frame, said, sampler, faces, film.scale)
        if one is not None:
            window.append(one)
        if place == span - sampler.stride and len(window) == sampler.length:
            kept.add(Sample(np.stack([each.array for each in window]), window[0].box, window[0].t))
    return Taken(kept.all(), Coverage(last, film.duration, seen), seen // span)


def _in_window(
    frame: video.Frame, said: inputs.Input, sampler: inputs.FrameSequence, faces: FaceTracker | None, scale: float
) -> Sample | None:
    if sampler.crop == "none":
        return Sample(apply(said.steps, frame.image.astype(np.float32), said.color), None, frame.time)
    mesh: Mesh | None = _tracker(faces).see(frame.image)
    return None if mesh is None else _face(frame.image, mesh.box, said, sampler.margin, frame.time, scale)


def _face(
    picture: Pixels, box: Box, said: inputs.Input, margin: float, t: float | None = None, scale: float = 1.0
) -> Sample:
    cut = square(picture, box, margin).astype(np.float32)
    in_media = (box[0] / scale, box[1] / scale, box[2] / scale, box[3] / scale)
    return Sample(apply(said.steps, cut, said.color), in_media, t)


def _sound(media: MediaFile, said: inputs.Input, sampler: inputs.AudioWindow | inputs.Mel, deadline: Deadline) -> Taken:
    track, kept, seen, heard = audio.open_sound(media.path), Spread[Sample](sampler.windows), 0, 0
    make: Callable[[Floats], Floats] = Spectrogram(sampler) if isinstance(sampler, inputs.Mel) else np.asarray
    length = round(sampler.seconds * sampler.rate)
    for start, samples in _windows(track, sampler.rate, length, max(1, round(sampler.hop * sampler.rate))):
        deadline.check()
        heard = start + len(samples)
        if kept.wants(seen):
            full = np.pad(samples, (0, length - len(samples)))
            kept.add(Sample(apply(said.steps, make(full)), None, start / sampler.rate))
        seen += 1
    return Taken(kept.all(), Coverage(heard / sampler.rate, track.duration, None), seen)


def _windows(track: audio.SoundTrack, rate: int, length: int, hop: int) -> Iterator[tuple[int, Floats]]:
    """(first sample, mono samples): whole windows only, but for a recording that is shorter than one."""
    held, start, given = np.zeros(0, np.float32), 0, False
    for _, block in track.blocks(rate, mono=True):
        held = np.concatenate([held, block[0]])
        while len(held) >= max(length, hop):
            yield start, held[:length]
            given = True
            held, start = held[hop:], start + hop
    if len(held) >= length or (not given and len(held)):
        yield start, held[:length]


def _tracker(faces: FaceTracker | None) -> FaceTracker:
    if faces is None:
        raise RuntimeError("the sampler asks for faces and no networks were loaded")
    return faces
