"""Media over HTTP: refusals that leave nothing, strangers who learn nothing, bytes by link."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import api_samples as samples
import pytest

from drishtiksha.domain.errors import QuotaExceeded, Unavailable

PICTURE = samples.picture("PNG")
MEDIA = "/api/v1/media"
NOT_FOUND = "Media not found or you do not have permission."


async def test_no_byte_of_a_body_is_read_before_the_caller_is_known(world: Any) -> None:
    async def untouched() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    for method, path in (("POST", MEDIA), ("PUT", "/api/v1/auth/profile"), ("PATCH", f"{MEDIA}/{uuid.uuid4()}")):
        refused = await world.client.request(
            method, path, content=untouched(), headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
        assert (refused.status_code, refused.json()["code"]) == (401, "TOKEN_MISSING")


async def test_a_refused_upload_leaves_no_row_and_no_byte(world: Any) -> None:
    ada = await world.person()
    for name in ["svg", "playlist", "half an mp4", "pixel bomb"]:
        data, code = samples.refused()[name]
        refused = await world.upload(ada, data, "film.mp4")
        assert refused.json()["code"] == code
        assert refused.status_code == {"UNSUPPORTED_TYPE": 415, "UNDECODABLE": 422}[code]
        assert (await world.client.get(MEDIA, headers=ada)).json()["data"] == []
        assert world.stored_files() == []
        assert not await world.api.dispatcher.once()


BAD_FORMS: list[tuple[Any, int, str]] = [
    ({"file": ("a.png", b"")}, 400, "EMPTY_FILE"),
    ({"other": ("a.png", PICTURE)}, 400, "VALIDATION"),
    ([("file", ("a.png", PICTURE)), ("file", ("b.png", PICTURE))], 400, "TOO_MANY_FILES"),
    ({"file": ("a.png", b"%PDF-1.7" + bytes(9_000))}, 415, "UNSUPPORTED_TYPE"),
    ({"file": ("a.png", PICTURE + bytes(500_000))}, 413, "TOO_LARGE"),
]


async def test_a_bad_form_gets_its_status_and_code(world: Any) -> None:
    ada = await world.person()
    for files, status, code in BAD_FORMS:
        refused = await world.client.post(MEDIA, headers=ada, files=files)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert world.stored_files() == []


async def test_a_form_without_a_file_says_so(world: Any) -> None:
    ada = await world.person()
    for form in ({"data": {"description": "x"}}, {"json": {}}, {}):
        refused = await world.client.post(MEDIA, headers=ada, **form)
        assert (refused.status_code, refused.json()["message"]) == (400, "A file is required.")


async def test_a_database_that_is_away_gives_503_and_never_202(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await world.person()

    async def away(*_args: Any, **_more: Any) -> None:
        raise Unavailable("postgres", "psycopg: connection refused at 10.0.0.7")

    monkeypatch.setattr(world.api.rest.state.media, "accept", away)
    refused = await world.upload(ada, PICTURE)
    assert (refused.status_code, refused.json()["code"]) == (503, "UNAVAILABLE")
    assert refused.json()["details"] == {"what": "postgres"}
    assert int(refused.headers["retry-after"]) >= 1
    assert "10.0.0.7" not in refused.text
    monkeypatch.undo()
    assert (await world.client.get(MEDIA, headers=ada)).json()["data"] == []


async def test_an_object_store_that_is_away_gives_503(world: Any) -> None:
    ada = await world.person()
    world.objects_path.write_bytes(b"a file where the folder should be")
    refused = await world.upload(ada, PICTURE)
    assert (refused.status_code, refused.json()["details"]) == (503, {"what": "objects"})


async def test_a_quota_refuses_before_the_row_and_takes_the_bytes_back(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await world.person()

    async def full(*_args: Any, **_more: Any) -> None:
        raise QuotaExceeded("full")

    monkeypatch.setattr(world.api.rest.state.media, "accept", full)
    refused = await world.upload(ada, PICTURE)
    assert (refused.status_code, refused.json()["code"]) == (429, "QUOTA")
    assert world.stored_files() == []


async def test_file_names_are_shown_and_never_used(world: Any) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE, "../../etc/pass\u202ewd.png")).json()["data"]
    assert media["filename"] == "passwd.png"
    assert world.stored_files() == [f"media/{media['id']}/original"]
    served = await world.client.get(media["url"])
    assert served.headers["content-disposition"] == "inline; filename=\"passwd.png\"; filename*=UTF-8''passwd.png"


async def test_strangers_and_the_unknown_get_one_answer_everywhere(world: Any) -> None:
    ada, eve = await world.person(), await world.person()
    media_id = (await world.upload(ada, PICTURE)).json()["data"]["id"]
    for method, tail, body in (
        ("GET", "", None),
        ("PATCH", "", {"description": "mine"}),
        ("DELETE", "", None),
        ("POST", "/analyze", None),
        ("POST", "/cancel", None),
        ("GET", "/runs", None),
        ("GET", "/runs/1", None),
    ):
        answers = []
        for wanted in (media_id, str(uuid.uuid4()), "no-uuid"):
            refused = await world.client.request(method, f"{MEDIA}/{wanted}{tail}", headers=eve, json=body)
            answers.append((refused.status_code, {**refused.json(), "requestId": ""}))
        assert answers[0] == answers[1] == answers[2]
        assert (answers[0][0], answers[0][1]["message"]) == (404, NOT_FOUND)
    assert (await world.client.get(f"{MEDIA}/content/{media_id}", headers=eve)).status_code == 404
    assert (await world.client.get(MEDIA, headers=eve)).json()["data"] == []
    assert (await world.client.get(f"{MEDIA}/{media_id}", headers=ada)).status_code == 200


async def test_only_description_and_filename_can_be_changed(world: Any) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE, description="old")).json()["data"]
    url = f"{MEDIA}/{media['id']}"
    changed = await world.client.patch(url, headers=ada, json={"description": "new", "filename": "x/renamed.png"})
    assert changed.status_code == 200
    assert (changed.json()["data"]["description"], changed.json()["data"]["filename"]) == ("new", "renamed.png")
    cleared = await world.client.patch(url, headers=ada, json={"description": None})
    assert cleared.json()["data"]["description"] is None
    refused = await world.client.patch(url, headers=ada, json={"status": "ANALYZED"})
    assert (refused.status_code, refused.json()["message"]) == (400, "Field 'status' is not updatable.")
    for bad in ({}, {"filename": None}, {"description": "x" * 2001}, {"description": 5}, {"description": "a\x00b"}):
        assert (await world.client.patch(url, headers=ada, json=bad)).status_code == 400, bad


async def test_a_deleted_media_is_gone_at_once_and_erased_in_steps(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    await world.api.dispatcher.once()
    gone = await world.client.delete(f"{MEDIA}/{media['id']}", headers=ada)
    assert (gone.status_code, gone.json()["data"], gone.json()["message"]) == (200, {}, "Media deleted successfully.")
    assert (await world.client.delete(f"{MEDIA}/{media['id']}", headers=ada)).status_code == 404
    assert (await world.client.get(media["url"])).status_code == 404
    await world.api.dispatcher.once()
    assert world.cluster.resources == {}
    assert world.stored_files() == []
    store = world.api.rest.state.media
    assert await store.erasure(uuid.UUID(media["id"])) is not None  # the tombstone stands for two minutes
    from drishtiksha_api import dispatcher

    monkeypatch.setattr(dispatcher, "TOMBSTONE_SECONDS", 0.0)
    await world.due_now()
    await world.api.dispatcher.once()
    assert await store.erasure(uuid.UUID(media["id"])) is None


async def test_a_list_is_paged_by_cursor_and_each_media_comes_once(world: Any) -> None:
    ada = await world.person()
    made = [(await world.upload(ada, PICTURE, f"{i}.png")).json()["data"]["id"] for i in range(5)]
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = await world.client.get(MEDIA, headers=ada, params=params)
        seen += [media["id"] for media in page.json()["data"]]
        if "x-next-cursor" not in page.headers:
            break
        params["cursor"] = page.headers["x-next-cursor"]
    assert seen == made[::-1]
    assert len((await world.client.get(MEDIA, headers=ada)).json()["data"]) == 5


async def test_a_bad_value_of_a_known_parameter_is_400_and_an_unknown_one_is_ignored(world: Any) -> None:
    ada = await world.person()
    for query in ["limit=0", "limit=101", "limit=x", "status=DONE", "mediaType=PDF", "cursor=zzz"]:
        refused = await world.client.get(f"{MEDIA}?{query}", headers=ada)
        assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION")
        assert (await world.client.get(f"{MEDIA}?nonsense={query}", headers=ada)).status_code == 200


async def test_filters_of_the_list_filter(world: Any) -> None:
    ada = await world.person()
    await world.upload(ada, PICTURE)
    await world.upload(ada, samples.tone_wav(), "a.wav")
    (found,) = (await world.client.get(f"{MEDIA}?mediaType=AUDIO&status=QUEUED", headers=ada)).json()["data"]
    assert found["mimetype"] == "audio/wav"
    assert found["audioMetadata"]["sampleRate"] == 8000
    assert (await world.client.get(f"{MEDIA}?status=FAILED", headers=ada)).json()["data"] == []


async def test_an_unchanged_media_answers_304(world: Any) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    first = await world.client.get(f"{MEDIA}/{media['id']}", headers=ada)
    tag = first.headers["etag"]
    again = await world.client.get(f"{MEDIA}/{media['id']}", headers={**ada, "If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    await world.client.patch(f"{MEDIA}/{media['id']}", headers=ada, json={"description": "x"})
    changed = await world.client.get(f"{MEDIA}/{media['id']}", headers={**ada, "If-None-Match": tag})
    assert changed.status_code == 200


async def test_a_rerun_may_name_its_models_and_a_cancel_needs_an_active_run(world: Any) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    url = f"{MEDIA}/{media['id']}"
    assert (await world.client.post(f"{url}/cancel", headers=ada)).status_code == 202
    await world.conclude(media["latestRunId"])
    again = await world.client.post(f"{url}/cancel", headers=ada)
    assert (again.status_code, again.json()["code"]) == (409, "NOT_ACTIVE")
    for bad in ({"models": []}, {"models": ["../x"]}, {"models": "M1"}, {"reason": "x" * 501}):
        assert (await world.client.post(f"{url}/analyze", headers=ada, json=bad)).status_code == 400
    rerun = await world.client.post(f"{url}/analyze", headers=ada, json={"models": ["M1"], "reason": "why not"})
    run = rerun.json()["data"]["analysisRuns"][0]
    assert (rerun.status_code, run["requestedReason"], run["runNumber"]) == (202, "why not", 2)
    await world.api.dispatcher.once()
    assert world.cluster.resources[run["id"]]["spec"]["models"] == ["M1"]
    first = (await world.client.get(f"{url}/runs/1", headers=ada)).json()["data"]
    assert (first["status"], first["reason"]) == ("FAILED", "CANCELLED")


@pytest.mark.parametrize(("known", "told"), [("", None), ("2.1", "2.1")])
async def test_a_version_that_discovery_did_not_learn_is_null(world: Any, known: str, told: str | None) -> None:
    ada = await world.person()
    media = (await world.upload(ada, samples.picture("PNG"))).json()["data"]
    await world.frozen(media["latestRunId"], "M1", version=known)
    (seen,) = (await world.client.get(f"/api/v1/media/{media['id']}", headers=ada)).json()["data"]["analyses"]
    assert seen["modelVersion"] == told
