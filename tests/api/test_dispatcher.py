"""The outbox's wishes and the orphan bytes: each carried out once, tried again, or given up as it says."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import api_samples as samples
import psycopg
import pytest
from sqlalchemy import func, text, update

from drishtiksha.database.outbox import Outbox
from drishtiksha.database.runs import Runs
from drishtiksha.database.session import Database
from drishtiksha.database.tables import Session
from drishtiksha.database.upkeep import JANITOR, exclusively, schema_version
from drishtiksha.domain.errors import Unavailable
from drishtiksha.kube import KubeForbidden, KubeInvalid, KubeThrottled, KubeUnavailable
from drishtiksha.resources import NotOurs
from drishtiksha.settings import sqlalchemy_url
from drishtiksha_api import dispatcher as dispatching
from drishtiksha_api.dispatcher import Dispatcher
from drishtiksha_api.janitor import Janitor

PICTURE = samples.picture("PNG")


async def uploaded(world: Any) -> dict[str, Any]:
    answer = await world.upload(await world.person(), PICTURE)
    assert answer.status_code == 202
    data: dict[str, Any] = answer.json()["data"]
    return data


async def outbox_rows(world: Any) -> list[tuple[Any, ...]]:
    async with world.around.database.engine.connect() as connection:
        rows = await connection.execute(text("SELECT kind, tries, last_error, rejected_at IS NOT NULL FROM outbox"))
        return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    "error",
    [
        KubeUnavailable(0, "", "no answer"),
        KubeUnavailable(503, "ServiceUnavailable", "starting"),
        KubeThrottled(429, "TooManyRequests", "slow down", 1.0),
        KubeForbidden(403, "Forbidden", "exceeded quota"),
    ],
)
async def test_an_upload_survives_an_absent_cluster_and_is_carried_out_later(world: Any, error: Any) -> None:
    world.cluster.failing = error
    media = await uploaded(world)
    await world.api.dispatcher.once()
    ((kind, tries, last_error, rejected),) = await outbox_rows(world)
    assert (kind, tries, rejected) == ("create", 1, False)
    assert error.message in last_error
    assert not await world.api.dispatcher.once()  # not due yet: backoff
    world.cluster.failing = None
    await world.due_now()
    await world.api.dispatcher.once()
    assert list(world.cluster.resources) == [media["latestRunId"]]
    assert await outbox_rows(world) == []


@pytest.mark.parametrize("error", [KubeInvalid(422, "Invalid", "spec.mediaId"), NotOurs("ma-x", "taken")])
async def test_what_the_cluster_will_never_take_is_rejected_and_left_for_the_operator(world: Any, error: Any) -> None:
    world.cluster.failing = error
    media = await uploaded(world)
    await world.api.dispatcher.once()
    ((_, _, _, rejected),) = await outbox_rows(world)
    assert rejected
    await world.due_now()
    assert not await world.api.dispatcher.once()
    snapshot = await Runs(world.around.database).snapshot(uuid.UUID(media["latestRunId"]))
    assert snapshot is not None
    assert snapshot.create_rejected


async def test_a_create_that_fails_for_a_day_is_given_up(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.cluster.failing = KubeUnavailable(0, "", "no answer")
    await uploaded(world)
    monkeypatch.setattr(dispatching, "GIVE_UP_SECONDS", -1.0)
    await world.api.dispatcher.once()
    ((_, _, _, rejected),) = await outbox_rows(world)
    assert rejected


async def test_two_dispatchers_create_a_resource_once(world: Any) -> None:
    for _ in range(3):
        await uploaded(world)
    state = world.api.rest.state
    other = Dispatcher(Outbox(world.around.database), state.media, world.cluster, world.around.objects)
    await asyncio.gather(world.api.dispatcher.once(), other.once())
    await asyncio.gather(world.api.dispatcher.once(), other.once())
    assert world.cluster.created == 3
    assert await outbox_rows(world) == []


async def test_a_wish_whose_dispatcher_died_comes_up_again(world: Any) -> None:
    media = await uploaded(world)
    assert len(await Outbox(world.around.database).claim(10)) == 1  # claimed, and never finished
    await world.api.dispatcher.once()
    assert world.cluster.resources == {}
    await world.due_now()
    await world.api.dispatcher.once()
    assert list(world.cluster.resources) == [media["latestRunId"]]


async def test_a_run_that_is_over_or_deleted_gets_no_resource(world: Any) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    await world.client.delete(f"/api/v1/media/{media['id']}", headers=ada)
    await world.api.dispatcher.once()
    assert world.cluster.created == 0
    assert [kind for kind, *_ in await outbox_rows(world)] == ["erase"]


async def test_rows_stay_until_the_resource_is_gone(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatching, "TOMBSTONE_SECONDS", 0.0)
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    await world.api.dispatcher.once()
    held = dict(world.cluster.resources)

    async def finalizer_holds(_run_id: object) -> bool:
        return True

    monkeypatch.setattr(world.cluster, "delete", finalizer_holds)
    await world.client.delete(f"/api/v1/media/{media['id']}", headers=ada)
    await world.api.dispatcher.once()
    store = world.api.rest.state.media
    assert world.cluster.resources == held
    assert await store.erasure(uuid.UUID(media["id"])) is not None
    world.cluster.resources.clear()
    await world.due_now()
    await world.api.dispatcher.once()
    assert await store.erasure(uuid.UUID(media["id"])) is None
    assert await outbox_rows(world) == []


async def test_the_bytes_of_a_deleted_media_do_not_wait_for_a_cluster_that_is_away(world: Any) -> None:
    ada = await world.person()
    media = (await world.upload(ada, PICTURE)).json()["data"]
    world.cluster.failing = KubeUnavailable(0, "", "no answer")
    await world.client.delete(f"/api/v1/media/{media['id']}", headers=ada)
    await world.api.dispatcher.once()
    assert world.stored_files() == []
    assert ("erase", 1, "no answer", False) in await outbox_rows(world)


async def test_the_loop_wakes_when_poked_and_outlives_a_stumble(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatching, "IDLE_SECONDS", 600.0)
    stumbles = [RuntimeError("a bug"), None]
    once = world.api.dispatcher.once

    async def stumbling() -> bool:
        if stumbles:
            error = stumbles.pop(0)
            if error:
                raise error
        return bool(await once())

    monkeypatch.setattr(world.api.dispatcher, "once", stumbling)
    task = asyncio.create_task(world.api.dispatcher.run())
    await asyncio.sleep(0.05)
    media = await uploaded(world)
    async with asyncio.timeout(20):
        while media["latestRunId"] not in world.cluster.resources:
            world.api.dispatcher.poke()
            await asyncio.sleep(0.05)
    task.cancel()


async def orphan(world: Any, age: float) -> str:
    """Bytes of an upload whose row was never committed."""
    media_id = str(uuid.uuid4())
    path: Path = world.objects_path / "media" / media_id / "original"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"orphan")
    os.utime(path, (time.time() - age, time.time() - age))
    return str(path.relative_to(world.objects_path))


async def test_the_janitor_takes_old_orphans_and_nothing_else(world: Any) -> None:
    media = await uploaded(world)
    kept = f"media/{media['id']}/original"
    os.utime(world.objects_path / kept, (1, 1))
    young, old = await orphan(world, 60), await orphan(world, 7200)
    janitor = Janitor(
        world.around.database,
        world.api.rest.state.media,
        world.around.objects,
        timedelta(hours=1),
    )
    assert await janitor.once() == 1
    assert sorted(world.stored_files()) == sorted([kept, young])
    assert old not in world.stored_files()


async def test_the_janitor_forgets_tokens_whose_time_has_passed_and_no_other(world: Any) -> None:
    ada, gone = await world.person(), await world.person()
    async with world.around.database.engine.begin() as connection:
        of_gone = text("user_id = (SELECT id FROM users WHERE email = :email)").bindparams(email=world.people[-1])
        passed = update(Session).where(of_gone).values(expires_at=func.now() - timedelta(seconds=1))
        await connection.execute(passed)
        before = (await connection.execute(text("SELECT count(*) FROM sessions"))).scalar_one()
    await world.api.janitor.once()
    async with world.around.database.engine.begin() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM sessions"))).scalar_one() == before - 1
    statuses = [(await world.client.get("/api/v1/auth/profile", headers=who)).status_code for who in (ada, gone)]
    assert statuses == [200, 401]


async def test_only_one_janitor_works_at_a_time(world: Any) -> None:
    await orphan(world, 7200)
    janitor = Janitor(
        world.around.database,
        world.api.rest.state.media,
        world.around.objects,
        timedelta(hours=1),
    )
    async with exclusively(world.around.database, JANITOR) as mine:
        assert mine
        assert await janitor.once() == 0
    assert await janitor.once() == 1


@pytest.mark.parametrize("statement", ["pg_try_advisory_lock", "pg_advisory_unlock"])
async def test_a_janitor_whose_lock_could_not_be_let_go_is_in_nobody_s_way(
    world: Any, database_url: str, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """PostgreSQL may take the lock, or keep it, and say nothing: then it must go with its connection."""
    await orphan(world, 7200)
    database = world.around.database
    dialect = database.engine.sync_engine.dialect
    execute, struck = dialect.do_execute, []

    def cancelled(cursor: Any, said: str, parameters: Any, context: Any = None) -> None:
        if statement in said and not struck:
            struck.append(said)
            if "try" in statement:
                execute(cursor, said, parameters, context)
            raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")
        execute(cursor, said, parameters, context)

    monkeypatch.setattr(dialect, "do_execute", cancelled)
    with pytest.raises(Unavailable):
        async with exclusively(database, JANITOR):
            pass
    other = Database(sqlalchemy_url(database_url))
    async with exclusively(other, JANITOR) as mine:
        assert (len(struck), mine) == (1, True)
    await other.engine.dispose()


async def test_the_schema_s_version_is_that_of_the_last_migration(world: Any) -> None:
    from drishtiksha.database.migrate import head
    from drishtiksha_api.readiness import _head

    assert await schema_version(world.around.database) == head() == _head()
