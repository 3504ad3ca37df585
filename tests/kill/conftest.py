"""The kill matrix is a package beside its tests; one control plane without nodes serves all of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drishtiksha_devcluster.ephemeral import ThrowawayCluster, throwaway_cluster

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def cluster() -> Iterator[ThrowawayCluster]:
    """A real control plane with our resource in it; no nodes."""
    with throwaway_cluster() as running:
        yield running
