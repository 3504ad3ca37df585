"""The measures of sound on signals whose truth is known, fed in blocks of odd sizes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drishtiksha_models.perception.acoustics import FLOOR_DB, Framer, Runs, SpectralShape, WaveformMeter, noise_floor
from drishtiksha_models.perception.bandwidth import MeanSpectra, brick_wall
from drishtiksha_models.perception.pitch import PitchMeter, of_voice
from drishtiksha_models.perception.spectrogram import Spectrogram, ticks
from drishtiksha_models.perception.speech import HOP, RATE, Segment, segments


def spectrum(sound: Any, rate: int) -> tuple[Any, Any]:
    framer = Framer(rate)
    spectra = MeanSpectra(framer.frequencies.size, [])
    for part in np.array_split(sound, 7):
        for middles, power in framer.feed(part):
            spectra.feed(middles, power)
    return spectra.whole, framer.frequencies


def test_brick_wall_follows_a_low_pass_in_order(draw: Any) -> None:
    noise = draw.noise(4, 48_000)
    walls = [brick_wall(*spectrum(draw.low_pass(noise, 48_000, edge), 48_000)) for edge in (4e3, 6e3, 8e3, 11e3, 16e3)]
    found = [w.frequency for w in walls if w is not None]
    assert found == sorted(found)
    assert len(found) == 5
    assert found == pytest.approx([4e3, 6e3, 8e3, 11e3, 16e3], abs=400)


def test_a_spectrum_that_reaches_the_top_has_no_brick_wall(draw: Any) -> None:
    assert brick_wall(*spectrum(draw.noise(2, 44_100), 44_100)) is None


def test_a_gap_in_the_spectrum_is_no_brick_wall(draw: Any) -> None:
    assert brick_wall(*spectrum(draw.band_stop(draw.noise(4, 48_000), 48_000, 6e3, 9e3), 48_000)) is None


def test_segments_own_their_frames_only() -> None:
    spectra = MeanSpectra(2, [Segment(1.0, 2.0), Segment(3.0, 4.0), Segment(9.0, 9.5)])
    power = np.array([[1, 0], [2, 0], [4, 0], [8, 8]], np.float32)
    spectra.feed(np.array([0.5, 1.5, 3.0, 4.0]), power)
    first, second = spectra.segment(0), spectra.segment(1)
    assert first is not None
    assert second is not None
    assert (first[0], second[0]) == (2, 4)
    assert spectra.segment(2) is None
    assert spectra.whole.tolist() == [3.75, 2.0]


@pytest.mark.parametrize("cuts", [1, 3, 50])
def test_runs_are_the_same_however_the_samples_arrive(cuts: int) -> None:
    mask = np.zeros(1000, bool)
    mask[0:40] = mask[100:109] = mask[500:777] = mask[990:] = True
    runs = Runs(shortest=10)
    for part in np.array_split(mask, cuts):
        runs.feed(part)
    runs.finish()
    assert runs.places == [(0, 40), (500, 777), (990, 1000)]
    assert (runs.count, runs.total, runs.longest) == (3, 40 + 277 + 10, 277)


def test_zeros_clipping_and_level_are_measured_where_they_are(draw: Any) -> None:
    rate = 8000
    sound = np.stack([draw.noise(3, rate), draw.noise(3, rate, seed=2)])
    sound[:, rate : rate + 400] = 0.0
    sound[0, 2 * rate : 2 * rate + 800] = 0.0  # one channel only: not silence of the recording
    sound[1, 100:105] = 1.0
    sound[1, 200] = -1.0  # one sample is a peak, not clipping
    meter = WaveformMeter(rate, 2)
    for part in np.array_split(sound, 11, axis=1):
        meter.feed(part)
    wave = meter.finish()
    assert wave.zero_runs == [(1.0, 1.05)]
    assert (wave.clipped_runs, wave.clipped_samples) == (1, 5)
    assert wave.seconds == 3.0
    assert wave.rms == pytest.approx(0.05, rel=0.1)
    assert wave.level_db.size == 30
    assert wave.silence_ratio == 0.0


def test_digital_silence_has_finite_figures() -> None:
    meter, framer = WaveformMeter(16_000, 1), Framer(16_000)
    shape = SpectralShape(framer.frequencies)
    silence = np.zeros((1, 16_000), np.float32)
    meter.feed(silence)
    for _, power in framer.feed(silence[0]):
        shape.feed(power)
    wave = meter.finish()
    assert wave.silence_ratio == 1.0
    assert set(wave.level_db.tolist()) == {FLOOR_DB}
    assert (shape.centroid, shape.contrast) == (None, None)
    assert noise_floor(wave.level_db).tolist() == [FLOOR_DB]


def shape_of(sound: Any, rate: int) -> SpectralShape:
    framer = Framer(rate)
    shape = SpectralShape(framer.frequencies)
    for _, power in framer.feed(sound.astype(np.float32)):
        shape.feed(power)
    return shape


def test_centroid_is_where_the_sound_is_and_harmonics_have_more_contrast_than_noise(draw: Any) -> None:
    t = np.arange(32_000) / 16_000
    tone = shape_of(0.5 * np.sin(2 * np.pi * 1000 * t), 16_000)
    noise = shape_of(draw.noise(2, 16_000), 16_000)
    harmonics = shape_of(sum(0.02 * np.sin(2 * np.pi * 250 * k * t) for k in range(1, 31)), 16_000)
    assert tone.centroid == pytest.approx(1000, abs=60)
    assert noise.centroid == pytest.approx(4000, abs=200)
    assert harmonics.contrast is not None
    assert noise.contrast is not None
    assert harmonics.contrast > noise.contrast + 5


def test_a_full_scale_sine_peaks_at_zero_decibels() -> None:
    t = np.arange(32_000) / 16_000
    for _, power in Framer(16_000).feed(np.sin(2 * np.pi * 1000 * t).astype(np.float32)):
        assert power.max() == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("hertz", [85.0, 140.0, 233.0, 350.0])
def test_pitch_of_a_drawn_voice_is_its_pitch(draw: Any, hertz: float) -> None:
    meter = PitchMeter()
    for part in np.array_split(draw.voice(3, hertz), 13):
        meter.feed(part)
    heard = meter.finish()
    voice = of_voice(heard[np.isfinite(heard)])
    assert voice is not None
    assert voice[0] == pytest.approx(hertz, rel=0.05)
    assert 0.9 < voice[1] <= 1.0


def test_noise_has_no_pitch(draw: Any) -> None:
    meter = PitchMeter()
    meter.feed(draw.noise(2, RATE))
    heard = meter.finish()
    assert heard.size == pytest.approx(2 * RATE / HOP, abs=2)
    assert np.mean(np.isfinite(heard)) < 0.1


def test_segments_need_a_pause_to_end_and_a_length_to_count() -> None:
    step = HOP / RATE
    speaking = [0.9] * 20
    assert segments([0.1] * 5 + speaking + [0.1] * 2 + speaking + [0.1] * 10) == [Segment(5 * step, 47 * step)]
    assert len(segments(speaking + [0.1] * 10 + speaking)) == 2
    assert segments([0.9] * 3 + [0.0] * 30) == []
    assert segments([0.45] * 100) == []


def test_spectrogram_of_any_length_is_one_picture_of_one_size(draw: Any) -> None:
    for seconds in (0.01, 90.0):
        framer = Framer(8000)
        drawing = Spectrogram(framer.frequencies.size)
        for _, power in framer.feed(draw.noise(seconds, 8000)):
            drawing.feed(power)
        picture = Image.open(io.BytesIO(drawing.draw(seconds, 8000, [Segment(0, seconds / 2)])))
        assert picture.size == (1040, 412)
        assert picture.format == "PNG"


@pytest.mark.parametrize("step", [2, 173, 5000])
def test_spectrogram_keeps_time_in_place_when_columns_are_joined(step: int) -> None:
    drawing = Spectrogram(4)
    for first in range(0, 7001, step):
        power = np.zeros((min(step, 7001 - first), 4), np.float32)
        power[: max(0, 3500 - first)] = 1.0
        drawing.feed(power)
    pixels = np.asarray(Image.open(io.BytesIO(drawing.draw(10.0, 8000, [])))).astype(int)[28:348, 64:1024].sum(axis=2)
    assert pixels[:, :470].min() > pixels[:, 490:].max()


def test_ticks_are_round_and_few() -> None:
    assert ticks(10, 10) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert ticks(24_000, 6) == [0, 5000, 10_000, 15_000, 20_000]
    assert ticks(0, 5) == [0]
