"""Streams the first audio stream of an untrusted file as blocks of float samples; memory does not grow with length.

Next to it: `container.py` (opens the file), `video.py` (frames). Used by AUDIO-EVIDENCE-V1; libav's errors become BadMedia here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from drishtiksha_models.decode.container import open_container, packets
from drishtiksha_models.detector import BadMedia, Unsupported

Samples = NDArray[np.float32]
"""Channels x samples, full scale is 1.0; a lossy codec may pass it."""

MAX_SECONDS = 1800.0
"""What is read of one file; the rest is left out and said in the coverage."""
LOWEST_RATE, HIGHEST_RATE = 4000, 192_000
"""Hz; less carries no voice, more is no sound recording."""
MAX_CHANNELS = 16
MAX_DAMAGED = 200
"""Packets that may fail to decode before the whole file counts as damaged."""
BLOCK = 0.5
"""Seconds that a block has at least: codecs give 20 ms at a time, which costs more in calls than in numbers."""
LOUDEST = 8.0
"""Full scales; lossy codecs pass 1.0 a little, only a crafted file of floats passes this."""
HIGHEST_WORKING_RATE = 48_000
"""Hz; faster recordings are brought down to it, slower ones stay as they are."""


@dataclass(frozen=True, slots=True)
class SoundTrack:
    """The first audio stream of a file: codec name, Hz, channels, seconds by the container (None: it does not say)."""

    path: Path
    codec: str
    container: str
    sample_rate: int
    channels: int
    bitrate: int | None
    duration: float | None

    @property
    def working_rate(self) -> int:
        """Hz at which `blocks` delivers unless told otherwise."""
        return min(self.sample_rate, HIGHEST_WORKING_RATE)

    def blocks(
        self, rate: int | None = None, mono: bool = False, max_seconds: float = MAX_SECONDS
    ) -> Iterator[tuple[float, Samples]]:
        """Decode from the start: (time of the block's first sample in seconds, channels x samples).

        More than two channels are mixed down to two; at the file's own rate and up to two channels, samples are not
        changed, so exact zeros stay exact zeros. Raises BadMedia when nothing, or too little, can be decoded.
        """
        rate = rate or self.working_rate
        layout = "mono" if mono or self.channels == 1 else "stereo"
        done = 0
        for block in _gathered(_blocks(self.path, rate, layout), int(BLOCK * rate)):
            room = int(max_seconds * rate) - done
            if room <= 0:
                return
            samples = np.clip(np.nan_to_num(block[:, :room], nan=0.0), -LOUDEST, LOUDEST)
            yield done / rate, samples
            done += samples.shape[1]
        if done == 0:
            raise BadMedia("No sound could be decoded from this file.")


def open_sound(path: Path) -> SoundTrack:
    """Look at a file's first audio stream. Raises Unsupported when there is none, BadMedia when it cannot be read."""
    try:
        with open_container(path) as container:
            if not container.streams.audio:
                raise Unsupported("This file has no audio stream.")
            stream = container.streams.audio[0]
            codec = stream.codec_context
            if codec is None:
                raise Unsupported("The sound of this file is coded in a way that is not known here.")
            duration = container.duration / av.time_base if (container.duration or 0) > 0 else None
            track = SoundTrack(
                path, codec.name, container.format.name, codec.sample_rate, codec.channels, codec.bit_rate, duration
            )
    except av.error.FFmpegError as error:
        raise BadMedia("This file cannot be read as sound.") from error
    if not LOWEST_RATE <= track.sample_rate <= HIGHEST_RATE or not 0 < track.channels <= MAX_CHANNELS:
        raise BadMedia(f"{track.channels} channels at {track.sample_rate} Hz are beyond what is examined.")
    return track


def _frames(path: Path) -> Iterator[av.AudioFrame]:
    """Decoded frames; a damaged packet is passed over until there are too many of them."""
    damaged = 0
    try:
        with open_container(path) as container:
            stream = container.streams.audio[0]
            stream.thread_type = "NONE"
            for packet in packets(container, stream):
                try:
                    yield from packet.decode()
                except (av.error.InvalidDataError, av.error.PermissionError) as error:  # -1 of some decoders
                    damaged += 1
                    if damaged > MAX_DAMAGED:
                        raise BadMedia("Too much of the sound in this file is damaged.") from error
    except av.error.FFmpegError as error:
        raise BadMedia("The sound in this file cannot be decoded.") from error


def _blocks(path: Path, rate: int, layout: str) -> Iterator[Samples]:
    try:
        yield from _resampled(_frames(path), rate, layout)
    except (av.error.FFmpegError, ValueError) as error:
        raise BadMedia("The sound in this file cannot be brought to one rate and layout.") from error


def _resampled(frames: Iterator[av.AudioFrame], rate: int, layout: str) -> Iterator[Samples]:
    """Blocks at one rate and layout, whatever the frames change to on the way."""
    resampler: av.AudioResampler | None = None
    shape: tuple[str, str, int] | None = None
    for frame in frames:
        now = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or now != shape:
            if resampler is not None:
                yield from (_array(out) for out in resampler.resample(None))
            resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
            shape = now
        # Time stamps of broken files would make the filter insert or drop sound.
        frame.pts = None
        yield from (_array(out) for out in resampler.resample(frame))
    if resampler is not None:
        yield from (_array(out) for out in resampler.resample(None))


def _gathered(blocks: Iterator[Samples], least: int) -> Iterator[Samples]:
    """The same samples in blocks of at least so many; the last may be shorter."""
    parts: list[Samples] = []
    for block in blocks:
        parts.append(block)
        if sum(part.shape[1] for part in parts) >= least:
            yield np.concatenate(parts, axis=1)
            parts = []
    if parts:
        yield np.concatenate(parts, axis=1)


def _array(frame: av.AudioFrame) -> Samples:
    return np.ascontiguousarray(frame.to_ndarray(), dtype=np.float32)
