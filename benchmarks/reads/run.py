"""`python benchmarks/reads/run.py`: fill a throwaway PostgreSQL, ask the api, print each answer beside its bare queries.

The api runs in this process and is asked without a socket. Everything is thrown away at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
from starlette.types import ASGIApp

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from drishtiksha.bus import Bus  # noqa: E402
from drishtiksha.database.media import Quota  # noqa: E402
from drishtiksha.database.session import Database  # noqa: E402
from drishtiksha.objects.local import LocalObjects  # noqa: E402
from drishtiksha.settings import sqlalchemy_url  # noqa: E402
from drishtiksha.signing import SigningKeys  # noqa: E402
from drishtiksha_api import app  # noqa: E402
from drishtiksha_api.neighbours import Neighbours  # noqa: E402
from drishtiksha_api.tokens import Tokens  # noqa: E402
from drishtiksha_devcluster.postgres import throwaway_postgres  # noqa: E402
from drishtiksha_devcluster.valkey import throwaway_valkey  # noqa: E402
from reads import asks, rows  # noqa: E402  found through the line above


def main() -> None:
    """Parse the words, do what they say; exit code 1 when an answer takes longer than it may."""
    parser = argparse.ArgumentParser(prog="benchmarks/reads/run.py", description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=int, default=100_000, help="media in the database (default 100,000)")
    parser.add_argument("--rounds", type=int, default=40, help="times that each path is asked (default 40)")
    words = parser.parse_args()
    with throwaway_postgres() as url, throwaway_valkey() as redis_url, tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "drishtiksha.database.migrate"], check=True, env={"DATABASE_URL": url})
        found = asyncio.run(_ask(url, redis_url, Path(folder), words.media, words.rounds))
    print(f"{'':34}{'answer':>9}{'queries':>9}{'ratio':>7}{'limit':>7}  statements, bytes")
    for one in found:
        figures = f"{one.request:7.1f}ms{one.bare:7.1f}ms{one.ratio:7.2f}{one.limit:7.1f}"
        print(f"{one.name:34}{figures}  {one.statements}, {one.size}{'' if one.held else '  MISSED'}")
    sys.exit(0 if all(one.held for one in found) else 1)


async def _ask(url: str, redis_url: str, folder: Path, media: int, rounds: int) -> list[asks.Measured]:
    async with _api(url, redis_url, folder) as (api, database):
        new = {"email": "owner@example.org", "password": "correct horse", "firstName": "A", "lastName": "L"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://api") as client:
            said = (await client.post("/api/v1/auth/signup", json=new)).json()["data"]
        print(f"filling {media} media", flush=True)
        await asyncio.to_thread(rows.fill, url, said["user"]["id"], media)
        film = (await asyncio.to_thread(rows.films, url, said["user"]["id"]))[0]
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as bare:
            return [await asks.measure(ask, api, said["token"], database, bare, rounds) for ask in _asks(film)]


def _asks(film: str) -> list[asks.Ask]:
    frames = f"/api/v1/media/{film}/frames"
    return [
        asks.Ask("a profile: what any request costs", "/api/v1/auth/profile", float("inf")),
        asks.Ask("list of 50", "/api/v1/media?limit=50", 3),
        asks.Ask("list of 50, summary", "/api/v1/media?limit=50&view=summary", 3),
        asks.Ask("list of 50 by file name", "/api/v1/media?limit=50&sort=filename", 3),
        asks.Ask("list of 50 by size", "/api/v1/media?limit=50&sort=size", 3),
        asks.Ask("list of 50 with verdict FAKE", "/api/v1/media?limit=50&verdict=FAKE", 3),
        asks.Ask("list of 50 with 'about 9' in it", "/api/v1/media?limit=50&q=about%209", 3),
        asks.Ask("a film in full", f"/api/v1/media/{film}", 3),
        asks.Ask("its runs", f"/api/v1/media/{film}/runs", 3),
        asks.Ask("1,000 frames", frames, 2),
        asks.Ask("2,000 frames", f"{frames}?limit=10000", 2),
        asks.Ask("frames FAKE above 0.9", f"{frames}?prediction=FAKE&minScore=0.9", 2),
    ]


@asynccontextmanager
async def _api(url: str, redis_url: str, folder: Path) -> AsyncIterator[tuple[ASGIApp, Database]]:
    around = Neighbours(
        database=Database(sqlalchemy_url(url), pool_size=5, statement_timeout=60),
        bus=Bus(redis_url),
        objects=LocalObjects(folder),
        keys=SigningKeys("k1:" + "k" * 40),
        url_lifetime=3600.0,
    )
    nobody: Any = None  # no cluster: nothing is uploaded
    options = app.Options("http://api", [], 1000, Quota(), None, None, "media-progress-events")
    yield app.build(around, nobody, Tokens("s" * 40, 3600), options).asgi, around.database
    await around.close()


if __name__ == "__main__":
    main()
