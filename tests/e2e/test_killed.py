"""kill -9 of any one process in the middle of three uploads; started again, everything ends, and ends right."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from world import World, wait_for

pytestmark = pytest.mark.long

MODELS = {
    "ONE-V1": {"fake": 0.9, "seconds": 4},
    "TWO-V1": {"fake": 0.8, "seconds": 5},
}


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    made = new_world(script=MODELS)
    made.start()
    return made


@pytest.mark.parametrize("victim", ["api", "door", "operator", "modelserver"])
def test_a_killed_process_loses_nothing(world: World, demo_media: dict[str, Any], victim: str) -> None:
    person = world.person()
    uploaded = [person.upload(file.path)["id"] for file in demo_media.values()]
    wait_for("work to be under way", lambda: any(person.media(i)["status"] == "PROCESSING" for i in uploaded))
    world[victim].kill()
    world[victim].start()
    for media_id in uploaded:
        assert person.wait(media_id, 180)["status"] == "ANALYZED"
        seen = world.same_answer(person, media_id)
        assert seen["verdict"]["score"] == pytest.approx(0.85)


def test_a_killed_runner_is_tried_again(world: World, demo_media: dict[str, Any]) -> None:
    person = world.person()
    media_id = person.upload(demo_media["picture"].path)["id"]
    run = person.media(media_id)["latestRunId"]
    wait_for(
        "both models to run", lambda: [a["status"] for a in person.media(media_id)["analyses"]] == ["PROCESSING"] * 2
    )
    runners = [p for p in psutil.process_iter(["cmdline", "environ"]) if _is_runner(p, world.wiring.door_url)]
    assert len(runners) == 2
    os.kill(runners[0].pid, signal.SIGKILL)
    assert person.wait(media_id, 180)["status"] == "ANALYZED"
    seen = world.same_answer(person, media_id)
    assert sorted(a["attempt"] for a in seen["analyses"]) == [1, 2]
    assert len(world.jobs(run)) == 3
    failed = world.sql("SELECT error_class FROM attempts WHERE state = 'FAILED' AND error_class IS NOT NULL")
    assert ("CRASHED",) in failed


def _is_runner(process: psutil.Process, door_url: str) -> bool:
    try:
        words = process.info["cmdline"] or []
        return "drishtiksha_jobrunner.main" in words and process.environ().get("DRISHTIKSHA_DOOR_URL") == door_url
    except psutil.Error:
        return False
