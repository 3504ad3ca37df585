"""The namespace is deleted under a working platform, with all resources, Jobs, Secrets and rights in it; and made again.

Minutes: `make test-kill`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from misbehaving import shown
from world import Person, World, wait_for

from drishtiksha_devcluster import cluster
from drishtiksha_devcluster.ephemeral import KubectlFailed

IMAGE = {"image": True, "video": False, "audio": False, "fake": 0.9}
SCRIPT = {"SLOW-V1": {**IMAGE, "seconds": [120, 0]}}


def gone(world: World) -> bool:
    """Whether the namespace is gone; whatever only our finalizer still holds is let go, as its administrator would."""
    try:
        world.cluster.kubectl("get", "namespace", world.namespace)
    except KubectlFailed:
        return True
    for item in json.loads(world.kubectl("get", "ma", "-o", "json"))["items"]:
        if "deletionTimestamp" in item["metadata"] and item["metadata"].get("finalizers"):
            world.kubectl(
                "patch", "ma", item["metadata"]["name"], "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
            )
    return False


def under_way(world: World, person: Person, picture: Path) -> dict[str, Any]:
    """An upload whose model is at work."""
    media = person.upload(picture)
    asked = Path(f"{world.script_file}.calls")
    wait_for("the model to be asked", lambda: asked.exists() and asked.read_text())
    wait_for("the start", lambda: person.media(media["id"])["status"] == "PROCESSING")
    return media


def truthful(world: World, media_id: str) -> None:
    """The rows say of a run what they may say, whatever became of the cluster: nobody calls it final before it is."""
    rows = world.sql(
        "SELECT r.status, r.reason, a.status FROM analysis_runs r LEFT JOIN analyses a ON a.run_id = r.id "
        "WHERE r.media_id = %s",
        media_id,
    )
    for run, reason, analysis in rows:
        assert run != "ANALYZED" or analysis == "COMPLETED"
        assert run != "FAILED" or (analysis in (None, "FAILED") and reason)


@pytest.mark.kill
@pytest.mark.parametrize("operator", ["away", "at work"])
def test_a_deleted_namespace_loses_no_run(
    new_world: Callable[..., World], demo_media: dict[str, Any], operator: str
) -> None:
    world = new_world(script=SCRIPT, settings={})
    world.start()
    person, picture = world.person(), demo_media["picture"].path
    first = under_way(world, person, picture)
    if operator == "away":
        world["operator"].kill()

    world.cluster.kubectl("delete", "namespace", world.namespace, "--wait=false")
    second = person.upload(picture)
    truthful(world, first["id"])
    wait_for("the namespace to be gone", lambda: gone(world), 180)
    third = person.upload(picture)
    for media in (first, second, third):
        truthful(world, media["id"])
        assert person.media(media["id"])["status"] != "ANALYZED"

    # Made again, with its rights; the operator is what Kubernetes would start anew if it ended.
    cluster.install(world.cluster.home, namespace=world.namespace)
    if operator == "away" or world["operator"].ended():
        world["operator"].start()
    for media in (first, second, third):
        person.wait(media["id"], 300)
        truthful(world, media["id"])
    found = {media["id"]: person.media(media["id"]) for media in (first, second, third)}
    assert [found[m["id"]]["status"] for m in (second, third)] == ["ANALYZED"] * 2
    for media in (second, third):
        world.same_answer(person, media["id"])
    if operator == "away":
        seen = world.same_answer(person, first["id"])
        assert (seen["status"], seen["analyses"][0]["attempt"]) == ("ANALYZED", 2)
        assert world.sql("SELECT error_class, reason FROM attempts WHERE number = 1 AND state = 'FAILED'") == [
            ("CRASHED", "JobGone")
        ]
    else:
        # It may have seen its resources being deleted before it lost its rights: that is how kubectl cancels.
        run = found[first["id"]]["analysisRuns"][0]
        assert (run["status"], run["reason"]) in (("ANALYZED", None), ("FAILED", "CANCELLED"))
    world.verify(patience=120)
    how = (
        "all three runs go on, ANALYZED"
        if operator == "away"
        else "the live run goes on or is CANCELLED, later ones ANALYZED"
    )
    shown.ended("namespace", f"the namespace is deleted, the operator {operator}", how)
    shown.write()
