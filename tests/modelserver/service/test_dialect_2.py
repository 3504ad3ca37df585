"""The older dialect of the model service: its forms and flat answers, the picture that it names, and its refusals."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio as aioredis
import small_media

from drishtiksha_models import dialect_2, shelf
from drishtiksha_models.forms import FORMS

Serve = Callable[..., contextlib.AbstractAsyncContextManager[httpx.AsyncClient]]
VIDEO, AUDIO = "/analyze/comprehensive", "/analyze/audio"
ALL = {"include_frames": True, "include_visualization": True}


async def ask(client: httpx.AsyncClient, route: str, content: bytes, model: str, **fields: str) -> httpx.Response:
    """As an older client does: the file is a `video`, whatever it is."""
    said = {"model": model, "video_id": "m-1", "user_id": "u-1", **fields}
    return await client.post(route, data=said, files={"video": ("a.bin", content)})


async def test_a_video_and_a_recording_are_answered_flat_with_the_extension_beside(serve: Serve) -> None:
    async with serve(active_models=["IMAGE-SPECTRUM-V1", "AUDIO-EVIDENCE-V1"]) as client:
        film = await ask(client, VIDEO, small_media.film(), "IMAGE-SPECTRUM-V1", include_visualization="true")
        sound = await ask(client, AUDIO, small_media.recording(), "AUDIO-EVIDENCE-V1")
        plain = await ask(client, VIDEO, small_media.film(), "IMAGE-SPECTRUM-V1")
        video, audio = film.json(), sound.json()
        name = video["visualization_filename"]
        fetched = await client.get(f"/analyze/visualization/{name}")
        nobody = await client.get(f"/analyze/visualization/{name}", headers={"X-API-Key": "wrong"})
        absent = await client.get(f"/analyze/visualization/{'0' * 32}.png")
        version = (await client.get("/stats")).json()["version"]

    assert (film.status_code, sound.status_code) == (200, 200)
    for told, model in ((video, "IMAGE-SPECTRUM-V1"), (audio, "AUDIO-EVIDENCE-V1")):
        assert "data" not in told
        assert (told["success"], told["model_used"]) == (True, model)
        assert (told["prediction"], told["confidence"], told["finding"]) == ("INCONCLUSIVE", 0.5, "NONE")
        assert {"processing_time", "note", "metrics", "calibration", "evidence", "coverage", "limits"} <= told.keys()
    assert video["frames_analysis"] == {"frame_predictions": [], "temporal_analysis": {}}
    assert "frame_predictions" not in video
    assert set(audio["pitch"]) == {"mean_pitch_hz", "pitch_stability_score"}
    assert set(audio["energy"]) == {"rms_energy", "silence_ratio"}
    assert set(audio["spectral"]) == {"spectral_centroid", "spectral_contrast"}
    assert audio["properties"]["duration_seconds"] == pytest.approx(2.5, abs=0.1)
    assert base64.b64decode(audio["visualization"]["spectrogram_data"]).startswith(b"\x89PNG")
    assert audio["visualization"]["spectrogram_url"] is None

    assert (fetched.status_code, fetched.headers["content-type"]) == (200, "image/png")
    assert fetched.content.startswith(b"\x89PNG")
    assert video["evidence"]["images"][0]["url"].endswith(name)
    assert (nobody.status_code, absent.status_code) == (401, 404)
    assert (plain.json()["visualization_filename"], plain.json()["evidence"]["images"]) == (None, [])
    assert version.split(".")[0] == "3"  # `auto` goes on to choose the newer dialect


async def test_what_a_route_does_not_take_is_refused_in_a_sentence(serve: Serve, image: bytes) -> None:
    async with serve(active_models=["PROVENANCE-V1"], max_upload_bytes=100_000) as client:
        for route, content, kind in (
            (VIDEO, image, "image"), (AUDIO, image, "image"), (VIDEO, small_media.recording(), "audio"),
            (AUDIO, small_media.film(), "video"),
        ):  # fmt: skip
            refused = await ask(client, route, content, "PROVENANCE-V1")
            assert refused.status_code == 415, route
            assert refused.json()["detail"]["code"] == "UNSUPPORTED"
            assert f"of the kind {kind}" in refused.json()["detail"]["message"]
            assert "POST /analyze takes all" in refused.json()["detail"]["message"]
        for route in (VIDEO, AUDIO):
            broken = await ask(client, route, b"plain words " * 20, "PROVENANCE-V1")
            assert (broken.status_code, broken.json()["detail"]["code"]) == (422, "BAD_MEDIA")
            assert (await ask(client, route, image, "NO-SUCH-V1")).status_code == 404
            assert (await ask(client, route, bytes(300_000), "PROVENANCE-V1")).status_code == 413
            named = await client.post(route, data={"model": "PROVENANCE-V1"}, files={"media": ("a.png", image)})
            assert (named.status_code, "'video'" in named.json()["detail"]["message"]) == (400, True)
            missing = await client.post(route, files={"video": ("a.png", image)})
            assert (missing.status_code, missing.json()["detail"][0]["loc"]) == (422, ["body", "model"])
            assert (await client.post(route, content=b"x", headers={"X-API-Key": "wrong"})).status_code == 401
        vague = await ask(client, VIDEO, small_media.film(), "PROVENANCE-V1", include_frames="perhaps")
        assert (vague.status_code, vague.json()["detail"][0]["loc"]) == (422, ["body", "include_frames"])
        sound = await ask(client, VIDEO, small_media.film(), "PROVENANCE-V1", include_frames="False", more="words")
        assert sound.status_code == 200


async def test_progress_of_the_older_dialect_is_told_under_its_video_id_or_in_lines(
    serve: Serve, redis_url: str
) -> None:
    heard: list[dict[str, Any]] = []
    async with aioredis.from_url(redis_url) as client_of_redis, client_of_redis.pubsub() as channel:
        await channel.subscribe("older-progress")
        async with serve(
            active_models=["IMAGE-SPECTRUM-V1"], redis_url=redis_url, progress_channel="older-progress"
        ) as client:
            await ask(client, VIDEO, small_media.film(), "IMAGE-SPECTRUM-V1")
            fields = {"model": "IMAGE-SPECTRUM-V1", "video_id": "m-2"}
            files = {"video": ("a.mp4", small_media.film())}
            lines = await client.post(VIDEO, data=fields, files=files, headers={"Accept": "application/x-ndjson"})
        async with asyncio.timeout(30):
            while not heard:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
                heard += [json.loads(message["data"])] if message else []
    assert (heard[0]["media_id"], heard[0]["user_id"]) == ("m-1", "u-1")
    told = [json.loads(line) for line in lines.text.splitlines()]
    assert "progress" in told[0]
    assert told[-1]["result"]["frames_analysis"]["frame_predictions"] == []


PNG = base64.b64encode(b"\x89PNG first").decode()
ANSWER = {
    "success": True, "model_used": "X-V1", "timestamp": "2026-11-22T00:00:00.000Z",
    "data": {
        "prediction": "FAKE", "confidence": 0.75, "metrics": {"a": 1.0}, "frame_count": 2, "finding": "SUSPICIOUS",
        "frame_predictions": [{"index": 4, "score": 0.5, "prediction": "FAKE", "timestamp": 0.25}],
        "evidence": {"series": [], "images": [
            {"kind": "heatmap", "name": "a.png", "mimetype": "image/png", "sha256": "aa", "data": PNG},
            {"kind": "spectrogram", "name": "b.png", "mimetype": "image/png", "sha256": "bb", "data": "QkI="}]},
    },
}  # fmt: skip


def test_a_video_in_the_older_words_loses_nothing_and_names_its_first_picture() -> None:
    before, kept = json.dumps(ANSWER), list[tuple[str, bytes]]()
    told = dialect_2.video(ANSWER, ALL, lambda *picture: kept.append(picture) or "drawn.png")
    assert kept == [("image/png", b"\x89PNG first")]
    assert told == {
        "success": True, "model_used": "X-V1", "timestamp": "2026-11-22T00:00:00.000Z",
        "prediction": "FAKE", "confidence": 0.75, "metrics": {"a": 1.0}, "frame_count": 2, "finding": "SUSPICIOUS",
        "frames_analysis": {
            "frame_predictions": [{"frame_index": 4, "score": 0.5, "prediction": "FAKE", "timestamp": 0.25}],
            "temporal_analysis": {},
        },
        "visualization_filename": "drawn.png",
        "evidence": {"series": [], "images": [
            {"kind": "heatmap", "name": "a.png", "mimetype": "image/png", "sha256": "aa",
             "url": "analyze/visualization/drawn.png"},
            {"kind": "spectrogram", "name": "b.png", "mimetype": "image/png", "sha256": "bb", "data": "QkI="}]},
    }  # fmt: skip
    assert json.dumps(ANSWER) == before


def test_nobody_keeps_a_picture_and_no_frame_comes_that_was_not_wished_for() -> None:
    told = dialect_2.video(ANSWER, dict.fromkeys(ALL, False), lambda *_: pytest.fail("kept"))
    assert told["frames_analysis"]["frame_predictions"] == told["evidence"]["images"] == []
    assert told["visualization_filename"] is None


def test_a_recordings_spectrogram_stands_where_older_readers_look() -> None:
    told = dialect_2.audio(ANSWER, {}, lambda *_: pytest.fail("kept"))
    assert told["visualization"] == {"spectrogram_url": None, "spectrogram_data": "QkI="}
    assert told["evidence"] == ANSWER["data"]["evidence"]  # type: ignore[index]


def test_a_shelf_forgets_by_time_by_number_and_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    kept = shelf.Shelf(lambda: now)
    first = kept.keep("image/png", b"1")
    assert first.endswith(".png")
    assert Path(first).name == first
    now += shelf.SECONDS - 1
    second = kept.keep("image/jpeg", b"2")
    assert (kept.find(first), kept.find(second)) != (None, None)
    now += 1
    assert kept.find(first) is None
    found = kept.find(second)
    assert found is not None
    assert (found.content, found.mimetype) == (b"2", "image/jpeg")
    monkeypatch.setattr(shelf, "MOST", 3)
    names = [second, *(kept.keep("image/png", bytes(4)) for _ in range(3))]
    assert [kept.find(name) is not None for name in names] == [False, True, True, True]
    monkeypatch.setattr(shelf, "MOST_BYTES", 10)
    names.append(kept.keep("image/png", bytes(4)))
    assert [kept.find(name) is not None for name in names] == [False, False, False, True, True]
    assert len(set(names)) == len(names)


def test_the_three_forms_are_those_of_the_contract() -> None:
    told = {form.path: (form.file_field, set(form.names), dict(form.wishes), form.only) for form in FORMS}
    older = {"model", "video_id", "user_id"}
    wishes = {"include_frames": True, "include_visualization": False}
    assert told == {
        "/analyze": ("media", {"model", "mediaId", "userId"}, {}, None),
        VIDEO: ("video", older, wishes, "VIDEO"),
        AUDIO: ("video", older, {}, "AUDIO"),
    }
