"""The double beside the real control plane, and the ledger of what the suites here have counted (figures, topic `double`)."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from kubernetes_double import KubernetesDouble

from drishtiksha_devcluster.ephemeral import ThrowawayCluster, throwaway_cluster

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("claims")


@pytest.fixture(scope="session")
def cluster() -> Iterator[ThrowawayCluster]:
    """A real control plane with our namespace, resource and rights in it; no nodes."""
    with throwaway_cluster() as running:
        yield running


@pytest.fixture
async def double(tmp_path: Path) -> AsyncIterator[KubernetesDouble]:
    async with KubernetesDouble(tmp_path / "double") as made:
        yield made
