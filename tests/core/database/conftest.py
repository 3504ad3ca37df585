"""Stores over a migrated database of this test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from stores import Stores, open_stores


@pytest.fixture
async def stores(database_url: str) -> AsyncIterator[Stores]:
    opened = open_stores(database_url)
    yield opened
    await opened.database.close()
