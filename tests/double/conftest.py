"""The double beside the real control plane, and the ledger of what the suites here count (figures, topic `double`)."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("claims")

from ledger import Ledger  # noqa: E402
from stores import Stores, open_stores  # noqa: E402
from storms import Theatre, theatre  # noqa: E402

from drishtiksha_api import dispatcher  # noqa: E402
from drishtiksha_devcluster.ephemeral import ThrowawayCluster, throwaway_cluster  # noqa: E402


@pytest.fixture(scope="session")
def cluster() -> Iterator[ThrowawayCluster]:
    """A real control plane with our namespace, resource and rights in it; no nodes."""
    with throwaway_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def ledger() -> Iterator[Ledger]:
    kept = Ledger()
    yield kept
    kept.write()


@pytest.fixture
async def stores(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stores]:
    monkeypatch.setattr(dispatcher, "TOMBSTONE_SECONDS", dispatcher.TOMBSTONE_SECONDS)  # plays set it
    opened = open_stores(database_url)
    yield opened
    await opened.database.close()


@pytest.fixture
async def house(stores: Stores, tmp_path: Path) -> AsyncIterator[Theatre]:
    async with theatre(stores, tmp_path) as made:
        yield made
