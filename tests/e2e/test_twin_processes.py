"""Two apis, two doors and two operators as real processes on nodes that run pods: they do no more than one of each."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from world import Running, World, wait_for

from drishtiksha_devcluster import apps
from drishtiksha_devcluster.ports import free_port

pytestmark = [pytest.mark.kill, pytest.mark.timeout(600)]

MODELS = {"ONE-V1": {"fake": 0.9, "seconds": 3}, "TWO-V1": {"fake": 0.8, "seconds": 4}}


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> Iterator[World]:
    made = new_world(script=MODELS)
    ports = {**{name: free_port() for name in apps.PORTS}, "modelserver": made.wiring.ports["modelserver"]}
    wiring = dataclasses.replace(made.wiring, ports=ports)
    for spec in (apps.door(wiring), apps.api(wiring), apps.operator(wiring)):
        made.processes[f"other {spec.name}"] = Running(spec, made.folder / f"other-{spec.name}.log")
    made.start()
    for running in made.processes.values():
        if "other" in running.log.name:
            running.start()
    return made


def test_i11_twin_processes_do_no_more_than_one_of_each(world: World, demo_media: dict[str, Any]) -> None:
    person = world.person()
    other_url = world["other api"].spec.env["BASE_URL"] + "/api/v1"
    picture = demo_media["picture"].path
    with httpx.Client(base_url=other_url, headers=person.http.headers, timeout=30) as other:
        uploaded = []
        for number in range(6):
            files = {"file": (picture.name, picture.read_bytes())}
            answer = (other if number % 2 else person.http).post("/media", files=files)
            assert answer.status_code == 202, answer.text
            uploaded.append(answer.json()["data"]["id"])
        wait_for("work to be under way", lambda: any(person.media(i)["status"] == "PROCESSING" for i in uploaded))
        deleted, cancelled, kept = uploaded[0], uploaded[1], uploaded[2:]
        assert other.post(f"/media/{cancelled}/cancel").status_code in (202, 409)
        answers = Counter(c.delete(f"/media/{deleted}").status_code for c in (other, person.http))
        assert answers == {200: 1, 404: 1}
        assert other.get(f"/media/{deleted}").status_code == 404

        for media_id in kept:
            assert person.wait(media_id, 180)["status"] == "ANALYZED"
            world.same_answer(person, media_id)
        person.wait(cancelled, 180)
        world.same_answer(person, cancelled)
    for media_id in kept:
        run = person.media(media_id)["latestRunId"]
        uids = {row[0] for row in world.sql("SELECT job_uid FROM attempts t JOIN analyses a ON a.id = t.analysis_id WHERE run_id = %s", run)}  # fmt: skip
        assert {job["metadata"]["uid"] for job in world.jobs(run)} == uids
        assert len(uids) == len(MODELS)
    said = [
        json.loads(line) for name in ("operator", "other operator") for line in world[name].log.open() if line[0] == "{"
    ]
    ends = Counter(one["run"] for one in said if one.get("event") == "run concluded")
    assert set(ends.values()) == {1}, "each run was concluded by one of them"
    assert len(ends) >= len(kept)
    world.verify()
