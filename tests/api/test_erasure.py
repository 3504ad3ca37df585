"""A deletion takes with it what a person brought: proven by words that stand nowhere else in the world.

In one process, with a doubled cluster; `tests/e2e/test_canaries.py` asks whole processes, etcd and nodes the same.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

import api_samples as samples
import pytest
from canaries import Blob, Overheard, columns, files, logs, png, search, valkey, word

from drishtiksha.database.runs import Ended, Runs
from drishtiksha.domain.errors import ErrorClass
from drishtiksha_api import dispatcher as dispatching

KINDS = (
    "name",
    "description",
    "mail",
    "first",
    "last",
    "bytes",
    "map",
    "note",
    "failure",
    "answer",
    "reason",
    "password",
)
THE_ACCOUNT = {"mail": {"row users.email"}, "first": {"row users.first_name"}, "last": {"row users.last_name"}}
"""What stays while the account lives."""
BELONGS = THE_ACCOUNT | {
    "name": {"row media.filename"},
    "description": {"row media.description"},
    "bytes": {"objects"},
    "map": {"objects"},
    "note": {"row analyses.note"},
    "failure": {"row analyses.error_message", "row analysis_errors.error_message", "row attempts.message", "row events.payload"},
    "answer": {"row analysis_errors.server_response"},
    "reason": {"row analysis_runs.requested_reason"},
    "password": set(),
    "token": set(),
}  # fmt: skip


async def signed_up(world: Any, canaries: dict[str, str]) -> dict[str, str]:
    """An account of these words; somebody else tries the same address, and somebody a wrong password."""
    body = {
        "email": f"{canaries['mail']}@example.org",
        "password": canaries["password"],
        "firstName": canaries["first"],
        "lastName": canaries["last"],
    }
    made = await world.client.post("/api/v1/auth/signup", json=body)
    assert made.status_code == 201, made.text
    assert (await world.client.post("/api/v1/auth/signup", json=body)).status_code == 409
    wrong = {"email": body["email"], "password": "wrong " + body["password"]}
    assert (await world.client.post("/api/v1/auth/login", json=wrong)).status_code == 401
    canaries["token"] = made.json()["data"]["token"].rpartition(".")[2]
    return {"Authorization": f"Bearer {made.json()['data']['token']}"}


async def examined(world: Any, canaries: dict[str, str], ada: dict[str, str]) -> dict[str, Any]:
    """A media with one answer, and a rerun that failed."""
    data = png(samples.picture("PNG"), canaries["bytes"])
    answer = await world.upload(ada, data, canaries["name"] + ".png", description=canaries["description"])
    media: dict[str, Any] = answer.json()["data"]
    await world.api.dispatcher.once()
    await world.frozen(media["latestRunId"], "M1")
    token = (await world.attempt_tokens(media["latestRunId"]))["M1"]
    drawn = canaries["map"].encode()
    declared = {"Content-Type": "image/png", "X-Kind": "heatmap", "X-Content-SHA256": hashlib.sha256(drawn).hexdigest()}
    put = await world.door.put("/attempt/artifacts/map.png", headers={**token, **declared}, content=drawn)
    assert put.status_code == 200
    handed_in = {
        "protocol": 1,
        "model": "M1",
        "prediction": "INCONCLUSIVE",
        "note": canaries["note"],
        "artifacts": ["map.png"],
    }
    assert (await world.door.put("/attempt/result", headers=token, json=handed_in)).json() == {"accepted": True}
    await Runs(world.around.database).attempt_ended(
        world.around.keys.read_attempt_token(token["Authorization"].removeprefix("Bearer ")),
        Ended(None, "Completed", ""),
    )
    await world.conclude(media["latestRunId"])
    url = f"/api/v1/media/{media['id']}"
    again = await world.client.post(f"{url}/analyze", headers=ada, json={"reason": canaries["reason"]})
    run = again.json()["data"]["latestRunId"]
    await world.api.dispatcher.once()
    await world.frozen(run, "M1")
    token = (await world.attempt_tokens(run))["M1"]
    said = {"class": ErrorClass.BAD_MEDIA, "message": canaries["failure"], "serverResponse": canaries["answer"]}
    assert (await world.door.put("/attempt/failure", headers=token, json=said)).status_code == 200
    await world.conclude(run)
    shown = (await world.client.get(url, headers=ada)).json()["data"]
    assert (await world.client.get(shown["url"], headers=ada)).content == data
    return media


def everything(world: Any, urls: tuple[str, str], heard: Overheard, printed: str) -> Iterator[Blob]:
    yield from columns(urls[0])
    yield from files(world.objects_path, "objects")
    yield from valkey(urls[1])
    yield from heard.blobs()
    yield from logs(urls[0])
    yield "our log", printed.encode()
    yield "resources", json.dumps(world.cluster.resources).encode()


async def test_i10_what_a_person_brought_is_where_it_belongs_and_after_the_erasure_nowhere(
    world: Any, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dispatching, "TOMBSTONE_SECONDS", 0.0)
    urls = (database_url, redis_url)
    canaries = {kind: word(kind) for kind in KINDS}
    with Overheard(redis_url) as heard:
        ada = await signed_up(world, canaries)
        media = await examined(world, canaries, ada)
        printed = "".join(capsys.readouterr())
        assert media["id"] in printed, "the log is not heard"
        assert search(everything(world, urls, heard, printed), canaries) == BELONGS
        assert (await world.client.delete(f"/api/v1/media/{media['id']}", headers=ada)).status_code == 200
        at_once = search(everything(world, urls, heard, printed), canaries)
        assert not any(at_once[kind] for kind in ("name", "description", "reason")), "blanked with the answer"
        await world.due_now()
        await world.api.dispatcher.once()
        assert await world.api.rest.state.media.erasure(uuid.UUID(media["id"])) is None
        printed += "".join(capsys.readouterr())
        left = search(everything(world, urls, heard, printed), canaries)
    assert heard.published > 0, "Valkey is not heard"
    assert left == {kind: THE_ACCOUNT.get(kind, set()) for kind in canaries}
