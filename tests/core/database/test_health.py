"""The history of looks at the ML service, and what ended in a period, on a real database."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from stores import Stores, result

from drishtiksha.database import health
from drishtiksha.database.counts import Counts, Outcome
from drishtiksha.database.health import Health, HealthHistory, HealthLook
from drishtiksha.domain.errors import ErrorClass

WELL = HealthLook(Health.HEALTHY, 12.5, "3.0", None, {"version": "3.0", "my_Key": 1})
AWAY = HealthLook(Health.UNHEALTHY, error="The ML service does not answer.")


async def older(stores: Stores, interval: str) -> None:
    """Time passes."""
    async with stores.database.engine.begin() as connection:
        await connection.execute(text(f"UPDATE server_health SET checked_at = checked_at - interval '{interval}'"))


async def test_many_replicas_that_look_at_once_write_one_row_in_ten_seconds(stores: Stores) -> None:
    history = HealthHistory(stores.database)
    for _ in range(3):
        assert sum(await asyncio.gather(*(history.note(WELL) for _ in range(12)))) == 1
        await older(stores, "9 seconds")
        assert not await history.note(AWAY)
        await older(stores, "2 seconds")
    assert len(await history.recent(100)) == 3
    age = await history.age()
    assert age is not None
    assert 11 <= age < 60


async def test_the_newest_look_comes_first_and_a_month_later_it_is_gone(stores: Stores) -> None:
    history = HealthHistory(stores.database)
    assert (await history.recent(5), await history.age()) == ([], None)
    await history.note(WELL)
    await older(stores, "29 days 23 hours")
    await history.note(AWAY)
    assert [past.look for past in await history.recent(5)] == [AWAY, WELL]
    assert [past.look for past in await history.recent(1)] == [AWAY]
    assert await history.forget() == 0
    await older(stores, "2 hours")
    assert await history.forget() == 1
    assert [past.look for past in await history.recent(5)] == [AWAY]


async def test_i15_old_payloads_are_left_out_of_an_answer_that_would_be_too_long(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MAX_PAYLOADS", 250)
    history = HealthHistory(stores.database)
    for _ in range(3):
        await history.note(HealthLook(Health.HEALTHY, stats={"told": "x" * 88}))  # 100 characters
        await older(stores, "11 seconds")
    assert [past.look.stats is None for past in await history.recent(3)] == [False, False, True]


async def test_what_ended_in_a_period_is_counted_by_model(stores: Stores) -> None:
    names = ("A", "b_2.X", "C")
    media = await stores.frozen(await stores.user(), *names)
    started = await stores.start(media.run_id)
    await stores.results.store(started["A"], result("A", processingTime=3.0))
    await stores.results.store(started["b_2.X"], result("b_2.X", processingTime=1.0))
    await stores.results.failed(started["C"], ErrorClass.BAD_MEDIA, "no picture", None)
    counts = Counts(stores.database)
    seen = await counts.outcomes(1)
    assert seen.models == {"A": Outcome(1, 0, 1, 3.0), "b_2.X": Outcome(1, 0, 1, 1.0), "C": Outcome(0, 1, 0, 0.0)}
    assert (seen.end - seen.start).total_seconds() == 3600
    async with stores.database.engine.begin() as connection:
        await connection.execute(text("SET session_replication_role = replica"))  # the guards keep what is final
        await connection.execute(text("UPDATE analyses SET finished_at = now() - interval '2 hours' WHERE model = 'A'"))
    assert set((await counts.outcomes(1)).models) == {"b_2.X", "C"}
    assert set((await counts.outcomes(24)).models) == set(names)


async def test_a_period_is_counted_from_its_index_alone(stores: Stores) -> None:
    async with stores.database.engine.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await connection.execute(
            text(
                "EXPLAIN SELECT model, count(*) FILTER (WHERE status = 'COMPLETED'), sum(processing_time)"
                " FROM analyses WHERE finished_at > now() - interval '1 hour' AND finished_at <= now() GROUP BY model"
            )
        )
        assert "Index Only Scan using ix_analyses_finished_at" in "\n".join(plan.scalars())
