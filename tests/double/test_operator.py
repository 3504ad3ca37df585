"""I14 on the operator's process: whatever befalls the events that Kopf hears, every play ends as it does in good weather."""

from __future__ import annotations

from pathlib import Path

import pytest
from kubernetes_double import Schedule
from kubernetes_double.faults import EVENT, STREAM, Fault, weather
from ledger import Ledger
from operators import company
from stores import Stores

pytestmark = pytest.mark.long


@pytest.mark.timeout(900)
async def test_i14_no_event_that_is_lost_late_or_repeated_changes_how_a_play_ends(
    stores: Stores, database_url: str, redis_url: str, tmp_path: Path, ledger: Ledger
) -> None:
    async with company(stores, database_url, redis_url, tmp_path) as house:
        fair = await house.play(Schedule())
        assert fair.wrong == []
        worst = [Fault(kind, chance=0.15, seconds=0.3) for kind in (*EVENT, *STREAM)]
        ended = await house.play(Schedule(worst, seed=1), 1)
        ledger.ended("process", ended, alike=ended.ends == fair.ends)
        assert ended.wrong == []
        assert ended.ends == fair.ends
        assert len(ended.injected) >= 5
        deaf = await house.play(Schedule([Fault("drop", chance=1.0)]), 2, storm=90.0)
        ledger.ended("process", deaf, alike=deaf.ends == fair.ends)
        assert deaf.wrong == []
        assert deaf.ends == fair.ends
        assert deaf.in_storm, "no event is ever heard: only the sweep can have brought it to its end"


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(0, 40, 10))
async def test_i14_forty_storms_of_events_and_calls_change_nothing(
    stores: Stores, database_url: str, redis_url: str, tmp_path: Path, ledger: Ledger, first: int
) -> None:
    async with company(stores, database_url, redis_url, tmp_path) as house:
        fair = await house.play(Schedule())
        assert fair.wrong == []
        for seed in range(2000 + first, 2010 + first):
            ended = await house.play(weather(seed), seed)
            ledger.ended("process", ended, alike=ended.ends == fair.ends)
            assert ended.wrong == [], f"seed {seed}, {house.double.weather.faults}"
            assert ended.ends == fair.ends, f"seed {seed}, {house.double.weather.faults}"
        ledger.restarts += house.restarts
