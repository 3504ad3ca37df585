"""Every external call × every way to go wrong: the story ends as it would have, or its caller was told honestly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from seam_faults.house import Ground
from seam_faults.points import points, tell
from seam_faults.stories import STORIES

from drishtiksha.kube import Kube
from drishtiksha.kubeconfig import from_file
from drishtiksha_devcluster.ephemeral import ThrowawayCluster


@pytest.fixture
async def ground(cluster: ThrowawayCluster, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    async with Kube(from_file(cluster.kubeconfig("admin"))) as admin:
        yield Ground(cluster, database_url, redis_url, tmp_path, admin)


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_without_a_fault(ground: Ground, name: str) -> None:
    told = await tell(ground, name)
    print(told.outcome, told.exit_codes, len(told.calls), len(points(name, told.calls)))
