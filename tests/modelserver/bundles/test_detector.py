"""A bundle examines pictures, films and sound by its samplers; what it says is a score, or a probability that was earned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tiny_networks as nets

from drishtiksha_models import answer
from drishtiksha_models.bundles import inputs
from drishtiksha_models.bundles.detector import BundleDetector
from drishtiksha_models.bundles.folder import open_bundle
from drishtiksha_models.bundles.mel import filters
from drishtiksha_models.bundles.sampling import square
from drishtiksha_models.bundles.spread import Spread
from drishtiksha_models.bundles.steps import apply
from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import Deadline, Examination, Finding, Status

from .conftest import Make

EARNED = {
    "status": "empirical", "set": "s", "n_real": 200, "n_fake": 200, "ece": 0.02, "auc": 0.9,
    "platt": {"a": -1.0, "b": 0.0}, "emit_probability": True,
}  # fmt: skip


def loaded(folder: Path) -> BundleDetector:
    detector = BundleDetector(open_bundle(folder))
    detector.load()
    return detector


def examined(detector: BundleDetector, path: Path) -> Examination:
    media = identify(path, path.name)
    found = detector.examine(media, lambda _progress: None, Deadline(60))
    assert answer.data(detector, media, found, 0.1)["model_name"] == detector.name
    return found


def film(path: Path, frames: list[nets.Pixels]) -> Path:
    """The frames at 24 per second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "12"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_the_trained_network_tells_stripes_from_smooth_pictures_it_never_saw(make: Make, tmp_path: Path) -> None:
    detector = loaded(make())
    scores = {
        kind: [examined(detector, nets.save(draw(100 + n), tmp_path / f"{kind}{n}.png")).score for n in range(5)]
        for kind, draw in (("smooth", nets.smooth), ("striped", nets.striped))
    }
    assert max(s.value for s in scores["smooth"] if s) < 0.5 < min(s.value for s in scores["striped"] if s)


def test_a_score_raises_suspicion_at_most(make: Make, picture: Path, tmp_path: Path) -> None:
    detector = loaded(make(changes={"decision.suspect_above": 0.6}))
    found = examined(detector, picture)
    assert (found.status, found.finding, found.probability_fake) == (Status.COMPLETED, Finding.SUSPICIOUS, None)
    assert answer.prediction(found) == ("INCONCLUSIVE", 0.5)
    assert "no probability" in found.note
    assert examined(detector, nets.save(nets.smooth(9), tmp_path / "s.png")).finding is Finding.NONE


def test_a_probability_that_was_earned_decides(make: Make, picture: Path, tmp_path: Path) -> None:
    detector = loaded(make(changes={"calibration": EARNED}))
    found = examined(detector, picture)
    assert found.probability_fake == pytest.approx(found.score.value if found.score else 0)  # a = -1, b = 0: as it was
    assert answer.prediction(found)[0] == "FAKE"
    assert found.calibration.kind == "empirical"
    assert found.calibration.n == 400
    assert answer.prediction(examined(detector, nets.save(nets.smooth(9), tmp_path / "s.png")))[0] == "REAL"


