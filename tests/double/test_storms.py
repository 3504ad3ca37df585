"""I11, I12, I13 on the story: whatever befalls its calls to Kubernetes, every play ends as it does in good weather."""

from __future__ import annotations

import os

import pytest
from kubernetes_double import Fault, Schedule
from kubernetes_double.faults import AFTER, BEFORE, READING, weather
from ledger import Ledger
from storms import Ended, Theatre

pytestmark = pytest.mark.long

REQUESTS = (*BEFORE, *AFTER, *READING)
STORMS = int(os.environ.get("DRISHTIKSHA_TEST_STORMS") or 100)
"""Of the soak; each takes some seconds."""


async def _fair(house: Theatre) -> Ended:
    fair = await house.play(Schedule())
    assert fair.wrong == []
    shown = {name: (end["resource"] or ("gone",))[0] for name, end in fair.ends.items()}
    assert shown == {
        "all answer": "ANALYZED",
        "a pod dies once": "ANALYZED",
        "a media is refused": "PARTIALLY_ANALYZED",
        "nobody answers": "FAILED",
        "cancelled by REST": "PARTIALLY_ANALYZED",
        "cancelled by kubectl": "gone",
        "deleted": "gone",
        "its resource is lost": "ANALYZED",
    }
    return fair


async def _storms(house: Theatre, ledger: Ledger, seeds: range) -> None:
    fair = await _fair(house)
    for seed in seeds:
        ended = await house.play(weather(seed, kinds=REQUESTS), seed)
        ledger.ended("story", ended, alike=ended.ends == fair.ends)
        assert ended.wrong == [], f"seed {seed}, {house.double.weather.faults}"
        assert ended.ends == fair.ends, f"seed {seed}, {house.double.weather.faults}"


async def test_i11_when_the_first_answers_to_every_write_are_lost_nothing_is_made_twice_or_given_up(
    house: Theatre, ledger: Ledger
) -> None:
    fair = await _fair(house)
    lost = [
        Fault(kind, verb, resource, nth=number)
        for kind, verb, resource, calls in (
            ("lose", "create", "mediaanalyses", 12),
            ("cut-after", "create", "secrets", 24),
            ("cut-after", "create", "jobs", 48),
            ("torn", "patch", "mediaanalyses", 24),
            ("lose", "delete", "jobs", 3),
        )
        for number in range(1, calls + 1)
    ]
    ended = await house.play(Schedule(lost))
    ledger.ended("story", ended, alike=ended.ends == fair.ends)
    assert ended.injected.total() >= 80
    assert ended.wrong == []
    assert ended.ends == fair.ends


async def test_i12_no_storm_of_lost_and_late_answers_changes_how_a_play_ends(house: Theatre, ledger: Ledger) -> None:
    await _storms(house, ledger, range(1))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(0, STORMS, 10))
async def test_i12_a_hundred_storms_change_nothing(house: Theatre, ledger: Ledger, first: int) -> None:
    await _storms(house, ledger, range(1000 + first, 1010 + first))
