"""AUDIO-EVIDENCE-V1: what an analyst of a recording looks at first, measured and drawn, without a verdict.

It reads the file twice as a stream: once to hear where somebody speaks, once to measure. The measuring stands in
`perception/` (speech, pitch, acoustics, bandwidth, spectrogram), the reading in `decode/audio.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drishtiksha.domain.media import MediaType
from drishtiksha_models.detector import (
    AudioFigures,
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
    from drishtiksha_models.decode.audio import SoundTrack
    from drishtiksha_models.perception.acoustics import Doubles, SpectralShape, Waveform
    from drishtiksha_models.perception.bandwidth import MeanSpectra
    from drishtiksha_models.perception.speech import Segment, SpeechNetwork

ENOUGH_SPEECH = 2.0
"""Seconds; with less, nothing about a voice can be said."""
MOST_POINTS = 3000
"""Points of one curve; longer ones are thinned."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The first reading: speech per 32 ms and its segments, pitch in Hz per 32 ms (NaN: not voiced)."""

    probabilities: list[float]
    segments: list[Segment]
    pitch: Doubles

    @property
    def speech_seconds(self) -> float:
        """Sum of the segments."""
        return sum(s.end - s.start for s in self.segments)


@dataclass(frozen=True, slots=True)
class Measured:
    """The second reading."""

    waveform: Waveform
    shape: SpectralShape
    spectra: MeanSpectra
    frequencies: Doubles
    picture: bytes


class AudioEvidence:
    """Evidence from the sound itself; it never decides."""

    name = "AUDIO-EVIDENCE-V1"
    version = "1.0.0"
    media_types = frozenset({MediaType.AUDIO})
    description = (
        "Hears where somebody speaks (Silero VAD) and measures where the spectrum ends, runs of exact zeros, clipping, "
        "level, noise floor and pitch; draws the spectrogram. Evidence for an analyst, no score."
    )
    limits = (
        "It gives evidence and never decides: none of these measures tells a synthetic voice from a real one.",
        "A spectrum that ends early also comes from ordinary codecs, telephones and resampling.",
        "Exact zeros at the beginning and end are usual padding of lossy codecs, and some recorders mute between words.",
        "Only the first audio stream is examined, at most its first 30 minutes, at most 48 kHz, at most two channels.",
        "Pitch is measured in speech only; several voices at once, or music under a voice, make it unreliable.",
    )

    def __init__(self) -> None:
        self._network: SpeechNetwork | None = None

    def load(self) -> None:
        """Import numpy and onnxruntime, read the speech network. Raises Unloadable."""
        try:
            from drishtiksha_models.decode import audio  # noqa: F401
            from drishtiksha_models.perception import bandwidth, pitch, spectrogram  # noqa: F401
            from drishtiksha_models.perception.speech import SpeechNetwork
        except ImportError as error:
            raise Unloadable(
                f"{error.name} is not installed; bring it with: pip install 'drishtiksha[models]'"
            ) from error
        self._network = SpeechNetwork()

    def examine(self, media: MediaFile, report: Report, deadline: Deadline) -> Examination:
        """Hear, measure, tell. Raises BadMedia, Unsupported or DeadlinePassed."""
        from drishtiksha_models.decode.audio import open_sound

        track = open_sound(media.path)
        heard = self._hear(track, report, deadline)
        measured = self._measure(track, heard, report, deadline)
        return tell(track, heard, measured)

    def _hear(self, track: SoundTrack, report: Report, deadline: Deadline) -> Heard:
        from drishtiksha_models.perception.pitch import PitchMeter
        from drishtiksha_models.perception.speech import RATE, segments

        if self._network is None:
            raise RuntimeError("load comes before examine")
        stream, pitch = self._network.listen(), PitchMeter()
        probabilities: list[float] = []
        for at, block in track.blocks(RATE, mono=True):
            deadline.check()
            probabilities += stream.feed(block[0])
            pitch.feed(block[0])
            report(_progress(at, track.duration, 0.0, "Listening for speech"))
        return Heard(probabilities, segments(probabilities), pitch.finish())

    def _measure(self, track: SoundTrack, heard: Heard, report: Report, deadline: Deadline) -> Measured:
        from drishtiksha_models.perception.acoustics import Framer, SpectralShape, WaveformMeter
        from drishtiksha_models.perception.bandwidth import MeanSpectra
        from drishtiksha_models.perception.spectrogram import Spectrogram

        framer = Framer(track.working_rate)
        meter = WaveformMeter(track.working_rate, min(2, track.channels))
        shape = SpectralShape(framer.frequencies)
        spectra = MeanSpectra(framer.frequencies.size, heard.segments)
        drawing = Spectrogram(framer.frequencies.size)
        for at, block in track.blocks():
            deadline.check()
            meter.feed(block)
            for middles, power in framer.feed(block.mean(axis=0)):
                shape.feed(power)
                spectra.feed(middles, power)
                drawing.feed(power)
            report(_progress(at, track.duration, 0.5, "Measuring the sound"))
        waveform = meter.finish()
        picture = drawing.draw(waveform.seconds, track.working_rate, heard.segments)
        return Measured(waveform, shape, spectra, framer.frequencies, picture)


