"""Idempotency-Key: what is sent again is carried out once, whatever became of the first answer."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import api_samples as samples
import pytest
from sqlalchemy import text

from drishtiksha.database.idempotency import Claim, Claims, Made
from drishtiksha.domain.errors import InFlight, Unavailable

PICTURE, OTHER = samples.picture("PNG"), samples.picture("PNG", compress_level=0)


def key(of: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": of or uuid.uuid4().hex}


async def sql(world: Any, statement: str, **values: object) -> Any:
    async with world.around.database.engine.begin() as connection:
        return await connection.execute(text(statement), values)


async def counted(world: Any, table: str) -> int:
    return int((await sql(world, f"SELECT count(*) FROM {table}")).scalar_one())


async def finished(world: Any, media: dict[str, Any]) -> None:
    run_id = media["latestRunId"]
    await world.frozen(run_id, "M1")
    token = (await world.attempt_tokens(run_id))["M1"]
    await world.door.put("/attempt/failure", headers=token, json={"class": "BAD_MEDIA", "message": "broken"})
    await world.conclude(run_id)


async def test_an_upload_that_is_sent_again_is_answered_again_and_stored_once(world: Any) -> None:
    ada = await world.person() | key()
    first = await world.upload(ada, PICTURE, "a.png", description="at sea")
    assert (first.status_code, "idempotency-replayed" in first.headers) == (202, False)
    stored = world.stored_files()
    for _ in range(2):
        again = await world.upload(ada, PICTURE, "a.png", description="at sea")  # with another boundary
        assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
        assert again.json() == first.json()
        assert again.headers["location"] == first.headers["location"]
    assert world.stored_files() == stored
    assert [await counted(world, table) for table in ("media", "analysis_runs", "events")] == [1, 1, 1]


async def test_the_answer_is_that_of_the_upload_whatever_became_of_the_media(world: Any) -> None:
    ada = await world.person() | key()
    first = (await world.upload(ada, PICTURE)).json()
    await finished(world, first["data"])
    await world.client.post(f"/api/v1/media/{first['data']['id']}/analyze", headers=ada)
    assert (await world.upload(ada, PICTURE)).json() == first
    await world.client.delete(f"/api/v1/media/{first['data']['id']}", headers=ada)
    gone = await world.upload(ada, PICTURE)
    assert (gone.status_code, gone.json()["code"]) == (404, "NOT_FOUND")
    assert await counted(world, "media") == 1  # the tombstone


@pytest.mark.parametrize("change", [{"data": OTHER}, {"name": "b.png"}, {"description": "else"}])
async def test_the_key_of_one_upload_is_refused_for_another(world: Any, change: dict[str, Any]) -> None:
    ada = await world.person() | key()
    sent = {"data": PICTURE, "name": "a.png", "description": "at sea"}
    assert (await world.upload(ada, **sent)).status_code == 202
    stored = world.stored_files()
    other = await world.upload(ada, **(sent | change))
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_MISMATCH")
    assert world.stored_files() == stored
    assert (await world.upload(ada, **sent)).headers["idempotency-replayed"] == "true"


async def test_of_many_at_once_one_is_carried_out(world: Any) -> None:
    ada = await world.person() | key()
    answers = await asyncio.gather(*(world.upload(ada, PICTURE) for _ in range(12)))
    by_status = sorted({(a.status_code, a.json().get("code")) for a in answers}, key=str)
    assert by_status in ([(202, None)], [(202, None), (409, "IDEMPOTENCY_IN_FLIGHT")])
    assert all(a.headers["retry-after"] == "2" for a in answers if a.status_code == 409)
    assert len({a.json()["data"]["id"] for a in answers if a.status_code == 202}) == 1
    assert await counted(world, "media") == 1
    assert len(world.stored_files()) == 1


async def test_a_request_that_is_at_work_holds_its_key(world: Any) -> None:
    ada = await world.person() | key("k")
    began, go = asyncio.Event(), asyncio.Event()
    receive = world.api.rest.state.intake.receive

    async def slow(*arguments: Any) -> Any:
        began.set()
        await go.wait()
        return await receive(*arguments)

    world.api.rest.state.intake.receive = slow
    first = asyncio.create_task(world.upload(ada, PICTURE))
    await began.wait()
    second = await asyncio.wait_for(world.upload(ada, PICTURE), 20)
    assert (second.status_code, second.json()["code"]) == (409, "IDEMPOTENCY_IN_FLIGHT")
    bob = await world.person() | key("k")
    world.api.rest.state.intake.receive = receive
    assert (await world.upload(bob, PICTURE)).status_code == 202  # a key belongs to a user
    go.set()
    assert (await first).status_code == 202


async def test_a_refused_upload_frees_its_key(world: Any) -> None:
    ada = await world.person() | key()
    for bad, code in ((b"%PDF-1.4 nothing", "UNSUPPORTED_TYPE"), (b"", "EMPTY_FILE")):
        refused = await world.upload(ada, bad)
        assert refused.json()["code"] == code
    assert (await world.upload(ada, PICTURE)).status_code == 202


async def test_an_answer_that_was_lost_with_the_database_is_found_again(world: Any) -> None:
    """The upload is committed, and its 202 never sent: the client, who heard 503, tries again."""
    ada = await world.person() | key()
    content = world.api.rest.state.media.content

    async def away(_media_id: object) -> None:
        raise Unavailable("postgres", "It is away.")

    world.api.rest.state.media.content = away
    assert (await world.upload(ada, PICTURE)).status_code == 503
    world.api.rest.state.media.content = content
    again = await world.upload(ada, PICTURE)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
    assert await counted(world, "media") == 1


async def test_a_rerun_that_is_sent_again_makes_one_run(world: Any) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    await finished(world, media)
    url, again = f"/api/v1/media/{media['id']}/analyze", ada | key()
    answers = [await world.client.post(url, headers=again, json={"reason": "once more"}) for _ in range(3)]
    assert [a.status_code for a in answers] == [202] * 3
    assert ["idempotency-replayed" in a.headers for a in answers] == [False, True, True]
    assert {a.json()["data"]["latestRunId"] for a in answers} == {answers[0].json()["data"]["latestRunId"]}
    assert await counted(world, "analysis_runs") == 2
    other = await world.client.post(url, headers=again, json={"reason": "another"})
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_MISMATCH")
    busy = await world.client.post(url, headers=ada | key())
    assert (busy.status_code, busy.json()["code"]) == (409, "RUN_ACTIVE")


@pytest.mark.parametrize("bad", ["", "with space", "ü", "x" * 256])
async def test_a_key_that_is_none_is_named(world: Any, bad: str) -> None:
    ada = await world.person()
    headers = [*ada.items(), ("Idempotency-Key", bad.encode("latin-1"))]
    refused = await world.client.post("/api/v1/media", headers=headers, files={"file": ("a.png", PICTURE)})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "Idempotency-Key")
    assert world.stored_files() == []


@pytest.fixture
async def claims(world: Any) -> tuple[Claims, uuid.UUID]:
    await world.person()
    user = (await sql(world, "SELECT id FROM users")).scalar_one()
    return Claims(world.around.database), user


async def test_a_claim_of_a_request_that_died_goes_stale(world: Any, claims: tuple[Claims, uuid.UUID]) -> None:
    keys, user = claims
    dead, next_one = Claim(user, "r", "k"), Claim(user, "r", "k")
    assert await keys.begin(dead) is None
    assert await keys.begin(dead) is None  # a COMMIT that was not answered
    with pytest.raises(InFlight):
        await keys.begin(next_one)
    await sql(world, "UPDATE idempotency_keys SET created_at = now() - interval '50 s'")
    await keys.keep(dead)
    await sql(world, "UPDATE idempotency_keys SET created_at = created_at - interval '50 s'")
    with pytest.raises(InFlight):
        await keys.begin(next_one)
    await sql(world, "UPDATE idempotency_keys SET created_at = now() - interval '61 s'")
    assert await keys.begin(next_one) is None
    # The one that was taken for dead comes back: it makes nothing, and does not free what is no longer its own.
    made = Made("f", uuid.uuid4(), uuid.uuid4())
    with pytest.raises(InFlight):
        await world.around.database.transaction(lambda session: dead.fulfil(session, made))
    await keys.release(dead)
    await world.around.database.transaction(lambda session: next_one.fulfil(session, made))
    await keys.release(next_one)
    assert await keys.begin(Claim(user, "r", "k")) == made


async def test_a_key_is_forgotten_after_a_day(world: Any, claims: tuple[Claims, uuid.UUID]) -> None:
    keys, user = claims
    claim = Claim(user, "r", "k")
    await keys.begin(claim)
    made = Made("f", uuid.uuid4(), uuid.uuid4())
    await world.around.database.transaction(lambda session: claim.fulfil(session, made))
    await sql(world, "UPDATE idempotency_keys SET created_at = now() - interval '23 h'")
    assert (await keys.forget_old(), await keys.begin(Claim(user, "r", "k"))) == (0, made)
    await sql(world, "UPDATE idempotency_keys SET created_at = now() - interval '25 h'")
    assert await keys.begin(Claim(user, "r", "k")) is None
    await sql(world, "UPDATE idempotency_keys SET created_at = now() - interval '25 h'")
    assert (await keys.forget_old(), await counted(world, "idempotency_keys")) == (1, 0)


async def test_a_long_upload_says_that_it_is_still_at_work(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drishtiksha_api.repeats.FRESHEN_SECONDS", 0.05)
    ada, kept = await world.person() | key(), asyncio.Event()
    receive, keep = world.api.rest.state.intake.receive, world.api.rest.state.claims.keep

    async def slow(*arguments: Any) -> Any:
        await asyncio.wait_for(kept.wait(), 10)
        return await receive(*arguments)

    async def watched(claim: Claim) -> None:
        await keep(claim)
        kept.set()

    world.api.rest.state.intake.receive, world.api.rest.state.claims.keep = slow, watched
    assert (await world.upload(ada, PICTURE)).status_code == 202


async def test_nothing_personal_is_kept_with_a_key(world: Any) -> None:
    ada = await world.person() | key()
    await world.upload(ada, PICTURE, "secret-name.png", description="secret words")
    kept = (await sql(world, "SELECT CAST(k AS text) FROM idempotency_keys k")).scalar_one()
    assert "secret" not in kept
