"""The witness beside a platform that works: silent while it is healthy, red while it is not, silent again once healed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from witness import ask
from world import World, wait_for

pytestmark = pytest.mark.long

GOOD = {"image": True, "video": False, "audio": False, "fake": 0.9}


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    made = new_world(script={"GOOD-V1": GOOD, "BAD-V1": {**GOOD, "do": "bad-media"}}, settings={})
    made.start()
    return made


def test_it_is_silent_while_media_are_examined_rerun_and_deleted(world: World, demo_media: dict[str, Any]) -> None:
    picture: Path = demo_media["picture"].path
    person = world.person()
    first, second = person.upload(picture), person.upload(picture)
    world.verify()
    person.wait(first["id"])
    world.verify()
    assert person.http.delete(f"/media/{second['id']}").status_code == 200
    assert person.http.post(f"/media/{first['id']}/analyze").status_code == 202
    world.verify()
    person.wait(first["id"], run=2)
    report = world.verify()
    assert report.looked_at["runs"] >= 2
    assert report.looked_at["jobs"] >= 2


def test_a_lost_resource_is_named_until_the_operator_has_made_it_again(
    world: World, demo_media: dict[str, Any]
) -> None:
    person = world.person()
    world["operator"].kill()
    media = person.upload(demo_media["picture"].path)
    name = f"ma-{media['latestRunId']}"
    wait_for("the resource", lambda: name in world.kubectl("get", "ma", "-o", "name"))
    wait_for("the wish to be done", lambda: not world.sql("SELECT 1 FROM outbox WHERE kind = 'create'"))
    world.kubectl("patch", "ma", name, "--type=merge", "-p", json.dumps({"metadata": {"finalizers": None}}))
    world.kubectl("delete", "ma", name)
    found = ask(
        world.database_url, kubeconfig=world.cluster.kubeconfig(), namespace=world.namespace, patience=1.0, deep=False
    )
    named = {(v.check.name, v.subject) for v in found.violations}
    assert ("run-resource", media["latestRunId"]) in named
    assert {check for check, _ in named} <= {"run-resource", "job-end"}, "Jobs of the test before may end unseen"
    world["operator"].start()
    person.wait(media["id"])
    world.verify()
