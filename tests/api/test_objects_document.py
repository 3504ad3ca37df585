"""docs/api/objects.md has every key of the answers, and no key that is not in one."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import api_samples as samples

from drishtiksha.domain.events import FRAME_PROGRESS, EventType

PAGE = (Path(__file__).parents[2] / "docs" / "api" / "objects.md").read_text()
FOR_OLDER_CLIENTS = {"model_name", "error_message"}
"""Keys of an event's data that say once more what stands beside them."""


def rows(heading: str, table: int = 0) -> list[list[str]]:
    """The cells of a table under a heading."""
    (text,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in tables[table].splitlines()[2:]]


def keys(heading: str, table: int = 0) -> set[str]:
    """The keys that a table names."""
    return {key for row in rows(heading, table) for key in re.findall(r"`(\w+)`", row[0])}


def parts(heading: str, key: str) -> set[str]:
    """The keys of the object that is written out beside a key."""
    (words,) = (row[1] for row in rows(heading) if f"`{key}`" in row[0])
    (inner,) = re.findall(r"`\{([^{}]+)\}`", words)
    return {part.strip() for part in inner.split(",")}


async def test_the_page_of_objects_has_every_key_of_the_answers_and_no_other(world: Any) -> None:
    ada = await world.person()
    user = (await world.client.get("/api/v1/auth/profile", headers=ada)).json()["data"]
    assert user.keys() == keys("User")
    film, sound, picture = samples.clip("mp4"), samples.tone_wav(), samples.picture("PNG")
    full = {}
    for kind, data in (("VIDEO", film), ("AUDIO", sound), ("IMAGE", picture)):
        media = (await world.upload(ada, data)).json()["data"]
        assert media.keys() == keys("Media")
        full[kind] = await _examined(world, ada, media)
    for one in full.values():
        assert one.keys() == keys("Media") | keys("Full media")
        assert one["user"].keys() == parts("Full media", "user")
        assert one["verdict"].keys() == parts("Full media", "verdict")
        (run,), (shown,) = one["analysisRuns"], one["analyses"]
        assert run.keys() == keys("Run")
        assert shown.keys() == keys("Analysis")
        assert run["analyses"][0].keys() == keys("Analysis") | {"resultPayload"}
        assert shown["artifacts"][0].keys() == parts("Analysis", "artifacts")
    for kind, name in (("VIDEO", "videoMetadata"), ("AUDIO", "audioMetadata"), ("IMAGE", "imageMetadata")):
        assert full[kind][name].keys() == parts("Full media", name)
    for kind, name in (
        *(("VIDEO", name) for name in ("analysisDetails", "temporalAnalysis")),
        *(("AUDIO", "audioAnalysis"), ("IMAGE", "imageAnalysis")),
        *(("IMAGE", name) for name in ("measure", "calibration", "coverage")),
    ):
        assert full[kind]["analyses"][0][name].keys() == parts("Analysis", name), name
    assert full["VIDEO"]["analyses"][0]["frameAnalysis"][0].keys() == parts("Analysis", "frameAnalysis")


async def _examined(world: Any, ada: dict[str, str], media: dict[str, Any]) -> dict[str, Any]:
    """The full object of a media once one model has said as much as a model can."""
    run_id, kind = media["latestRunId"], media["mediaType"]
    await world.frozen(run_id, "M1")
    token = (await world.attempt_tokens(run_id))["M1"]
    artifact = {**token, "Content-Type": "image/png", "X-Kind": "heatmap", "X-Content-SHA256": _sha256(b"picture")}
    assert (await world.door.put("/attempt/artifacts/a.png", headers=artifact, content=b"picture")).status_code == 200
    result: dict[str, Any] = {
        "protocol": 1, "model": "M1", "prediction": "FAKE", "confidence": 0.9, "artifacts": ["a.png"],
        "measure": {"value": 1.0, "kind": "nfa", "name": "votes"}, "calibration": {"kind": "empirical", "auc": 0.9},
        "coverage": {"analysedSeconds": 1.0, "totalSeconds": 2.0, "frames": 3},
    }  # fmt: skip
    if kind == "VIDEO":
        result["frames"] = [{"number": n, "score": 0.9, "prediction": "FAKE", "timestamp": n / 4} for n in range(3)]
    elif kind == "AUDIO":
        result["audio"] = {"meanPitchHz": 100.0, "rmsEnergy": 0.1}
    else:
        result["image"] = {"width": 64, "height": 48}
    taken = await world.door.put("/attempt/result", headers=token, json=result)
    assert taken.json() == {"accepted": True}, taken.text
    await world.conclude(run_id)
    shown = (await world.client.get(f"/api/v1/media/{media['id']}", headers=ada)).json()["data"]
    told = (await world.client.get(f"/api/v1/media/{media['id']}/events", headers=ada)).json()["data"]
    described = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[2])) for row in rows("Progress", 1)}
    assert described.keys() == {event.value for event in EventType} | {FRAME_PROGRESS, "ANALYSIS_COMPLETE"}
    for event in told:
        assert event.keys() == keys("Progress")
        assert event["data"].keys() - FOR_OLDER_CLIENTS - {"progress", "total"} <= described[event["event"]]
        assert described[event["event"]] <= event["data"].keys(), event["event"]
    found: dict[str, Any] = shown
    return found


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
