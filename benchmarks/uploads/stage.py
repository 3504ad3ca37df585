"""One api process over a throwaway PostgreSQL, Valkey and folder, and people who use it. Nothing of it is kept."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from api_process import ApiProcess

from drishtiksha_devcluster.postgres import throwaway_postgres
from drishtiksha_devcluster.valkey import throwaway_valkey

MIB = 1024 * 1024


@contextmanager
def api(folder: Path, largest: int) -> Iterator[ApiProcess]:
    """A running api that takes files of at most `largest` bytes; its objects lie below `folder`."""
    with throwaway_postgres() as url, throwaway_valkey() as redis_url, tempfile.TemporaryDirectory(dir=folder) as here:
        subprocess.run([sys.executable, "-m", "drishtiksha.database.migrate"], check=True, env={"DATABASE_URL": url})
        made = ApiProcess(Path(here), url, redis_url, settings={"MAX_UPLOAD_BYTES": str(largest)})
        made.start()
        try:
            yield made
        finally:
            made.stop()


def token(of: ApiProcess) -> str:
    """A new user's token."""
    new = {"email": f"{uuid.uuid4().hex}@example.org", "password": "correct horse", "firstName": "A", "lastName": "L"}
    answer = httpx.post(f"{of.url}/api/v1/auth/signup", json=new, timeout=120)
    answer.raise_for_status()
    said: str = answer.json()["data"]["token"]
    return said
