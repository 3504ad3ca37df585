"""How a run may end, with an ML service that fails on request; and neighbours that were away at the upload."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from world import TERMINAL, World, wait_for

GOOD = {"image": True, "video": False, "audio": False, "fake": 0.9}
SECONDS_A_LOOK_IS_KEPT = 6.0
SETTINGS = {"DRISHTIKSHA_ATTEMPTS": "2"}


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    made = new_world(script={"GOOD-V1": GOOD}, settings=SETTINGS)
    made.start()
    return made


@pytest.fixture
def picture(demo_media: dict[str, Any]) -> Path:
    return demo_media["picture"].path


def test_one_model_failing_leaves_the_run_partially_analyzed(world: World, picture: Path) -> None:
    world.script({"GOOD-V1": GOOD, "BAD-V1": {**GOOD, "do": "bad-media"}, "REAL-V1": {**GOOD, "fake": 0.7}})
    person = world.person()
    media = person.upload(picture)
    person.wait(media["id"])
    seen = world.same_answer(person, media["id"])
    assert seen["status"] == "PARTIALLY_ANALYZED"
    assert seen["verdict"] == {"label": "FAKE", "basis": "CLAIMED", "score": 0.8, "models": ["GOOD-V1", "REAL-V1"]}
    bad = next(a for a in seen["analyses"] if a["model"] == "BAD-V1")
    assert (bad["status"], bad["errorClass"], bad["attempt"]) == ("FAILED", "BAD_MEDIA", 1)
    assert bad["prediction"] is None
    assert "scripted: this file is broken" in json.dumps(bad["errors"])
    assert len(world.jobs(seen["latestRunId"])) == 3


def test_all_models_failing_fails_the_run_with_the_class_they_share(world: World, picture: Path) -> None:
    world.script({"BAD-V1": {**GOOD, "do": "bad-media"}, "WORSE-V1": {**GOOD, "do": "bad-media"}})
    person = world.person()
    media = person.upload(picture)
    person.wait(media["id"])
    seen = world.same_answer(person, media["id"])
    assert (seen["status"], seen["analysisRuns"][0]["reason"], seen["verdict"]) == ("FAILED", "BAD_MEDIA", None)


def test_a_retryable_failure_spends_its_budget_and_another_models_answer_is_refused(
    world: World, picture: Path
) -> None:
    world.script({"BROKEN-V1": {**GOOD, "do": "broken"}, "LIAR-V1": {**GOOD, "do": "other-model"}})
    person = world.person()
    media = person.upload(picture)
    person.wait(media["id"], 180)
    seen = world.same_answer(person, media["id"])
    classes = {a["model"]: (a["errorClass"], a["attempt"]) for a in seen["analyses"]}
    assert classes == {"BROKEN-V1": ("ML_UNAVAILABLE", 2), "LIAR-V1": ("ML_CONTRACT", 1)}
    assert (seen["status"], seen["analysisRuns"][0]["reason"]) == ("FAILED", "MODELS_FAILED")
    assert len(world.jobs(seen["latestRunId"])) == 3
    told = world.sql("SELECT type FROM events WHERE media_id = %s", media["id"])
    assert [t for (t,) in told].count("ANALYSIS_RETRYING") == 1


def test_no_compatible_model_is_failed_and_never_analyzed(world: World, demo_media: dict[str, Any]) -> None:
    world.script({"GOOD-V1": GOOD, "AWAY-V1": {"audio": True, "loaded": False}})
    person = world.person()
    media = person.upload(demo_media["recording"].path)
    person.wait(media["id"])
    seen = world.same_answer(person, media["id"])
    assert (seen["status"], seen["analysisRuns"][0]["reason"]) == ("FAILED", "NO_COMPATIBLE_MODEL")
    assert seen["analyses"] == []
    assert world.jobs(seen["latestRunId"]) == []


def test_a_busy_service_is_a_queue_and_costs_no_attempt(world: World, picture: Path) -> None:
    world.script({"GOOD-V1": {**GOOD, "do": "busy"}})
    person = world.person()
    media = person.upload(picture)
    wait_for("the start", lambda: person.media(media["id"])["status"] == "PROCESSING")
    world.script({"GOOD-V1": GOOD})
    seen = person.wait(media["id"])
    assert (seen["status"], seen["analyses"][0]["attempt"]) == ("ANALYZED", 1)


def test_the_ml_service_may_be_away_at_the_upload(world: World, picture: Path) -> None:
    world.script({"GOOD-V1": GOOD})
    world["modelserver"].kill()
    person = world.person()
    media = person.upload(picture)
    wait_for(
        "the resource", lambda: world.kubectl("get", "ma", "-l", f"drishtiksha.io/media={media['id']}", "-o", "name")
    )

    def says_who_is_away() -> bool:
        conditions = world.resource(media["latestRunId"]).get("status", {}).get("conditions", [])
        return any(c["type"] == "ModelsDiscovered" and c["status"] != "True" and c["message"] for c in conditions)

    wait_for("the resource to say for whom it waits", says_who_is_away)
    assert person.media(media["id"])["status"] == "QUEUED"
    world["modelserver"].start()
    person.wait(media["id"])
    assert world.same_answer(person, media["id"])["status"] == "ANALYZED"


def test_the_operator_may_be_away_at_the_upload(world: World, picture: Path) -> None:
    world.script({"GOOD-V1": GOOD})
    world["operator"].kill()
    person = world.person()
    media = person.upload(picture)
    wait_for(
        "the resource", lambda: world.kubectl("get", "ma", "-l", f"drishtiksha.io/media={media['id']}", "-o", "name")
    )
    assert person.media(media["id"])["status"] == "QUEUED"
    world["operator"].start()
    person.wait(media["id"])
    assert world.same_answer(person, media["id"])["status"] == "ANALYZED"


def test_deleting_the_live_resource_cancels_the_run(world: World, picture: Path) -> None:
    world.script({"GOOD-V1": GOOD, "SLOW-V1": {**GOOD, "seconds": 60}})
    person = world.person()
    media = person.upload(picture)
    run = media["latestRunId"]

    def half_done() -> bool:
        states = {a["model"]: a["status"] for a in person.media(media["id"])["analyses"]}
        return states == {"GOOD-V1": "COMPLETED", "SLOW-V1": "PROCESSING"}

    wait_for("one model to finish and one to run", half_done)
    world.kubectl("delete", "ma", f"ma-{run}", "--timeout=60s")
    seen = person.wait(media["id"])
    assert (seen["status"], seen["analysisRuns"][0]["reason"]) == ("PARTIALLY_ANALYZED", "CANCELLED")
    slow = next(a for a in seen["analyses"] if a["model"] == "SLOW-V1")
    assert (slow["status"], slow["errorClass"]) == ("FAILED", "CANCELLED")
    wait_for("the Jobs to go", lambda: world.jobs(run) == [])


def test_a_rerun_is_a_new_run_and_the_media_follows_it(world: World, picture: Path) -> None:
    world.script({"BAD-V1": {**GOOD, "do": "bad-media"}})
    person = world.person()
    media = person.upload(picture)
    assert person.wait(media["id"])["status"] == "FAILED"
    world.script({"GOOD-V1": GOOD})
    time.sleep(SECONDS_A_LOOK_IS_KEPT)
    answer = person.http.post(f"/media/{media['id']}/analyze")
    assert answer.status_code == 202, answer.text
    seen = person.wait(media["id"], run=2)
    assert seen["status"] == "ANALYZED"
    assert [(r["runNumber"], r["status"]) for r in seen["analysisRuns"]] == [(2, "ANALYZED"), (1, "FAILED")]
    world.same_answer(person, media["id"])


def test_a_lost_resource_is_made_again_and_the_run_goes_on(world: World, picture: Path) -> None:
    world.script({"SLOW-V1": {**GOOD, "seconds": 8}})
    person = world.person()
    media = person.upload(picture)
    run = media["latestRunId"]
    wait_for("the start", lambda: person.media(media["id"])["status"] == "PROCESSING")
    uid = world.resource(run)["metadata"]["uid"]
    world["operator"].kill()
    world.kubectl("patch", "ma", f"ma-{run}", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    world.kubectl("delete", "ma", f"ma-{run}", "--wait=true", "--timeout=30s")
    world["operator"].start()
    seen = person.wait(media["id"], 180)
    assert seen["status"] == "ANALYZED"
    assert world.resource(run)["metadata"]["uid"] != uid
    world.same_answer(person, media["id"])


def test_deletion_leaves_nothing(world: World, picture: Path) -> None:
    world.script({"SLOW-V1": {**GOOD, "seconds": 60}})
    person = world.person()
    media = person.upload(picture)
    wait_for("the start", lambda: person.media(media["id"])["status"] == "PROCESSING")
    assert person.http.delete(f"/media/{media['id']}").status_code == 200
    assert person.http.delete(f"/media/{media['id']}").status_code == 404
    assert person.http.get(f"/media/{media['id']}").status_code == 404
    assert httpx_status(media["url"]) in (401, 404)
    wait_for("the resource to go", lambda: f"ma-{media['latestRunId']}" not in world.kubectl("get", "ma", "-o", "name"))
    wait_for("the Jobs to go", lambda: world.jobs(media["latestRunId"]) == [])
    key = media["publicId"]
    wait_for("the bytes to go", lambda: not list((world.folder / "objects").rglob(Path(key).name + "*")))
    assert (
        world.sql("SELECT DISTINCT type, payload FROM events WHERE media_id = %s", media["id"])[0][0] == "MEDIA_DELETED"
    )


def httpx_status(url: str) -> int:
    import httpx

    return httpx.get(url, timeout=10).status_code


def test_every_run_here_is_terminal_in_the_end(world: World) -> None:
    left = world.sql(
        "SELECT r.status FROM analysis_runs r JOIN media m ON m.id = r.media_id WHERE m.deleted_at IS NULL"
    )
    assert {s for (s,) in left} <= TERMINAL
