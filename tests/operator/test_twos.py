"""Two operators, four dispatchers and two doors leave behind what one of each would. `test_twos_soak` plays more of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from twins import audited, twins_over
from twins_at_work import CAPS, LATE, counted, work
from witness import assert_clean

from drishtiksha_devcluster.ephemeral import ThrowawayCluster
from drishtiksha_operator import attempts

pytestmark = pytest.mark.long


async def test_i11_two_of_everything_leave_behind_what_one_of_each_would(
    database_url: str, redis_url: str, cluster: ThrowawayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "retry_delay", lambda _number, _jitter: 0.0)
    async with twins_over(database_url, redis_url, cluster, tmp_path / "objects", seed=1, late=LATE, **CAPS) as twins:
        runs, seen = await work(twins, 3)
        assert await counted(twins, runs, seen) == []
        assert seen.most["in all"] > 1, "the caps were never approached"
        assert await twins.deadlocks() == 0
        assert_clean(audited(twins, database_url))
