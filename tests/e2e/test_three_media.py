"""A video, a picture and a recording go all the way with real detectors, and everybody tells the same end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from world import Person, World, wait_for

from drishtiksha_devcluster.apps import SHARED_MODELS

POD_MODEL = """
services:
  - name: default
models:
  overrides:
    - match: FACE-TEMPORAL-V1
      execution: pod
      image: drishtiksha/modelserver
      env: {ACTIVE_MODELS: FACE-TEMPORAL-V1}
      mediaTypes: [VIDEO]
      startup: 2m
      gpu: {resource: nvidia.com/gpu, count: 1}
      nodeSelector: {drishtiksha.io/accelerator: gpu}
      maxActive: 2
"""


TEMPLATE = dict(
    re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", (Path(__file__).parents[2] / ".env.cluster.example").read_text(), re.M)
)
SECRETS = {"JWT_SECRET", "DRISHTIKSHA_SIGNING_KEYS", "SERVER_API_KEY"}
ADDRESSES = {
    *("DATABASE_URL", "REDIS_URL", "SERVER_URL", "BASE_URL", "DRISHTIKSHA_DOOR_URL", "DRISHTIKSHA_NAMESPACE"),
    *("HOST", "PORT", "DRISHTIKSHA_DOOR_PORT", "DRISHTIKSHA_METRICS_PORT", "LOCAL_STORAGE_PATH"),
}
"""What differs on one machine: nothing here has a name of its own, and all share the ports."""
MODELS = ",".join(SHARED_MODELS)


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    template = {name: value for name, value in TEMPLATE.items() if name != "BASE_URL"}
    made = new_world(config=POD_MODEL, models=MODELS, template=template)
    made.start()
    return made


@pytest.fixture(scope="module")
def finished(world: World, demo_media: dict[str, Any]) -> Iterator[tuple[Person, dict[str, dict[str, Any]], list]]:
    """One person uploads the three files while listening; their full objects by name, and all that was told."""
    person = world.person()
    listener = person.listen()
    uploaded = {name: person.upload(file.path)["id"] for name, file in demo_media.items()}
    ended = {name: person.wait(media_id, 180) for name, media_id in uploaded.items()}
    wait_for("the last event", lambda: sum(e["event"] == "RUN_COMPLETED" for e in listener.durable()) == 3, 15)
    yield person, ended, listener.told
    listener.close()
    person.close()


def test_the_cluster_template_with_its_addresses_and_secrets_filled_in_starts_the_platform(
    world: World, finished: Any
) -> None:
    for name, running in world.processes.items():
        given = Path(f"/proc/{running.pid}/environ").read_text().split("\0")
        told = dict(line.split("=", 1) for line in given if "=" in line)
        kept = {n: v for n, v in TEMPLATE.items() if n not in SECRETS | ADDRESSES}
        if name == "modelserver":
            kept["ACTIVE_MODELS"] = MODELS
        assert {n: told.get(n) for n in kept} == kept, name
    assert httpx.get(f"{world.wiring.base_url}/readyz", timeout=10).status_code == 200
    _, ended, _ = finished
    assert {media["status"] for media in ended.values()} == {"ANALYZED"}


def test_the_moved_patch_is_found_by_measurement(finished) -> None:
    _, ended, _ = finished
    picture = ended["picture"]
    assert picture["status"] == "ANALYZED"
    assert picture["verdict"]["label"] == "FAKE"
    assert picture["verdict"]["basis"] == "MEASURED"
    assert picture["verdict"]["models"] == ["JPEG-GRID-V1"]
    found = next(a for a in picture["analyses"] if a["model"] == "JPEG-GRID-V1")
    assert found["finding"] == "MANIPULATED_REGION"
    assert found["evidence"]["regions"]
    votes = next(a for a in found["artifacts"] if a["name"] == "votes.png")
    answer = httpx.get(votes["url"], timeout=10)
    assert answer.status_code == 200
    assert answer.content.startswith(b"\x89PNG")


def test_the_recording_ends_inconclusive_with_its_reason(finished) -> None:
    _, ended, _ = finished
    recording = ended["recording"]
    assert recording["status"] == "ANALYZED"
    assert recording["verdict"] == {"label": "INCONCLUSIVE", "basis": "NONE", "score": None, "models": []}
    sound = next(a for a in recording["analyses"] if a["model"] == "AUDIO-EVIDENCE-V1")
    assert sound["prediction"] == "INCONCLUSIVE"
    assert sound["confidence"] == 0.5
    assert "speech" in sound["inconclusiveReason"]


def test_the_clip_without_a_face_says_so(finished) -> None:
    _, ended, _ = finished
    clip = ended["clip"]
    assert clip["status"] == "ANALYZED"
    face = next(a for a in clip["analyses"] if a["model"] == "FACE-TEMPORAL-V1")
    assert "face" in face["inconclusiveReason"]
    assert clip["hasAudio"] is True
    assert clip["videoMetadata"]["width"] == 640


def test_everybody_gives_the_same_answer(world: World, finished) -> None:
    person, ended, _ = finished
    for seen in ended.values():
        world.same_answer(person, seen["id"])


def test_the_video_model_ran_on_the_gpu_node_and_the_others_did_not(world: World, finished) -> None:
    _, ended, _ = finished
    pods = json.loads(world.kubectl("get", "pods", "-o", "json"))["items"]
    on = {}
    for pod in pods:
        on.setdefault(pod["metadata"]["labels"]["drishtiksha.io/model"].upper(), set()).add(pod["spec"]["nodeName"])
    assert on.pop("FACE-TEMPORAL-V1") == {"gpu-0"}
    assert set().union(*on.values()) == {"cpu-0"}
    gpu_pod = next(p for p in pods if p["spec"]["nodeName"] == "gpu-0")
    assert gpu_pod["spec"]["initContainers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in json.dumps(gpu_pod["spec"]["containers"][0]["resources"])
    face = next(a for a in ended["clip"]["analyses"] if a["model"] == "FACE-TEMPORAL-V1")
    assert face["systemInfo"] is None or face["systemInfo"].get("processingDevice") != "cuda", "the GPU is simulated"


def test_one_resource_and_one_job_per_model_and_no_more(world: World, finished) -> None:
    _, ended, _ = finished
    resources = json.loads(world.kubectl("get", "ma", "-o", "json"))["items"]
    assert {r["spec"]["runId"] for r in resources} == {m["latestRunId"] for m in ended.values()}
    for media in ended.values():
        assert len(world.jobs(media["latestRunId"])) == len(media["analyses"])


def test_the_owner_was_told_every_step_in_order(finished) -> None:
    _, ended, told = finished
    for media in ended.values():
        mine = [p for name, p in told if name == "progress_update" and p["mediaId"] == media["id"] and p.get("seq")]
        names = [p["event"] for p in mine]
        seqs = [p["seq"] for p in mine]
        assert seqs == sorted(set(seqs))
        models = len(media["analyses"])
        assert names[0] == "RUN_QUEUED"
        assert names[-1] == "RUN_COMPLETED"
        for name, count in (
            ("PROCESSING_STARTED", 1),
            ("ANALYSIS_QUEUED", models),
            ("ANALYSIS_STARTED", models),
            ("ANALYSIS_COMPLETED", models),
        ):
            assert names.count(name) == count, name
    updates = [p for name, p in told if name == "video_update"]
    assert {p["id"] for p in updates} == {m["id"] for m in ended.values()}
    assert {p["status"] for p in updates} == {"ANALYZED"}


def test_a_client_that_comes_back_gets_what_it_missed_and_a_stranger_nothing(world: World, finished) -> None:
    person, _, told = finished
    durable = [p for name, p in told if name == "progress_update" and p.get("seq")]
    half = durable[len(durable) // 2]["seq"]
    again, stranger = person.listen(last_seq=half), world.person()
    other = stranger.listen(last_seq=0)
    last = durable[-1]["seq"]
    wait_for("the replay", lambda: again.durable() and again.durable()[-1]["seq"] == last, 15)
    assert [p["seq"] for p in again.durable()] == list(range(half + 1, last + 1))
    assert other.told == []
    for listener in (again, other):
        listener.close()


def test_a_stranger_sees_the_same_404_as_for_nothing(world: World, finished) -> None:
    _, ended, _ = finished
    stranger = world.person()
    unknown = stranger.http.get("/media/00000000-0000-7000-8000-000000000000").json()
    for method in ("GET", "DELETE", "PATCH"):
        answer = stranger.http.request(
            method, f"/media/{ended['clip']['id']}", json={"filename": "x"} if method == "PATCH" else None
        )
        assert answer.status_code == 404
        body = answer.json()
        assert {**body, "requestId": ""} == {**unknown, "requestId": ""}


def test_kubectl_tells_the_story(world: World, finished) -> None:
    person, ended, _ = finished
    picture = ended["picture"]
    name = f"ma-{picture['latestRunId']}"
    table = world.kubectl("get", "ma", name)
    assert "ANALYZED" in table
    assert f"{len(picture['analyses'])}/{len(picture['analyses'])}" in table
    assert "FAKE" in world.kubectl("get", "ma", name, "-o", "wide")
    assert "condition met" in world.kubectl("wait", "--for=condition=Complete", f"ma/{name}", "--timeout=10s")
    assert "JPEG-GRID-V1" in world.kubectl("describe", "ma", name)
    explained = world.kubectl("explain", "ma.spec")
    assert "runId" in explained
    assert "<no description>" not in explained
    assert picture["latestRunId"] in world.kubectl(
        "get", "ma", "-l", f"drishtiksha.io/media={picture['id']}", "-o", "name"
    )
    job = world.jobs(picture["latestRunId"])[0]["metadata"]["name"]
    assert world.kubectl("logs", f"job/{job}").strip()
    told = json.dumps(world.resource(picture["latestRunId"]))
    assert person.email not in told
    assert "picture.png" not in told


def test_no_secret_stands_in_a_job_or_a_log(world: World, finished) -> None:
    secrets = [
        world.wiring.settings[n].split(":")[-1] for n in ("JWT_SECRET", "DRISHTIKSHA_SIGNING_KEYS", "SERVER_API_KEY")
    ]
    seen = world.kubectl("get", "jobs,pods,ma,events", "-o", "yaml")
    seen += "".join(p.log.read_text(errors="replace") for p in world.processes.values())
    seen += "".join(p.read_text(errors="replace") for p in (world.cluster.home / "logs" / "pods").rglob("*.log"))
    assert not [s for s in secrets if s in seen]
    assert "v1.k1." not in seen, "an attempt's token"


def test_a_second_look_at_a_settled_platform_writes_nothing(world: World, finished) -> None:
    wait_for(
        "the last Job's end to be noted", lambda: not world.sql("SELECT 1 FROM attempts WHERE job_ended_at IS NULL")
    )
    wait_for("the finalizers to go", lambda: "drishtiksha.io/run" not in _finalizers(world))
    world["operator"].stop()
    before = _versions(world), _rows(world)
    world["operator"].start()
    time.sleep(12)  # two sweeps
    assert (_versions(world), _rows(world)) == before


def _finalizers(world: World) -> str:
    return world.kubectl("get", "ma", "-o", "jsonpath={.items[*].metadata.finalizers}")


def _versions(world: World) -> dict[str, str]:
    items = json.loads(world.kubectl("get", "ma,jobs", "-o", "json"))["items"]
    return {i["metadata"]["uid"]: i["metadata"]["resourceVersion"] for i in items}


def _rows(world: World) -> dict[str, tuple[Any, ...]]:
    """Of every table, how many rows there are and which transactions wrote them."""
    tables = world.sql("SELECT relname FROM pg_stat_user_tables WHERE relname <> 'server_health' ORDER BY 1")
    query = "SELECT count(*), coalesce(sum(xmin::text::bigint), 0) FROM {}"
    return {name: world.sql(query.format(name))[0] for (name,) in tables}
