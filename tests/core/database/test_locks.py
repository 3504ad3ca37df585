"""The order of row locks: what everybody relies on not to wait for each other in a circle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from stores import PROBE, Stores

from drishtiksha.database.admission import Caps
from drishtiksha.database.locks import lock_attempt, lock_run
from drishtiksha.database.media import NewMedia, Quota
from drishtiksha.database.runs import FrozenModel
from drishtiksha.database.session import new_id
from drishtiksha.domain.errors import NotFound

ORDER = ("media", "analysis_runs", "analyses", "attempts")


async def _free(stores: Stores, table: str) -> bool:
    """Whether the table's one row can be locked by somebody else now."""
    async with AsyncSession(stores.database.engine) as session:
        try:
            await session.execute(text(f"SELECT 1 FROM {table} FOR UPDATE NOWAIT"))
        except OperationalError:
            return False
        finally:
            await session.rollback()
    return True


async def _until_it_waits(stores: Stores, number: int = 1, unless: asyncio.Task[object] | None = None) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE NOT l.granted AND a.datname = current_database()"
    )
    async with AsyncSession(stores.database.engine) as session, asyncio.timeout(10):
        while (await session.execute(waiting)).scalar_one() < number and not (unless and unless.done()):
            await session.rollback()  # within one transaction pg_stat_activity does not change
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("what", "depth"), [("run", 2), ("attempt", 4)])
@pytest.mark.parametrize("held", ORDER)
async def test_what_stands_above_a_held_row_is_locked_first_and_what_stands_below_is_not(
    stores: Stores, what: str, depth: int, held: str
) -> None:
    media = await stores.frozen(await stores.user(), "A")
    attempt = (await stores.start(media.run_id))["A"]

    async def lock(session: AsyncSession) -> None:
        await (lock_run(session, media.run_id) if what == "run" else lock_attempt(session, attempt))

    if ORDER.index(held) >= depth:
        await stores.database.transaction(lock)
        return
    async with AsyncSession(stores.database.engine) as holder:
        await holder.execute(text(f"SELECT 1 FROM {held} FOR UPDATE"))
        waiter = asyncio.create_task(stores.database.transaction(lock))
        await _until_it_waits(stores)
        position = ORDER.index(held)
        assert [await _free(stores, t) for t in ORDER[:position]] == [False] * position
        assert [await _free(stores, t) for t in ORDER[position + 1 :]] == [True] * (3 - position)
        await holder.rollback()
    await asyncio.wait_for(waiter, 10)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("UPDATE media SET description = 'new'", lambda m, r, a, t: m.description == "new"),
        ("UPDATE attempts SET reason = 'new'", lambda m, r, a, t: t.reason == "new"),
        ("UPDATE analyses SET pending_reason = 'new'", lambda m, r, a, t: a.pending_reason == "new"),
    ],
)
async def test_what_changed_while_one_waited_for_the_lock_is_seen(
    stores: Stores, change: str, seen: Callable[..., bool]
) -> None:
    media = await stores.frozen(await stores.user(), "A")
    attempt = (await stores.start(media.run_id))["A"]

    async def look(session: AsyncSession) -> bool:
        found = await lock_attempt(session, attempt)
        return seen(found.media, found.run, found.analysis, found.attempt)

    assert await _while_held(stores, change, lambda: stores.database.transaction(look)) is True


async def test_a_run_that_was_deleted_while_one_waited_is_not_found(stores: Stores) -> None:
    media = await stores.frozen(await stores.user(), "A")
    attempt = (await stores.start(media.run_id))["A"]
    for lock in (lambda s: lock_attempt(s, attempt), lambda s: lock_run(s, media.run_id)):
        with pytest.raises(NotFound):
            await _while_held(stores, "DELETE FROM media", lambda: stores.database.transaction(lock))  # noqa: B023


async def _while_held(stores: Stores, change: str, act: Callable[[], Awaitable[object]]) -> object:
    """Make a change, let `act` run into it, then commit; returns what `act` returned."""
    async with AsyncSession(stores.database.engine) as holder:
        await holder.execute(text("SELECT 1 FROM media FOR UPDATE"))
        await holder.execute(text(change))
        waiter = asyncio.ensure_future(act())
        await asyncio.sleep(0.3)
        await holder.commit()
    return await asyncio.wait_for(waiter, 10)


async def test_an_upload_under_a_quota_does_not_lock_out_whoever_tells_the_same_user_something(stores: Stores) -> None:
    user = await stores.user()
    await stores.upload(user)
    new = NewMedia(new_id(), new_id(), user, "b.png", None, "images/b.png", 10, "ab" * 32, PROBE)
    async with AsyncSession(stores.database.engine) as teller:
        await teller.execute(text("UPDATE event_counters SET last_seq = last_seq + 1 RETURNING last_seq"))
        uploading = asyncio.create_task(stores.media.accept(new, Quota(media=10)))
        await _until_it_waits(stores)  # for the counter, with the user's row in its hands
        await teller.execute(text("SET LOCAL lock_timeout = '300ms'"))
        await teller.execute(
            text(
                "INSERT INTO events (id, user_id, seq, type, payload) "
                "SELECT gen_random_uuid(), id, 2, 'RUN_QUEUED', '{}' FROM users"
            )
        )
        await teller.commit()
    assert (await asyncio.wait_for(uploading, 10)).seq == 3


async def test_i15_places_are_counted_by_one_at_a_time_even_while_one_has_counted_and_not_taken(stores: Stores) -> None:
    caps = Caps(total=1, per_user=9, per_model=9, of_model={})
    older, younger = await stores.upload(await stores.user()), await stores.frozen(await stores.user(), "A")
    async with AsyncSession(stores.database.engine) as holder:
        await holder.execute(text("SELECT 1 FROM analyses FOR UPDATE"))
        first = asyncio.create_task(stores.start(younger.run_id, caps))
        await _until_it_waits(stores)
        await stores.runs.freeze(older.run_id, [FrozenModel("A", "1", "s", "service", 3)])  # it would go first now
        second = asyncio.create_task(stores.start(older.run_id, caps))
        await _until_it_waits(stores, 2, unless=second)
        await holder.rollback()
    started = await asyncio.wait_for(asyncio.gather(first, second), 10)
    assert sorted(map(len, started)) == [0, 1]
