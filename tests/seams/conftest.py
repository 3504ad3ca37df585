"""The seams are a package beside their tests; the control plane and the databases are those of everybody."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drishtiksha_devcluster.ephemeral import ThrowawayCluster, throwaway_cluster

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def cluster() -> Iterator[ThrowawayCluster]:
    """A real control plane with our namespace, resource and rights in it; no nodes."""
    with throwaway_cluster() as running:
        yield running
