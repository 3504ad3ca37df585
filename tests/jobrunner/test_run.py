"""One attempt end to end inside this process, against a scripted door and a scripted ML service."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from drishtiksha_jobrunner.run import run

KINDS = {
    "VIDEO": ("video/x-matroska", ".mkv"),
    "IMAGE": ("image/png", ".png"),
    "AUDIO": ("audio/mp4", ".m4a"),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_media_travels_to_the_model_and_its_answer_to_the_door(
    kind, environment, door, service, hasty, tmp_path: Path
):
    mimetype, ending = KINDS[kind]
    door.assignment["media"] |= {"type": kind, "mimetype": mimetype}
    service.data |= {
        "VIDEO": {"frame_count": 3, "frame_predictions": [{"index": 0, "score": 0.2, "prediction": "REAL"}]},
        "IMAGE": {"dimensions": {"width": 640, "height": 480}},
        "AUDIO": {"properties": {"duration": 2.5, "sample_rate": 16000}, "energy": {"rms_energy": 0.1}},
    }[kind]

    assert await run(environment, hasty) == 0

    (asked,) = service.asked("analyze")
    assert door.media in asked.body
    assert f'filename="m1{ending}"'.encode() in asked.body
    assert b'name="model"\r\n\r\nFACE-TEMPORAL-V1' in asked.body
    assert b'name="mediaId"\r\n\r\nm1' in asked.body
    assert b'name="userId"\r\n\r\nu1' in asked.body
    assert asked.headers["x-api-key"] == environment.server_key
    assert asked.headers["traceparent"] == environment.traceparent
    (result,) = door.results
    assert (result.prediction, result.confidence, result.processing_time) == ("FAKE", 0.9, 1.5)
    assert result.model_info is not None
    assert result.model_info.device == "cuda:0"
    assert result.system_info is not None
    assert result.system_info.server_version == "3.1.0"
    kind_of, mimetype, packed = door.artifacts["ml-response.json.gz"]
    assert (kind_of, mimetype) == ("ml-response", "application/gzip")
    assert json.loads(gzip.decompress(packed)) == service.data
    assert result.artifacts == ["ml-response.json.gz"]
    if kind == "VIDEO":
        assert [(f.number, f.score) for f in result.frames] == [(0, 0.2)]
        assert result.frame_count == 3
    if kind == "IMAGE":
        assert result.image is not None
        assert (result.image.width, result.image.height) == (640, 480)
    if kind == "AUDIO":
        assert result.audio is not None
        assert (result.audio.duration_seconds, result.audio.rms_energy) == (2.5, 0.1)
    assert list(tmp_path.iterdir()) == []


async def test_what_a_service_says_about_a_file_is_handed_in_and_not_logged(
    environment, door, service, hasty, reply, caplog
):
    words = "the face of the canary cannot be read"
    service.script["analyze"] = [reply(422, {"detail": {"code": "BAD_MEDIA", "message": words}})]
    with caplog.at_level("DEBUG"):
        assert await run(environment, hasty) == 65
    (failed,) = door.failures
    assert words in failed.message
    logged = "\n".join(repr(vars(record)) for record in caplog.records)
    assert "The model cannot examine this file (422)." in logged
    assert "canary" not in logged
