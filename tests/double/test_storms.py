"""I11, I12, I13 on the story: whatever befalls its calls to Kubernetes, every play ends as it does in good weather."""

from __future__ import annotations

import pytest
from kubernetes_double import Schedule
from kubernetes_double.faults import AFTER, BEFORE, READING, weather
from ledger import Ledger
from storms import Ended, Theatre

REQUESTS = (*BEFORE, *AFTER, *READING)


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


async def test_i12_no_storm_of_lost_and_late_answers_changes_how_a_play_ends(house: Theatre, ledger: Ledger) -> None:
    await _storms(house, ledger, range(2))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(0, 200, 10))
async def test_i12_two_hundred_storms_change_nothing(house: Theatre, ledger: Ledger, first: int) -> None:
    await _storms(house, ledger, range(1000 + first, 1010 + first))
