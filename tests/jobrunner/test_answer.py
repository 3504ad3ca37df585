"""From a service's answer to the result of the protocol: every result here passes the door's own model."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random

import pytest

from drishtiksha.protocol import AttemptResult
from drishtiksha_jobrunner import answer
from drishtiksha_jobrunner.answer import Asked, encode, normalise
from drishtiksha_jobrunner.body import MAX_PICTURE, MAX_PLAIN
from drishtiksha_jobrunner.faults import Fault
from drishtiksha_jobrunner.service import read

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 40
STATS = {"version": "3.0.0", "models_info": [{"name": "M-V1", "loaded": True, "device": "cpu", "version": "2.1"}]}


def asked(polarity: str = "fake") -> Asked:
    return Asked("M-V1", "2.0", "m1", polarity, 1.25, read(STATS, "M-V1", "cpu-0"))


def made(polarity: str = "fake", **data) -> tuple[AttemptResult, dict[str, bytes]]:
    data = {"prediction": "FAKE", "confidence": 0.75} | data
    result, artifacts = normalise({"success": True, "model_used": "M-V1", "data": data}, asked(polarity))
    kept = {a.name: a.content for a in artifacts}
    return AttemptResult.model_validate_json(encode(result, list(kept))), kept


def picture(**changed) -> dict:
    return {
        "kind": "heatmap",
        "name": "votes.png",
        "mimetype": "image/png",
        "data": base64.b64encode(PNG).decode(),
    } | changed


def test_the_smallest_answer_is_a_result():
    result, _ = made()
    assert (result.model, result.model_version, result.prediction, result.confidence) == ("M-V1", "2.1", "FAKE", 0.75)
    assert result.processing_time == 1.25
    assert result.system_info is not None
    assert result.system_info.node_name == "cpu-0"


def test_the_extension_is_kept_whole():
    result, _ = made(
        prediction="FAKE",
        finding="MANIPULATED_REGION",
        probability_fake=None,
        score={"value": -12.5, "kind": "log10-nfa", "name": "votes"},
        calibration={"kind": "nfa", "bound": 0.001, "source": "by construction", "auc": None, "n": 50},
        inconclusive_reason=None,
        coverage={"analysed_s": 10.0, "total_s": 12.0, "frames": 240},
        limits=["Only JPEG history"],
        evidence={
            "series": [
                {"name": "acc", "unit": "1", "t": [0, 0.04, 0.08], "v": [0.6, None, 1.2], "threshold": 1.0},
            ],
            "regions": [{"t": 1.2, "box": [1, 2, 30, 40], "score": 0.9, "label": "face"}, {"box": [0, 0, 1, 1]}],
            "facts": {"face_frames": 0.98, "signed": False, "by": "camera", "list": [1, 2], "none": None},
        },
        metrics={"a": 1, "nested": {"b": 2.5}, "curve": [1, 2, None], "name": "x", "flag": True},
    )
    assert result.finding == "MANIPULATED_REGION"
    assert result.measure is not None
    assert (result.measure.value, result.measure.kind) == (-12.5, "log10-nfa")
    assert result.calibration is not None
    assert (result.calibration.bound, result.calibration.n) == (0.001, 50)
    assert result.coverage is not None
    assert result.coverage.frames == 240
    assert [s.name for s in result.series] == ["curve", "acc"]
    assert result.series[1].v == [0.6, None, 1.2]
    assert result.series[1].threshold == 1.0
    assert result.regions[0].box == [1, 2, 30, 40]
    assert result.metrics == {"a": 1.0, "nested.b": 2.5}
    assert result.facts == {
        "face_frames": 0.98, "signed": False, "by": "camera", "list": "[1, 2]", "none": None, "name": "x", "flag": True
    }  # fmt: skip
    assert result.limits == ["Only JPEG history"]


def test_acoustic_figures_have_their_columns_and_the_rest_is_not_lost():
    result, _ = made(
        prediction="INCONCLUSIVE",
        properties={"duration_seconds": 4.0, "sample_rate": 16000, "channels": 1, "codec": "pcm"},
        pitch={"mean_pitch_hz": 180.2, "pitch_stability_score": 0.4, "min_hz": 90},
        energy={"rms_energy": 0.05, "silence_ratio": 0.2},
        spectral={"spectral_centroid": 1500, "spectral_contrast": 21.0},
        voice_quality={"jitter": 0.01, "label": "good", "odd": [1]},
        visualization={"spectrogram_url": None},
    )
    audio = result.audio
    assert audio is not None
    assert (audio.mean_pitch_hz, audio.rms_energy, audio.silence_ratio) == (180.2, 0.05, 0.2)
    assert (audio.duration_seconds, audio.sample_rate, audio.channels) == (4.0, 16000, 1)
    assert audio.voice_quality == {"jitter": 0.01, "label": "good"}
    assert result.metrics == {"pitch.min_hz": 90.0}
    assert result.facts == {"properties.codec": "pcm"}


def test_frames_are_sorted_and_read_as_probabilities_of_fake():
    listed = [{"index": 2, "score": 0.9, "prediction": "FAKE"}, {"index": 1, "score": 0.25}]
    result, _ = made(frame_predictions=listed, frame_count=300, frames_analyzed=2)
    assert [(f.number, f.score, f.prediction) for f in result.frames] == [(1, 0.25, "REAL"), (2, 0.9, "FAKE")]
    assert result.frame_count == 300
    assert result.coverage is not None
    assert result.coverage.frames == 2


def test_a_model_of_the_other_polarity_has_its_frames_turned_but_not_its_words():
    result, _ = made("real", frame_predictions=[{"index": 0, "score": 0.9, "prediction": "REAL"}])
    assert (result.frames[0].score, result.frames[0].prediction) == (pytest.approx(0.1), "REAL")


def test_metrics_of_as_many_values_as_frames_lie_on_their_times():
    frames = [{"index": i, "score": 0.5, "timestamp": i / 25} for i in range(3)]
    result, _ = made(frame_predictions=frames, metrics={"rolling": [1, 2, 3]})
    assert result.series[0].t == [0.0, 0.04, 0.08]


@pytest.mark.parametrize(
    "data",
    [
        {"prediction": "fake"},
        {"prediction": None},
        {"prediction": ["REAL"]},
        {"confidence": 1.7},
        {"confidence": -0.1},
        {"confidence": "high"},
        {"confidence": None},
        {"confidence": True},
        {"confidence": float("inf")},
        {"finding": "PROBABLY"},
        {"finding": {}},
        {"probability_fake": 1.01},
        {"calibration": {"kind": "guess"}},
        {"calibration": {"kind": "nfa", "bound": 3.0}},
        {"frame_predictions": [{"index": 0, "score": 1.7}]},
        {"frame_predictions": [{"index": 0, "score": None}]},
        {"frame_predictions": [{"index": -1, "score": 0.5}]},
        {"frame_predictions": [{"score": 0.5}]},
        {"frame_predictions": ["frame"]},
        {"frame_predictions": {"0": 0.5}},
        {"frame_predictions": [{"index": 1, "score": 0.5}, {"index": 1, "score": 0.6}]},
        {"frame_predictions": [{"index": i, "score": 0.5} for i in range(200_001)]},
        {"evidence": {"series": [{"t": [1], "v": [1, 2]}]}},
        {"evidence": {"series": [{"t": ["x"], "v": [1]}]}},
        {"evidence": {"series": [{"t": [1], "v": ["x"]}]}},
        {"evidence": {"series": {"t": [1]}}},
        {"evidence": {"regions": [{"box": [1, 2, 3]}]}},
        {"metrics": {"x": float("nan")}},
    ],
    ids=lambda data: json.dumps(data)[:60],
)
def test_what_breaks_the_contract_is_refused(data):
    with pytest.raises(Fault) as caught:
        made(**data)
    assert caught.value.error_class == "ML_CONTRACT"


@pytest.mark.parametrize(
    "changed",
    [{"model_used": "OTHER-V1"}, {"model_used": None}, {"success": False}, {"success": None}, {"data": None}],
    ids=str,
)
def test_nothing_is_stored_under_the_name_of_a_model_that_did_not_answer(changed):
    said = {"success": True, "model_used": "M-V1", "data": {"prediction": "REAL", "confidence": 1.0}} | changed
    with pytest.raises(Fault) as caught:
        normalise(said, asked())
    assert caught.value.error_class == "ML_CONTRACT"


@pytest.mark.parametrize("key", ["mediaId", "media_id", "videoId", "video_id"])
def test_an_answer_that_names_another_media_is_refused_and_one_that_names_ours_is_not(key):
    assert made(**{key: "m1"})[0].prediction == "FAKE"
    for changed in ({key: "m2", "data": {}}, {"data": {key: "m2"}}, {"data": {key: 7}}):
        said = {"success": True, "model_used": "M-V1"} | changed
        said["data"] = {"prediction": "REAL", "confidence": 1.0} | said["data"]
        with pytest.raises(Fault, match="another media") as caught:
            normalise(said, asked())
        assert caught.value.error_class == "ML_CONTRACT"


def test_texts_that_cannot_be_stored_are_cleaned_and_the_raw_answer_keeps_them():
    result, kept = made(
        note="a\x00b\ud800",
        limits=["x\x00"],
        metrics={"k\x00": 1, "t": "v\x00", "u\udc00": "\ud800"},
        evidence={"facts": {"f\x00": "g\x00"}},
        voice_quality={"q\x00": "w\x00"},
    )
    assert result.note == "ab"
    assert result.limits == ["x"]
    assert result.metrics == {"k": 1.0}
    assert result.facts == {"t": "v", "u": "", "f": "g"}
    assert "a\x00b" in json.loads(gzip.decompress(kept["ml-response.json.gz"]))["note"]


def test_pictures_become_artifacts_and_leave_the_raw_answer():
    stated = hashlib.sha256(PNG).hexdigest()
    result, kept = made(
        evidence={"images": [picture(sha256=stated), picture(), picture(name="../x y.JPG\x00", kind="Ünder_Score")]}
    )
    assert list(kept) == ["votes.png", "votes-2.png", "x-y.JPG-.png", "ml-response.json.gz"]
    assert kept["votes.png"] == PNG
    assert result.artifacts == list(kept)
    raw = json.loads(gzip.decompress(kept["ml-response.json.gz"]))
    assert raw["evidence"]["images"][0] == {
        "kind": "heatmap", "name": "votes.png", "mimetype": "image/png", "sha256": stated
    }  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"data": "!!!"},
        {"data": 7},
        {"data": base64.b64encode(b"GIF89a").decode()},
        {"mimetype": "text/html"},
        {"mimetype": None},
        {"sha256": "0" * 64},
        {"data": "A" * (MAX_PICTURE * 4 // 3 + 8)},
    ],
    ids=lambda c: str(c)[:40],
)
def test_a_picture_that_fails_is_a_note_and_never_a_failed_analysis(changed):
    result, kept = made(note="Seen.", evidence={"images": [picture(**changed), "no picture", {"name": "by url"}]})
    assert list(kept) == ["ml-response.json.gz"]
    assert result.note is not None
    assert result.note.startswith("Seen. Picture 'votes.png' was left out:")


def test_a_seventeenth_picture_is_left_out_with_a_note():
    result, kept = made(evidence={"images": [picture() for _ in range(17)]})
    assert len(kept) == 17
    assert "16" in (result.note or "")


def test_more_than_the_tables_hold_is_cut_with_a_sentence():
    result, _ = made(
        metrics={f"m{i}": i for i in range(600)},
        limits=[f"limit {i}" for i in range(80)],
        evidence={
            "series": [{"t": list(range(30_000)), "v": list(range(30_000))}] + [{"t": [], "v": []}] * 70,
            "regions": [{"box": [0, 0, 1, 1]}] * 6000,
        },
    )
    assert len(result.metrics) == 500
    assert len(result.series) == 64
    assert (len(result.series[0].t), result.series[0].t[0], result.series[0].t[-1]) == (20_000, 0, 29_999)
    assert len(result.regions) == 5000
    assert len(result.limits) == 50
    assert sum("ml-response" in limit for limit in result.limits) == 4


def test_the_longest_result_that_is_allowed_fits(monkeypatch):
    # A tenth of the frames in a tenth of the room, each with as many digits as a double can have.
    monkeypatch.setattr(answer, "MAX_PLAIN", MAX_PLAIN // 10)
    chance = random.Random(7)
    frames = [
        {"index": i, "score": chance.random(), "prediction": "INCONCLUSIVE", "timestamp": i / 23.976}
        for i in range(180_000, 200_000)
    ]
    curve = {"name": "c", "t": list(range(20_000)), "v": [0.123456789] * 20_000}
    data = {"prediction": "REAL", "confidence": 0.5, "frame_predictions": frames, "evidence": {"series": [curve] * 2}}
    result, artifacts = normalise({"success": True, "model_used": "M-V1", "data": data}, asked())
    body = encode(result, [a.name for a in artifacts])
    assert len(body) <= MAX_PLAIN // 10
    assert len(json.loads(body)["frames"]) == 20_000


def test_a_number_too_large_for_a_double_is_no_metric():
    result, _ = made(metrics={"huge": 10**400})
    assert result.metrics == {}
    assert result.facts["huge"] == "1" + "0" * 400
