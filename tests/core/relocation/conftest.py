"""A platform to move, and the S3 server that it may move to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from s3_server import S3Server, throwaway_s3
from stored_platform import Platform
from stores import open_stores

from drishtiksha.objects.local import LocalObjects


@pytest.fixture
async def platform(database_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    opened = Platform(open_stores(database_url), LocalObjects(tmp_path / "objects"), database_url)
    yield opened
    await opened.stores.database.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with throwaway_s3() as server:
        yield server
