"""The whole way of the older dialect: ML service → runner → door → rows → REST. Only the service and the operator are ours."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import uvicorn
from older_ml import OlderService, audio, video
from stores import Stores, open_stores
from test_pictures import PNG

from drishtiksha.bus import Bus
from drishtiksha.database.media import NewMedia, Quota
from drishtiksha.database.runs import FrozenModel
from drishtiksha.domain.media import AudioFacts, MediaType, Probe, VideoFacts
from drishtiksha.objects.local import LocalObjects
from drishtiksha.signing import SigningKeys
from drishtiksha_api import app as api_app
from drishtiksha_api.door import app as door_app
from drishtiksha_api.neighbours import Neighbours
from drishtiksha_api.passwords import Passwords
from drishtiksha_api.tokens import Tokens
from drishtiksha_jobrunner.environment import Environment
from drishtiksha_jobrunner.run import run

MODEL, BYTES, BASE = "SIGLIP-LSTM-V4", b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 40, "http://testserver"
SOUND = AudioFacts(4.0, 128.0, "aac", 1, 16000)
FILM = VideoFacts(1.2, 640, 480, 25.0, "h264", 800_000, 0)
PROBES = {
    "VIDEO": Probe("video/mp4", MediaType.VIDEO, True, video=FILM, audio=SOUND),
    "AUDIO": Probe("audio/mp4", MediaType.AUDIO, True, audio=SOUND),
}


@dataclass
class Way:
    """The platform without its operator, and one person."""

    stores: Stores
    around: Neighbours
    client: httpx.AsyncClient
    user_id: uuid.UUID
    door_url: str
    environment: Environment

    async def examined(self, kind: str, hasty: Any) -> dict[str, Any]:
        """A media of this kind, uploaded, examined by one model, concluded: as its owner gets it."""
        media_id, run_id = uuid.uuid4(), uuid.uuid4()

        async def content() -> AsyncIterator[bytes]:
            yield BYTES

        key = f"media/{media_id}/original"
        stored = await self.around.objects.put(key, content())
        new = NewMedia(media_id, run_id, self.user_id, "a.mp4", None, key, stored.size, stored.sha256, PROBES[kind])
        await self.stores.media.accept(new)
        await self.stores.runs.freeze(run_id, [FrozenModel(MODEL, "", "service:main", "service", 3)])
        attempt = (await self.stores.start(run_id))[MODEL]
        token = self.around.keys.attempt_token(attempt)
        assert await run(replace(self.environment, door_url=self.door_url, token=token), hasty) == 0
        await self.stores.runs.conclude(run_id)
        answer = await self.client.get(f"/api/v1/media/{media_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@pytest.fixture
async def way(database_url: str, redis_url: str, environment: Environment, tmp_path: Any) -> AsyncIterator[Way]:
    stores = open_stores(database_url)
    keys = SigningKeys("k1:" + "k" * 40)
    around = Neighbours(stores.database, Bus(redis_url), LocalObjects(tmp_path / "objects"), keys, 3600.0)
    options = api_app.Options(BASE, [], 300_000, Quota(), None, None, "media-progress-events")
    api = api_app.build(around, None, Tokens("s" * 40, 3600), options)  # type: ignore[arg-type]
    api.rest.state.passwords = Passwords(memory_kib=64)
    config = uvicorn.Config(door_app.build(around), host="127.0.0.1", port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    door_url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api.asgi), base_url=BASE) as client:
        body = {"email": "ada@example.org", "password": "correct horse", "firstName": "Ada", "lastName": "Lovelace"}
        signed = (await client.post("/api/v1/auth/signup", json=body)).json()["data"]
        client.headers["Authorization"] = f"Bearer {signed['token']}"
        yield Way(stores, around, client, uuid.UUID(signed["user"]["id"]), door_url, environment)
    server.should_exit = True
    await serving
    await around.close()


@pytest.fixture
def older(sockets: Any, environment: Environment) -> OlderService:
    sockets[1].app = service = OlderService((MODEL,), key=environment.server_key, bare=True)
    return service


async def test_a_video_goes_the_whole_way(way: Way, older: OlderService, hasty: Any) -> None:
    older.answers["comprehensive"] = video(0.875, visualization_filename="v.png", note="Seen.")
    older.files["analyze/visualization/v.png"] = PNG
    media = await way.examined("VIDEO", hasty)
    assert older.asked[0].content == BYTES
    assert (media["status"], media["verdict"]["label"], media["verdict"]["basis"]) == ("ANALYZED", "FAKE", "CLAIMED")
    (analysis,) = media["analyses"]
    assert (analysis["model"], analysis["prediction"], analysis["confidence"]) == (MODEL, "FAKE", 0.875)
    assert (analysis["processingTime"], analysis["note"], analysis["attempt"]) == (2.5, "Seen.", 1)
    frames = [(f["frameNumber"], f["score"], f["prediction"]) for f in analysis["frameAnalysis"]]
    assert frames == [(0, 0.25, "REAL"), (10, 0.75, "FAKE"), (20, 0.5, "FAKE")]
    assert analysis["analysisDetails"]["frameCount"] == 30
    temporal = analysis["temporalAnalysis"]
    assert [temporal[name] for name in ("totalFrames", "fakeFrames", "realFrames", "avgConfidence")] == [3, 2, 1, 0.5]
    assert temporal["consistencyScore"] == pytest.approx(1 - (0.5 + 0.25) / 2)
    assert analysis["metrics"]["temporal_analysis.consistency_score"] == 0.625  # the service's own word
    assert [series["name"] for series in analysis["evidence"]["series"]] == ["rolling_average"]
    assert analysis["systemInfo"]["serverVersion"] == "2.4.1"
    assert (await way.client.get(analysis["visualizedUrl"])).content == PNG
    payload = media["analysisRuns"][0]["analyses"][0]["resultPayload"]
    assert (payload["model_name"], len(payload["frame_predictions"])) == (MODEL, 3)


async def test_a_recording_goes_the_whole_way(way: Way, older: OlderService, hasty: Any) -> None:
    older.answers["audio"] = audio(visualization={"spectrogram_url": None, "spectrogram_data": [[-80.0, 0.0]] * 3})
    media = await way.examined("AUDIO", hasty)
    assert (media["status"], media["verdict"]["label"]) == ("ANALYZED", "REAL")
    (analysis,) = media["analyses"]
    assert (analysis["prediction"], analysis["confidence"], analysis["frameAnalysis"]) == ("REAL", 0.75, [])
    sound = analysis["audioAnalysis"]
    link = sound.pop("spectrogramUrl")
    assert sound == {
        "meanPitchHz": 180.5, "pitchStabilityScore": 0.75, "rmsEnergy": 0.0625, "silenceRatio": 0.125,
        "spectralCentroid": 1500.0, "spectralContrast": 21.5, "spectrogramData": None,
    }  # fmt: skip
    drawn = await way.client.get(link)
    assert (drawn.headers["content-type"], drawn.content[:4]) == ("image/png", b"\x89PNG")
