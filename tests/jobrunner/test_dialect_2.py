"""The older dialect: what a service is asked in it, and that its answer becomes the same result as the newer one's."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import older_ml
import pytest
from older_ml import OlderService, audio, video
from starlette.responses import JSONResponse, Response

from drishtiksha.protocol import AttemptResult
from drishtiksha_jobrunner.answer import Asked, encode, normalise
from drishtiksha_jobrunner.dialects import opened
from drishtiksha_jobrunner.faults import Fault
from drishtiksha_jobrunner.run import run
from drishtiksha_jobrunner.service import read

MODEL = "FACE-TEMPORAL-V1"
CLASSES = {65: "BAD_MEDIA", 69: "ML_UNAVAILABLE", 76: "ML_CONTRACT"}
GOLDEN = Path(__file__).parent / "golden"
STATS = {"version": "2.4.1", "models_info": [{"name": MODEL, "loaded": True, "device": "cuda:0", "version": "4"}]}


@pytest.fixture
def older(sockets: Any, environment: Any) -> OlderService:
    """A service of dialect 2 where the scripted one stands."""
    sockets[1].app = service = OlderService((MODEL,), key=environment.server_key)
    return service


def of_media(door: Any, kind: str, mimetype: str) -> None:
    door.assignment["media"] |= {"type": kind, "mimetype": mimetype}


async def test_a_video_is_asked_for_comprehensively_in_the_older_words(environment, door, older, hasty):
    assert await run(environment, hasty) == 0
    (asked,) = older.asked  # the service refuses any other set of fields
    assert (asked.route, asked.filename, asked.content) == ("comprehensive", "m1.mp4", door.media)
    assert asked.fields == {
        "model": MODEL, "video_id": "m1", "user_id": "u1", "include_frames": "true", "include_visualization": "true"
    }  # fmt: skip
    (result,) = door.results
    assert (result.prediction, result.confidence, result.frame_count) == ("FAKE", 0.75, 30)
    assert [(f.number, f.score) for f in result.frames] == [(0, 0.25), (10, 0.75), (20, 0.5)]
    raw = json.loads(gzip.decompress(door.artifacts["ml-response.json.gz"][2]))
    assert raw == older_ml.video()


async def test_a_recording_is_asked_for_under_the_name_of_a_video(environment, door, older, hasty):
    of_media(door, "AUDIO", "audio/mp4")
    assert await run(environment, hasty) == 0
    (asked,) = older.asked
    assert (asked.route, asked.fields, asked.filename) == ("audio", {"model": MODEL}, "m1.m4a")
    (result,) = door.results
    assert result.audio is not None
    assert (result.audio.mean_pitch_hz, result.audio.spectral_contrast) == (180.5, 21.5)


async def test_a_picture_is_never_sent_in_a_dialect_that_has_no_words_for_it(environment, door, older, hasty):
    of_media(door, "IMAGE", "image/png")
    assert await run(environment, hasty) == 76
    assert older.asked == []
    assert "dialect 2" in door.failures[0].message


@pytest.mark.parametrize(
    ("version", "spoken"), [("2.4.1", True), ("1.9", True), (None, True), ("latest", True), ("3.0", False)]
)
async def test_a_service_without_a_readable_version_is_asked_in_the_older_words(
    version, spoken, environment, door, older, hasty
):
    older.version = version
    assert await run(environment, hasty) == (0 if spoken else 76)  # it has no /analyze: 405
    assert bool(older.asked) is spoken


def said(status: int, detail: Any, **headers: str) -> Response:
    return JSONResponse({"detail": detail}, status, headers=headers)


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([said(503, "busy", **{"Retry-After": "0"}), said(429, None), said(408, "")], 0),
        ([said(400, "Could not decode the stream")], 65),
        ([said(415, {"code": "UNSUPPORTED"})], 65),
        ([said(422, {"code": "BAD_MEDIA", "message": "no frames"})], 65),
        ([said(422, [{"loc": ["body", "video"], "msg": "field required"}])], 76),
        ([said(404, "no such video")], 76),
        ([said(501, "not for this model")], 76),
        ([said(500, "out of memory")], 69),
        ([Response("<html>502</html>", 502)], 69),
    ],
)
async def test_an_error_means_what_it_means_in_the_newer_dialect(answers, code, environment, door, older, hasty):
    older.first = list(answers)
    assert await run(environment, hasty) == code
    assert len(older.asked) == (4 if code == 0 else 1)
    assert [failure.error_class for failure in door.failures] == ([] if code == 0 else [CLASSES[code]])


@pytest.mark.parametrize("bare", [False, True])
def test_an_answer_is_read_with_its_wrapping_and_without(bare):
    data = video()
    answer = data if bare else {"success": True, "data": data}
    assert opened(answer, MODEL, 2).said == data
    if bare:
        with pytest.raises(Fault, match="success"):
            opened(answer, MODEL, 3)


@pytest.mark.parametrize(
    "answer",
    [
        {"success": False, "message": "no"},
        {"success": False, **video()},
        {"success": None, "data": video()},
        {"data": video()},
        {"success": True, "data": None},
        {"success": True, "data": [video()]},
        {"success": True, "model_used": "OTHER-V1", "data": video()},
        {"success": True, "model_used": MODEL, "data": video(model_used="OTHER-V1")},
        {"success": True, "model_used": None, "data": video()},
        video(model_used="OTHER-V1"),
        video(video_id="m2"),
        video(prediction="fake"),
        video(confidence=75),
        video(frames_analysis={"frame_predictions": {"0": 0.5}}),
        video(frames_analysis={"frame_predictions": [{"frame_index": 1, "score": 1.5}]}),
        video(frames_analysis={"frame_predictions": [{"score": 0.5}]}),
        {},
    ],
    ids=lambda answer: json.dumps(answer)[:50],
)
def test_what_is_not_clearly_the_models_answer_is_refused_in_either_dialect(answer):
    with pytest.raises(Fault) as caught:
        made(answer, 2)
    assert caught.value.error_class == "ML_CONTRACT"


def made(answer: dict[str, Any], dialect: int, polarity: str = "fake") -> tuple[AttemptResult, list[Any]]:
    asked = Asked(MODEL, "", "m1", polarity, 1.0, read(STATS, MODEL, "cpu-0"), dialect)
    result, artifacts = normalise(json.loads(json.dumps(answer)), asked)
    return AttemptResult.model_validate_json(encode(result, [a.name for a in artifacts])), artifacts


def test_a_model_named_inside_the_data_counts_in_dialect_3_too():
    with pytest.raises(Fault, match="Another model"):
        made({"success": True, "model_used": MODEL, "data": {**PICTURE, "model_used": "OTHER-V1"}}, 3)


def test_frames_of_the_other_polarity_are_turned_in_the_older_dialect_too():
    assert [f.score for f in made(video(), 2, "real")[0].frames] == [0.75, 0.25, 0.5]


@pytest.mark.parametrize(
    ("told", "count"),
    [
        ({"frame_count": 90}, 90),
        ({"metrics": {"frame_count": 80}}, 80),
        ({"frames_analysis": {"total_frames": 60}, "metrics": {"frame_count": 3}}, 60),
        ({"frames_analysis": None}, None),
    ],
)
def test_the_number_of_frames_is_found_where_a_service_tells_it(told, count):
    assert made(video(**{"metrics": {}, "frames_analysis": {}, **told}), 2)[0].frame_count == count


def test_frames_outside_of_their_group_are_read_too():
    listed = video()["frames_analysis"]["frame_predictions"]
    result, _ = made(video(frames_analysis=None, frame_predictions=listed), 2)
    assert [f.number for f in result.frames] == [0, 10, 20]


def newer(data: dict[str, Any]) -> dict[str, Any]:
    """The same said in dialect 3."""
    data = dict(data)
    group = data.pop("frames_analysis", None)
    if group:
        data |= {
            "frame_count": group["total_frames"],
            "frame_predictions": [{**f, "index": f["frame_index"]} for f in group["frame_predictions"]],
            "metrics": {
                **data["metrics"], "frames_analysis": {"total_frames": 30}, "temporal_analysis": group["temporal_analysis"]
            },
        }  # fmt: skip
    return {"success": True, "model_used": MODEL, "data": data}


PICTURE = {
    "prediction": "REAL", "confidence": 0.875, "processing_time": 0.5, "media_type": "image", "note": "Plain.",
    "dimensions": {"width": 640, "height": 480}, "heatmap_scores": [[0.0, 0.5], [0.75, 1.0]], "visualization_path": "/x",
}  # fmt: skip
SAID = {
    "video": video(),
    "audio": audio(visualization={"spectrogram_data": [[0.0, 1.0], [2.0, None]]}),
    "image": PICTURE,
}


@pytest.mark.parametrize(("dialect", "kind"), [(2, "video"), (2, "audio"), (3, "video"), (3, "audio"), (3, "image")])
def test_a_result_is_the_golden_one(dialect, kind):
    """DRISHTIKSHA_TEST_GOLDEN=write writes them anew."""
    answer = SAID[kind] if dialect == 2 else newer(SAID[kind])
    result, artifacts = made(answer, dialect)
    told = json.loads(result.model_dump_json(by_alias=True, exclude_defaults=True))
    told["artifacts"] = [{"name": a.name, "kind": a.kind, "mimetype": a.mimetype} for a in artifacts]
    path = GOLDEN / f"result-{dialect}-{kind}.json"
    if os.environ.get("DRISHTIKSHA_TEST_GOLDEN") == "write":
        path.write_text(json.dumps(told, indent=2) + "\n")
    assert json.loads(path.read_text()) == told


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_what_is_said_in_both_dialects_is_one_result(kind):
    assert made(SAID[kind], 2)[0] == made(newer(SAID[kind]), 3)[0]
