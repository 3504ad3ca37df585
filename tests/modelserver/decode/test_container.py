"""Films and recordings that a decoder is not prepared for: each is refused in words or read to its end, as fuzzing found them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from drishtiksha_models.decode.audio import open_sound
from drishtiksha_models.decode.container import packets
from drishtiksha_models.decode.video import open_film
from drishtiksha_models.detector import Unsupported


def made(kind: str, seconds: float, film: str | None = None, sound: str | None = None) -> bytes:
    """A container with noisy frames of 64 x 48 and silence, as far as codecs are named."""
    out = io.BytesIO()
    with av.open(out, "w", format=kind) as container:
        streams = []
        if film:
            moving = container.add_stream(film, rate=25, options={"qmin": "1", "qmax": "1"})
            moving.width, moving.height, moving.pix_fmt = 64, 48, "yuv420p"
            streams.append((moving, [_noisy(i) for i in range(int(seconds * 25))]))
        if sound:
            heard = container.add_stream(sound, rate=48_000, layout="mono")
            streams.append((heard, [_silence(i) for i in range(int(seconds * 48_000 / 1152))]))
        for stream, frames in streams:
            for frame in [*frames, None]:
                container.mux(stream.encode(frame))
    return out.getvalue()


def _noisy(number: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8), "rgb24")
    frame.pts, frame.time_base = number, Fraction(1, 25)
    return frame


def _silence(number: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16", "mono")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, number * 1152, Fraction(1, 48_000)
    return frame


def test_moving_pictures_of_an_unknown_codec_are_not_supported(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    path.write_bytes(made("matroska", 0.2, film="ffv1").replace(b"V_FFV1", b"V_FFVX"))
    with pytest.raises(Unsupported, match="not known"):
        open_film(path)


def test_sound_of_an_unknown_codec_is_not_supported(tmp_path: Path) -> None:
    path = tmp_path / "sound.mka"
    path.write_bytes(made("matroska", 0.2, sound="flac").replace(b"A_FLAC", b"A_FLAX"))
    with pytest.raises(Unsupported, match="not known"):
        open_sound(path)


def test_a_stream_that_comes_up_late_does_not_break_the_reading_of_another(tmp_path: Path) -> None:
    path = tmp_path / "recording.ts"
    silent, talking = made("mpegts", 2, film="mpeg2video"), made("mpegts", 1, film="mpeg2video", sound="mp2")
    often = 6_000_000 // len(silent) + 1  # FFmpeg looks for streams in the first 5 MB and in the last
    path.write_bytes(silent * often + talking + silent * (often // 5))
    with av.open(str(path)) as container:
        assert not container.streams.audio, "the sound must not be known at the beginning"
    assert sum(1 for _ in open_film(path).frames()) == (often + often // 5) * 50 + 25


def test_a_packet_that_says_the_last_frame_again_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    path.write_bytes(made("matroska", 0.2, film="ffv1"))
    again = av.Packet(0)  # as Theora has them; no encoder here writes one
    again.pts = again.dts = 45

    class Repeating:
        """The container with such a packet after its second."""

        def demux(self, stream: av.VideoStream) -> Iterator[av.Packet]:
            for number, packet in enumerate(container.demux(stream)):
                yield packet
                if number == 1:
                    again.stream = stream
                    yield again

    with av.open(str(path)) as container:
        film = container.streams.video[0]
        assert sum(len(packet.decode()) for packet in packets(Repeating(), film)) == 5


def test_a_duration_below_zero_is_none(tmp_path: Path) -> None:
    data = bytearray(made("mp4", 0.4, film="mpeg4"))
    times = data.index(b"stts") + 8
    data[times : times + 12] = bytes.fromhex("00000002 ffffffff 7fffffff")  # two entries whose sum overflows 63 bits
    path = tmp_path / "film.mp4"
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert container.streams.video[0].duration < 0
    assert open_film(path).duration is None
