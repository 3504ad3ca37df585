"""Many interleavings of two of everything, and every wish at every state: the figures of the topic "twos"."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from figures import Claim, record
from run_states import STATES
from twins import audited, twins_over
from twins_at_work import CAPS, LATE, counted, work
from wishes import WISHES, collected, try_all
from witness import assert_clean

from drishtiksha_devcluster.ephemeral import ThrowawayCluster
from drishtiksha_operator import attempts

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

SEEDS = 3
RUNS = int(os.environ.get("DRISHTIKSHA_TWOS_RUNS", "8"))
"""Per interleaving."""


@pytest.fixture(scope="module")
def shown() -> Iterator[Counter[str]]:
    """What all tests here have shown together; written as figures when every one of them has ended."""
    total: Counter[str] = Counter()
    yield total
    if (total["interleavings"], total["states"]) == (SEEDS, len(STATES)):
        _figures(total)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_i11_many_interleavings_of_two_of_everything(
    database_url: str,
    redis_url: str,
    cluster: ThrowawayCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    shown: Counter[str],
) -> None:
    monkeypatch.setattr(attempts, "retry_delay", lambda _number, _jitter: 0.0)
    async with twins_over(
        database_url, redis_url, cluster, tmp_path / "objects", seed=seed, late=LATE, **CAPS
    ) as twins:
        runs, seen = await work(twins, RUNS)
        wrong = await counted(twins, runs, seen)
        shown["violations"] += len(wrong)
        assert wrong == []
        assert_clean(audited(twins, database_url))
        shown["interleavings"] += 1
        shown["runs"] += len(runs)
        shown["looks"] += seen.looks
        shown["jobs"] += len(await twins.jobs())
        shown["places"] = max(shown["places"], seen.most["in all"])
        shown["deadlocks"] += await twins.deadlocks()
        shown["doubles"] += seen.doubles.total()
        shown["late"] += sum(n for what, n in twins.said.items() if what.endswith(" FENCED"))


@pytest.mark.parametrize("at", STATES)
async def test_i10_i7_every_wish_ends_as_it_should_at_every_state(
    database_url: str,
    redis_url: str,
    cluster: ThrowawayCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    shown: Counter[str],
) -> None:
    monkeypatch.setattr(attempts, "retry_delay", lambda _number, _jitter: 3600.0)
    async with twins_over(database_url, redis_url, cluster, tmp_path / "objects") as twins:
        wrong, right = await try_all(twins, at, tuple(WISHES))
        shown["tried"] += len(WISHES)
        shown["right"] += right
        assert wrong == []
        assert_clean(audited(twins, database_url))
        assert await collected(twins) == []
        shown["states"] += 1


def _figures(total: Counter[str]) -> None:
    worked = f"{total['runs']} runs by 2 operators, 4 dispatchers and 2 doors in {total['interleavings']} interleavings"
    record(
        "twos",
        "Two of everything, at the same runs",
        "DRISHTIKSHA_WRITE_FIGURES=1 make test-soak",
        [
            Claim(
                "one resource per run, one Secret, one Job per attempt, one RUN_COMPLETED, attempts within the budget",
                "0 violations",
                f"{total['violations']} violations: {worked}, {total['looks']} looks, {total['jobs']} Jobs",
                total["violations"] == 0,
                "an artifact put by both doors that leaves the bytes of one of them behind (seen by tests/operator/test_twos.py)",
            ),
            Claim(
                "places taken at a time",
                "at most 6",
                f"at most {total['places']}",
                total["places"] <= 6,
                "places counted without the advisory lock (seen by tests/core/database/test_locks.py)",
            ),
            Claim(
                "the same handed in at both doors at once (result, failure, both, artifact)",
                "stored once",
                f"{total['doubles']} times, stored once each; {total['late']} late calls refused as FENCED",
                total["doubles"] > 0 and total["violations"] == 0,
                "the fence opened in the door's verb for failures (seen by tests/operator/test_twos.py)",
            ),
            Claim(
                f"states of a run × wishes (cancel, kubectl delete, delete, rerun; alone, in turn, at once): {len(STATES)} × {len(WISHES)}",
                "all end as they should",
                f"{total['right']} of {total['tried']} tried",
                total["right"] == total["tried"],
                "a deletion of the resource by hand that is not taken for a cancellation (seen by tests/operator/test_wishes.py)",
            ),
            Claim(
                "deadlocks that PostgreSQL had to break up",
                "0",
                str(total["deadlocks"]),
                total["deadlocks"] == 0,
                "a user's row locked against references while her quota is counted (seen by tests/core/database/test_locks.py)",
            ),
        ],
        words=(
            "No nodes: runners are played through the doors, pods are ended by their status; PostgreSQL, the API server and its "
            "controllers are real. A Job or resource whose creation was under way when its media was deleted may still appear; it "
            "is gone when the tombstone is."
        ),
    )