def tell(track: SoundTrack, heard: Heard, measured: Measured) -> Examination:
    """The examination as a value. With under two seconds of speech it is inconclusive and says so."""
    import numpy as np

    from drishtiksha_models.perception.bandwidth import brick_wall
    from drishtiksha_models.perception.pitch import of_voice

    wave, speech = measured.waveform, heard.speech_seconds
    whole = brick_wall(measured.spectra.whole, measured.frequencies)
    means = [measured.spectra.segment(i) for i in range(len(heard.segments))]
    walls = [None if mean is None else brick_wall(mean, measured.frequencies) for mean in means]
    wall_hz = [w.frequency for w in walls if w is not None]
    voiced = _voiced(heard)
    voice = of_voice(voiced)
    facts: dict[str, Fact] = {
        "codec": track.codec,
        "container": track.container,
        "sample_rate_hz": track.sample_rate,
        "channels": track.channels,
        "duration_s": round(wave.seconds, 3),
        "speech_s": round(speech, 3),
        "speech_segments": len(heard.segments),
        "spectrum_top_hz": track.working_rate / 2,
        "brick_wall_hz": None if whole is None else round(whole.frequency, 1),
        "brick_wall_drop_db": None if whole is None else round(whole.drop, 1),
        "speech_brick_wall_lowest_hz": round(min(wall_hz), 1) if wall_hz else None,
        "speech_brick_wall_highest_hz": round(max(wall_hz), 1) if wall_hz else None,
        "speech_segments_with_brick_wall": len(wall_hz),
        "zero_runs": wave.zero_run_count,
        "zero_runs_s": round(wave.zero_seconds, 4),
        "longest_zero_run_s": round(wave.longest_zero_seconds, 4),
        "zero_runs_inside_s": round(_inside(wave.zero_runs, wave.seconds), 4),
        "clipped_runs": wave.clipped_runs,
        "clipped_samples": wave.clipped_samples,
        "level_median_dbfs": round(float(np.median(wave.level_db)), 1),
        "level_highest_dbfs": round(float(wave.level_db.max()), 1),
        "noise_floor_dbfs": round(float(np.percentile(wave.level_db, 10)), 1),
        "silence_is_under_dbfs": -50.0,
        "voiced_s": round(voiced.size * 0.032, 3),
    }
    enough = speech >= ENOUGH_SPEECH
    reason = None if enough else f"less than 2 s of speech were heard ({speech:.1f} s)"
    return Examination(
        status=Status.COMPLETED if enough else Status.INCONCLUSIVE,
        finding=Finding.NONE,
        note=(
            f"{speech:.1f} s of speech were measured; the figures are evidence for an analyst, no verdict."
            if enough
            else "There is too little speech to say anything about a voice; the sound itself was measured."
        ),
        calibration=Calibration(kind="none", source="evidence only; no score is given"),
        inconclusive_reason=reason,
        coverage=Coverage(analysed_s=round(wave.seconds, 3), total_s=_total(track, wave.seconds)),
        series=_series(heard, wave, walls),
        images=(Picture("spectrogram", "spectrogram.png", "image/png", measured.picture),),
        facts=facts,
        metrics={"speech_s": round(speech, 3), "zero_runs_s": round(wave.zero_seconds, 4), "rms": round(wave.rms, 6)},
        limits=_cut(track, wave.seconds),
        audio=AudioFigures(
            duration_seconds=round(wave.seconds, 3),
            sample_rate=track.sample_rate,
            channels=track.channels,
            mean_pitch_hz=None if voice is None else round(voice[0], 2),
            pitch_stability_score=None if voice is None else round(voice[1], 4),
            rms_energy=round(wave.rms, 6),
            silence_ratio=round(wave.silence_ratio, 4),
            spectral_centroid=_rounded(measured.shape.centroid),
            spectral_contrast=_rounded(measured.shape.contrast),
        ),
    )