def test_a_film_gives_a_curve_over_all_of_it(make: Make, tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4", [nets.smooth(1)] * 48 + [nets.striped(1)] * 48)
    changes = {"media_types": ["VIDEO"], "input.sampler.frames": 8, "decision.aggregate": "max"}
    detector = loaded(make(golden=clip, changes=changes))
    found = examined(detector, clip)
    (curve,) = found.series
    assert len(curve.t) == 8
    assert curve.t[0] == 0
    assert curve.t[-1] > 3
    assert max(v or 0 for v in curve.v[:4]) < min(v or 0 for v in curve.v[-4:])
    assert found.score is not None
    assert found.score.value == max(v or 0 for v in curve.v)
    assert found.coverage is not None
    assert found.coverage.frames == 96


def test_a_sequence_gives_windows_and_a_film_that_is_too_short_none(make: Make, tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4", [nets.smooth(1)] * 70)
    short = film(tmp_path / "short.mp4", [nets.smooth(1)] * 6)
    network = nets.mean_of(["N", 8, 3, nets.SIDE, nets.SIDE])
    detector = loaded(make(network, sampler="frame-sequence", golden=clip, changes={"input.sampler.stride": 2}))
    assert [round(s.t or 0, 2) for s in detector.answers(identify(clip), lambda _: None, Deadline(60)).taken.samples] == [
        0.0, 0.67, 1.33, 2.0,
    ]  # fmt: skip
    found = examined(detector, short)
    assert found.status is Status.INCONCLUSIVE
    assert "no part of the file was found" in (found.inconclusive_reason or "")


def test_without_a_face_a_face_model_says_nothing(make: Make, picture: Path) -> None:
    with pytest.raises(Exception, match="gives no sample; take one in which the sampler finds something"):
        make(sampler="face-crop")
    detector = BundleDetector(open_bundle(make(name="OTHER-V1")))
    manifest = detector.manifest.model_copy(
        update={"input": detector.manifest.input.model_copy(update={"sampler": inputs.FaceCrop(kind="face-crop")})}
    )
    blind = BundleDetector(type(detector._bundle)(detector._bundle.path, manifest, b""))
    blind.prepare()
    found = examined(blind, picture)
    assert (found.status, found.finding) == (Status.INCONCLUSIVE, Finding.NONE)
    assert "no face was found" in (found.inconclusive_reason or "")


@pytest.mark.parametrize("layout", ["NS", "NCS"])
def test_sound_comes_in_whole_windows_and_what_is_short_is_filled_up(make: Make, tmp_path: Path, layout: str) -> None:
    tone, brief = nets.sound(tmp_path / "tone.wav", 3.2), nets.sound(tmp_path / "brief.wav", 0.3)
    sizes: list[int | str] = ["N", 16_000] if layout == "NS" else ["N", 1, 16_000]
    changes = {"input.sampler.seconds": 1.0, "input.sampler.hop": 0.5}
    detector = loaded(make(nets.mean_of(sizes), changes, sampler="audio-window", golden=tone))
    samples = detector.answers(identify(tone), lambda _: None, Deadline(60)).taken.samples
    assert [s.t for s in samples] == [0.0, 0.5, 1.0, 1.5, 2.0]
    (only,) = detector.answers(identify(brief), lambda _: None, Deadline(60)).taken.samples
    assert np.abs(only.array[:4000]).max() > 0.4
    assert not only.array[5000:].any()
    assert examined(detector, brief).status is Status.COMPLETED


def test_a_tone_lies_in_its_band_of_the_mel_spectrogram(make: Make, tmp_path: Path) -> None:
    tone = nets.sound(tmp_path / "tone.wav", 3)
    detector = loaded(make(nets.mean_of(["N", 64, "T"]), sampler="mel", golden=tone))
    sample = detector.answers(identify(tone), lambda _: None, Deadline(60)).taken.samples[0]
    bands = filters(16_000, 1024, 64, 0.0, 8000.0)
    assert sample.array.shape[0] == 64
    assert sample.array.mean(axis=1).argmax() == bands[:, round(440 / (16_000 / 1024))].argmax()


def test_mel_filters_have_the_area_one_and_their_places_on_htk_s_scale() -> None:
    bands = filters(16_000, 4096, 20, 0.0, 8000.0)
    assert bands[5:].sum(axis=1) * (16_000 / 4096) == pytest.approx(np.ones(15), rel=0.02)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 22) / 2595) - 1)
    assert bands.argmax(axis=1) * (16_000 / 4096) == pytest.approx(edges[1:-1], abs=4)


STEPS: list[tuple[str, dict[str, Any], Any]] = [
    ("resize", {"op": "resize", "width": 4, "height": 2}, (2, 4, 3)),
    ("resize_short", {"op": "resize_short", "to": 10}, (10, 20, 3)),
    ("center_crop", {"op": "center_crop", "width": 6, "height": 12}, (12, 6, 3)),
    ("pad", {"op": "pad", "value": 7}, (16, 16, 3)),
    ("to_gray", {"op": "to_gray"}, (8, 16, 1)),
]


@pytest.mark.parametrize(("said", "shape"), [step[1:] for step in STEPS], ids=[step[0] for step in STEPS])
def test_a_step_makes_the_size_that_it_says(said: dict[str, Any], shape: tuple[int, ...]) -> None:
    step = getattr(inputs, "".join(part.title() for part in said["op"].split("_")))(**said)
    assert apply([step], np.ones((8, 16, 3), np.float32)).shape == shape


def test_steps_do_their_sums_in_the_order_of_the_colours() -> None:
    red = np.zeros((2, 2, 3), np.float32)
    red[..., 0] = 200
    gray = inputs.ToGray(op="to_gray")
    assert apply([gray], red)[0, 0, 0] == pytest.approx(59.8)
    assert apply([gray], red, "BGR")[0, 0, 0] == pytest.approx(59.8)
    normal = inputs.Normalize(op="normalize", mean=[100, 0, 0], std=[50, 1, 1])
    assert apply([normal], red)[0, 0].tolist() == [2, 0, 0]
    assert apply([normal], red, "BGR")[0, 0].tolist() == [-2, 0, 200]


def test_a_square_beyond_the_picture_is_black_there() -> None:
    picture = np.full((10, 10, 3), 9, np.uint8)
    cut = square(picture, (-2, 3, 4, 4), 0.0)
    assert cut.shape == (4, 4, 3)
    assert cut[:, :2].sum() == 0
    assert (cut[:, 2:] == 9).all()
    assert square(picture, (100, 100, 4, 4), 0.5).sum() == 0


@pytest.mark.parametrize("count", [0, 1, 7, 8, 15, 16, 17, 1000])
def test_a_spread_keeps_few_and_evenly(count: int) -> None:
    kept: Spread[int] = Spread(8)
    for number in range(count):
        if kept.wants(number):
            kept.add(number)
        assert len(kept._kept) < 16
    chosen = kept.all()
    assert len(chosen) == min(count, 8)
    gaps = np.diff(chosen)
    assert count < 16 or gaps.max() <= 2 * gaps.min()
    assert count == 0 or chosen[0] == 0
