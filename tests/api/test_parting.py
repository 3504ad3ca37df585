"""A process that is told to stop answers at once whoever only waits, and ends cleanly."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx
from api_samples import picture
from test_library import MEDIA
from test_process import environment, free_port, started, until_answered


async def test_sigterm_answers_who_waits_and_ends_the_streams(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    port = free_port()
    settings = {"PORT": str(port), "DRISHTIKSHA_METRICS_PORT": str(free_port())}
    env = environment(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url, **settings)
    url = f"http://127.0.0.1:{port}"
    with started("serve", env, tmp_path, log=tmp_path / "api.log") as process:
        until_answered(f"{url}/healthz")
        async with httpx.AsyncClient(base_url=url, timeout=90) as client:
            new = {"email": "ada@example.org", "password": "correct horse", "firstName": "A", "lastName": "L"}
            token = (await client.post("/api/v1/auth/signup", json=new)).json()["data"]["token"]
            client.headers["Authorization"] = f"Bearer {token}"
            media = (await client.post(MEDIA, files={"file": ("a.png", picture("PNG"))})).json()["data"]
            waits = asyncio.create_task(client.get(f"{MEDIA}/{media['id']}?wait=60"))
            events = f"{MEDIA}/{media['id']}/events"
            async with client.stream("GET", events, headers={"Accept": "text/event-stream"}) as stream:
                lines = stream.aiter_lines()
                while not (await anext(lines)).startswith("id: 1"):
                    pass
                await asyncio.sleep(0.5)
                assert not waits.done()
                process.send_signal(signal.SIGTERM)
                # Whoever is still held when the grace is over is cut, and httpx raises: an answer has no end.
                rest = [line async for line in lines]
                answer = await waits
        assert (answer.status_code, answer.json()["data"]["status"]) == (200, "QUEUED")
        assert rest[-1] == ""
        assert await asyncio.to_thread(process.wait, 30) == 0