def _series(heard: Heard, wave: Waveform, walls: Sequence[object]) -> list[Series]:
    from drishtiksha_models.perception.acoustics import LEVEL_STEP, noise_floor
    from drishtiksha_models.perception.bandwidth import BrickWall
    from drishtiksha_models.perception.speech import HOP, RATE, SPEAKS

    step = HOP / RATE
    each = max(1, -(-len(heard.probabilities) // MOST_POINTS))
    speech = [max(heard.probabilities[i : i + each]) for i in range(0, len(heard.probabilities), each)]
    thin = max(1, -(-wave.level_db.size // MOST_POINTS))
    level = [float(wave.level_db[i : i + thin].mean()) for i in range(0, wave.level_db.size, thin)]
    floor = noise_floor(wave.level_db)
    series = [
        Series(
            "speech_probability",
            "1",
            [round((i + 0.5) * each * step, 3) for i in range(len(speech))],
            [round(p, 4) for p in speech],
            threshold=SPEAKS,
        ),
        Series(
            "level",
            "dBFS",
            [round((i + 0.5) * thin * LEVEL_STEP, 3) for i in range(len(level))],
            [round(v, 2) for v in level],
        ),
        Series("noise_floor", "dBFS", [i + 0.5 for i in range(floor.size)], [round(float(v), 2) for v in floor]),
    ]
    if heard.segments:
        hertz = [round(w.frequency, 1) if isinstance(w, BrickWall) else None for w in walls]
        middles = [round((s.start + s.end) / 2, 3) for s in heard.segments]
        series.append(Series("brick_wall", "Hz", middles[:MOST_POINTS], hertz[:MOST_POINTS]))
    if wave.zero_runs:
        starts = [round(a, 4) for a, _ in wave.zero_runs]
        series.append(Series("zero_runs", "s", starts, [round(b - a, 4) for a, b in wave.zero_runs]))
    return series


def _voiced(heard: Heard) -> Doubles:
    """Pitches of the voiced steps that lie in speech."""
    import numpy as np

    from drishtiksha_models.perception.speech import HOP, RATE

    inside = np.zeros(heard.pitch.size, bool)
    for segment in heard.segments:
        inside[round(segment.start * RATE / HOP) : round(segment.end * RATE / HOP)] = True
    return heard.pitch[inside & np.isfinite(heard.pitch)]


def _inside(runs: Sequence[tuple[float, float]], seconds: float) -> float:
    """Seconds of zero runs that touch neither the beginning nor the end, where codecs pad."""
    return sum(b - a for a, b in runs if a > 0.05 and b < seconds - 0.05)


def _cut(track: SoundTrack, read: float) -> tuple[str, ...]:
    """What this file's length kept from being examined."""
    if (track.duration or 0.0) <= read + 1.0:
        return ()
    return (f"Only the first {read:.0f} s of {track.duration:.0f} s could be examined.",)


def _total(track: SoundTrack, read: float) -> float:
    return round(max(track.duration or 0.0, read), 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _progress(at: float, duration: float | None, half: float, message: str) -> Progress:
    """Percent, when the container says how long it is; each reading is one half."""
    if not duration:
        return Progress(int(at), None, message)
    return Progress(min(99, int((half + 0.5 * min(1.0, at / duration)) * 100)), 100, message)


DETECTOR = AudioEvidence()
