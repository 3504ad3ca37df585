"""A stock socket.io-client and Node's own fetch against a running platform: live, again, and refused.

Stands beside test_stock_clients.py and test_first_client.py. Skipped, with the reason, where Node or the pinned package
cannot be had.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from world import World, wait_for

sys.path.insert(0, str(Path(__file__).parent / "clients"))

from javascript import Listening, NoNode, modules, workplace

pytestmark = pytest.mark.long

SECONDS_A_LOOK_IS_KEPT = 6.0
"""For so long the operator may go on believing in models that it was told of before."""
GOOD = {"image": True, "video": False, "audio": False, "fake": 0.9}
TWO_MODELS = {"GOOD-V1": GOOD, "OTHER-V1": {**GOOD, "fake": 0.7}}
AT_A_RUN_OF_TWO = {
    "RUN_QUEUED": 1,
    "ANALYSIS_QUEUED": 2,
    "PROCESSING_STARTED": 1,
    "ANALYSIS_STARTED": 2,
    "ANALYSIS_COMPLETED": 2,
    "RUN_COMPLETED": 1,
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for scripts that import socket.io-client. Asked for before the world, which costs more."""
    try:
        modules()
    except NoNode as why:
        pytest.skip(f"no stock JavaScript client: {why}")
    return workplace(tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="module")
def world(node: Path, new_world: Callable[..., World]) -> World:
    made = new_world(script=TWO_MODELS)
    made.start()
    return made


@pytest.fixture(scope="module")
def picture(demo_media: dict[str, Any]) -> Path:
    return demo_media["picture"].path


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_stock_socket_without_a_good_token_hears_why(node: Path, world: World, transport: str) -> None:
    options = {"base": world.wiring.base_url, "transports": [transport]}
    for auth, sentence in (
        ({}, "Authentication error: No token provided."),
        ({"token": ""}, "Authentication error: No token provided."),
        ({"token": "x.y.z"}, "Authentication error: Invalid token."),
    ):
        name, why = Listening(node, auth=auth, **options).end(20)[0]
        assert (name, why["message"]) == ("connect_error", sentence)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_stock_socket_follows_a_run_live_and_again(node: Path, world: World, picture: Path, transport: str) -> None:
    owner, stranger = world.person(), world.person()
    options = {"base": world.wiring.base_url, "transports": [transport]}
    live = Listening(node, auth={"token": owner.token}, ends=1, **options)
    quiet = Listening(node, auth={"token": stranger.token, "lastSeq": 0}, idle=6000, **options)
    wait_for("both to connect", lambda: live.told and quiet.told)
    media = owner.upload(picture)
    heard = live.end(60)
    assert heard[0] == ("connect", {"transport": transport})
    progress = [p for name, p in heard if name == "progress_update" and "seq" in p]
    assert [p["seq"] for p in progress] == list(range(1, len(progress) + 1))
    names = [p["event"] for p in progress]
    assert (names[0], names[-1]) == ("RUN_QUEUED", "RUN_COMPLETED")
    assert {name: names.count(name) for name in names} == AT_A_RUN_OF_TWO
    for p in progress:
        assert p.keys() >= {"seq", "id", "mediaId", "userId", "runId", "event", "message", "data", "timestamp"}
        assert (p["mediaId"], p["userId"], p["runId"]) == (media["id"], owner.id, media["latestRunId"])
        if p["event"].startswith("ANALYSIS_"):
            assert p["data"]["modelName"] == p["data"]["model_name"]
    end = next(i for i, (_, p) in enumerate(heard) if p.get("event") == "RUN_COMPLETED")
    assert [name for name, _ in heard[end + 1 : end + 4]] == ["video_update", "media_update", "progress_update"]
    update, copy = heard[end + 1][1], heard[end + 3][1]
    assert update == owner.http.get("/media").json()["data"][0]
    assert (update["id"], update["status"]) == (media["id"], "ANALYZED")
    assert (copy["event"], "seq" in copy) == ("ANALYSIS_COMPLETE", False)
    assert [name for name, _ in quiet.end(30) if name not in ("connect", "disconnect")] == []
    missed = Listening(node, auth={"token": owner.token, "lastSeq": 3}, ends=1, **options).end(20)
    replayed = [p for name, p in missed if name == "progress_update" and "seq" in p]
    assert replayed == progress[3:]
    assert [name for name, _ in missed].count("video_update") == 1


def test_a_stock_socket_hears_of_a_failed_run_once_and_not_as_a_success(
    node: Path, world: World, picture: Path
) -> None:
    owner = world.person()
    world.script({"BAD-V1": {**GOOD, "do": "bad-media"}})
    time.sleep(SECONDS_A_LOOK_IS_KEPT)
    media = owner.upload(picture)
    owner.wait(media["id"])
    auth = {"token": owner.token, "lastSeq": 0}
    heard = Listening(node, base=owner.base_url, auth=auth, transports=["websocket"], ends=1).end(20)
    names = [name for name, _ in heard]
    assert (names.count("video_update"), names.count("media_update"), names.count("processing_error")) == (1, 0, 1)
    why = next(p for name, p in heard if name == "processing_error")
    assert why.keys() >= {"mediaId", "videoId", "userId", "filename", "runId", "error", "code"}
    assert (why["mediaId"], why["videoId"], why["code"]) == (media["id"], media["id"], "BAD_MEDIA")
