"""Cancel and delete in the middle of something: each ends as it should. `test_twos_soak` tries all wishes at all states."""

from __future__ import annotations

from pathlib import Path

import pytest
from twins import audited, twins_over
from wishes import try_all
from witness import assert_clean

from drishtiksha_devcluster.ephemeral import ThrowawayCluster
from drishtiksha_operator import attempts

pytestmark = pytest.mark.long

FEW = ("cancel", "kubectl", "delete")
IN_THE_MIDDLE = (
    "being dispatched",
    "waiting for a place",
    "Jobs being made",
    "artifact being put",
    "result being stored",
    "all done, not concluded",
)


@pytest.mark.parametrize("at", IN_THE_MIDDLE)
async def test_i10_i7_cancel_and_delete_in_the_middle_of_something_end_as_they_should(
    database_url: str,
    redis_url: str,
    cluster: ThrowawayCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
) -> None:
    monkeypatch.setattr(
        attempts, "retry_delay", lambda _number, _jitter: 3600.0
    )  # until their time is said to have come
    async with twins_over(database_url, redis_url, cluster, tmp_path / "objects") as twins:
        wrong, _right = await try_all(twins, at, FEW)
        assert wrong == []
        assert_clean(audited(twins, database_url))
