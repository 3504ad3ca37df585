"""One throwaway control plane for all tests of the one-machine cluster that only ask it something."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drishtiksha_devcluster.ephemeral import ThrowawayCluster, throwaway_cluster


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[ThrowawayCluster]:
    """A real control plane with our namespace, resource and rights in it; no nodes."""
    with throwaway_cluster() as running:
        yield running
