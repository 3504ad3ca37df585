"""Neighbours of the operator's tests; the harness itself is `operator_stage` in tests/support."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from operator_stage import Stage, stage_over
from stores import Stores, open_stores

from drishtiksha_devcluster.ephemeral import ThrowawayCluster, throwaway_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[ThrowawayCluster]:
    """A real control plane with our namespace, resource and rights in it; no nodes."""
    with throwaway_cluster() as running:
        yield running


@pytest.fixture
async def stores(database_url: str) -> AsyncIterator[Stores]:
    opened = open_stores(database_url)
    yield opened
    await opened.database.close()


@pytest.fixture
async def stage(stores: Stores, cluster: ThrowawayCluster) -> AsyncIterator[Stage]:
    async with stage_over(stores, cluster) as made:
        yield made
