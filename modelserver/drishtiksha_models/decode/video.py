"""Streams the frames of an untrusted video upright, one at a time, at a bounded size; nothing is kept.

Next to it: `container.py` (opens the file), `audio.py` (sound). Used by the detectors of video; libav's errors become BadMedia here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from drishtiksha_models.decode.container import open_container, packets
from drishtiksha_models.detector import BadMedia, Unsupported

Image = NDArray[np.uint8]
"""Height x width x 3, RGB."""

MAX_PIXELS = 36_000_000
"""Of one frame: 8K. A larger one is refused before anything of it is decoded."""
MAX_SECONDS = 600.0
"""What is read of one file; the rest is left out and said in the coverage."""
MAX_FRAMES = 18_000
"""Ten minutes at 30 frames per second."""
MAX_DAMAGED = 200
"""Packets that may fail to decode before the whole file counts as damaged."""
LONGEST_SIDE = 1280
"""Pixels; larger frames are brought down to it while they are converted."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it is meant to be seen: its number from 0, its time in seconds, its pixels."""

    number: int
    time: float
    image: Image


@dataclass(frozen=True, slots=True)
class Film:
    """The first real video stream of a file: pixels as coded, seconds and frames by the container (None: unsaid)."""

    path: Path
    codec: str
    width: int
    height: int
    fps: float | None
    duration: float | None
    frame_count: int | None

    @property
    def scale(self) -> float:
        """Delivered pixels per pixel of the media, at most 1."""
        return min(1.0, LONGEST_SIDE / max(self.width, self.height))

    def frames(
        self,
        max_seconds: float = MAX_SECONDS,
        max_frames: int = MAX_FRAMES,
        every: float = 0.0,
        full_size: bool = False,
        key_only: bool = False,
    ) -> Iterator[Frame]:
        """Decode from the start, rotated as the file asks, scaled by `scale` unless `full_size`.

        Time never runs backwards; a frame without a time gets the one its number says. Frames less than `every` seconds
        after the last given one are decoded and passed over; `key_only` decodes only frames that need no other, and numbers
        them. Raises BadMedia when nothing, or too little, can be decoded.
        """
        start, last, due = None, 0.0, 0.0
        number = 0
        for decoded in _decoded(self.path, key_only):
            if decoded.width * decoded.height > MAX_PIXELS:
                raise BadMedia("A frame of this video is larger than what is examined.")
            at = decoded.time if decoded.time is not None else number / (self.fps or 25.0)
            start = at if start is None else start
            last = max(last, at - start)
            if last > max_seconds or number >= max_frames:
                return
            if last >= due:
                due = last + every - 1e-3
                try:
                    image = _upright(decoded, None if full_size else LONGEST_SIDE)
                except (av.error.FFmpegError, ValueError) as error:
                    raise BadMedia("The pixels of this video cannot be converted.") from error
                yield Frame(number, last, image)
            number += 1
        if number == 0:
            raise BadMedia("No frame could be decoded from this file.")


def open_film(path: Path) -> Film:
    """Look at a file's first video stream that is no cover picture.

    Raises Unsupported when there is none, BadMedia when the file cannot be read or is beyond a limit.
    """
    try:
        with open_container(path) as container:
            index = _video_index(container)
            if index is None:
                raise Unsupported("This file has no video stream.")
            stream = container.streams[index]
            codec = stream.codec_context
            if codec is None:
                raise Unsupported("The moving pictures of this file are coded in a way that is not known here.")
            rate: Fraction | None = stream.average_rate or stream.guessed_rate
            duration = container.duration / av.time_base if (container.duration or 0) > 0 else None
            if (stream.duration or 0) > 0 and stream.time_base:
                duration = float(stream.duration * stream.time_base)
            fps = float(rate) if rate else None
            film = Film(path, codec.name, codec.width, codec.height, fps, duration, stream.frames or None)
    except av.error.FFmpegError as error:
        raise BadMedia("This file cannot be read as a video.") from error
    if film.width <= 0 or film.height <= 0:
        raise BadMedia("This video does not say how large its frames are.")
    if film.width * film.height > MAX_PIXELS:
        raise BadMedia(f"Frames of {film.width} x {film.height} pixels are larger than what is examined.")
    return film


def _video_index(container: av.container.InputContainer) -> int | None:
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return int(stream.index)
    return None


def _decoded(path: Path, key_only: bool) -> Iterator[av.VideoFrame]:
    """Decoded frames; a damaged packet is passed over until there are too many of them."""
    damaged = 0
    try:
        with open_container(path) as container:
            index = _video_index(container)
            stream = container.streams[0 if index is None else index]
            stream.thread_type = "NONE"
            if key_only:
                stream.codec_context.skip_frame = "NONKEY"
            for packet in packets(container, stream):
                try:
                    yield from packet.decode()
                except (av.error.InvalidDataError, av.error.PermissionError) as error:  # -1 of some decoders
                    damaged += 1
                    if damaged > MAX_DAMAGED:
                        raise BadMedia("Too much of this video is damaged.") from error
    except av.error.FFmpegError as error:
        raise BadMedia("The frames of this file cannot be decoded.") from error


def _upright(frame: av.VideoFrame, longest: int | None) -> Image:
    scale = min(1.0, (longest or max(frame.width, frame.height)) / max(frame.width, frame.height))
    size = {"width": max(2, round(frame.width * scale)), "height": max(2, round(frame.height * scale))}
    image = np.asarray(frame.reformat(format="rgb24", **size).to_ndarray(), np.uint8)
    # The display matrix turns counter-clockwise, as numpy's rot90 does.
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90) % 4))
