"""The platform's side: people who upload, or ask for one more run, over REST; the rows say when it is over."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

from drishtiksha_devcluster.node.client import KubeClient

from .cluster import JobEnds, Unfinished
from .stub import MODELS


@dataclass
class Person:
    """Somebody with a token, and what he or she has uploaded."""

    http: httpx.AsyncClient
    token: str
    media: list[str] = field(default_factory=list)

    async def upload(self, content: bytes) -> str:
        """Upload one picture; returns the media's id."""
        answer = await self.http.post("/media", files={"file": ("picture.png", content, "image/png")})
        media = str(_data(answer, 202)["id"])
        self.media.append(media)
        return media

    async def rerun(self, media: str) -> None:
        """Ask for one more run."""
        _data(await self.http.post(f"/media/{media}/analyze"), 202)


async def sign_up(base_url: str, count: int) -> list[Person]:
    """New people, each with an HTTP client to be closed by `leave`."""
    people = []
    for _ in range(count):
        http = httpx.AsyncClient(base_url=base_url + "/api/v1", timeout=60)
        who = {
            "email": f"{uuid.uuid4().hex}@example.org",
            "password": "correct horse",
            "firstName": "A",
            "lastName": "B",
        }
        token = _data(await http.post("/auth/signup", json=who), 201)["token"]
        http.headers["Authorization"] = f"Bearer {token}"
        people.append(Person(http, token))
    return people


async def leave(people: Sequence[Person]) -> None:
    """Close the clients."""
    for person in people:
        await person.http.aclose()


@dataclass(frozen=True)
class Through:
    """One round through the platform needs these."""

    client: KubeClient
    namespace: str
    admin_url: str
    people: Sequence[Person]

    async def uploads(self, runs: int, content: bytes, seconds: float) -> dict[str, float]:
        """Each person uploads a share, one after the other; from the first byte to the last end. Raises Unfinished."""

        async def person(one: Person, share: int) -> None:
            for _ in range(share):
                await one.upload(content)

        shares = _shares(runs, len(self.people))
        work = [person(one, share) for one, share in zip(self.people, shares, strict=True)]
        return await self._round(work, runs, seconds)

    async def reruns(self, runs: int, seconds: float) -> dict[str, float]:
        """The same number of new runs of media that are there: the same way without an upload. Raises Unfinished."""

        async def person(one: Person, share: int) -> None:
            for media in one.media[-share:]:
                await one.rerun(media)

        shares = _shares(runs, len(self.people))
        work = [person(one, share) for one, share in zip(self.people, shares, strict=True) if share]
        return await self._round(work, runs, seconds)

    async def _round(self, work: Sequence[Any], runs: int, seconds: float) -> dict[str, float]:
        async with JobEnds(self.client, self.namespace) as ends:
            began = time.time()
            await asyncio.gather(*work)
            accepted = time.time()
            concluded = await _concluded(self.admin_url, began, runs, seconds)
            complete = await ends.wait(runs * len(MODELS), seconds)
        return {
            "began": began,
            "accepted": accepted - began,
            "concluded": concluded - began,
            "jobs_complete": complete - began,
            "makespan": max(concluded, complete) - began,
        }


async def _concluded(url: str, since: float, runs: int, seconds: float) -> float:
    """When the last of the runs that began since then was concluded (Unix seconds, by the rows). Raises Unfinished."""
    query = b"""
        SELECT count(*), count(*) FILTER (WHERE status = 'ANALYZED'), count(*) FILTER (WHERE finished_at IS NOT NULL),
               extract(epoch FROM max(finished_at))::float8
        FROM analysis_runs WHERE created_at >= to_timestamp(%s)
    """
    end = time.monotonic() + seconds
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            found = await (await connection.execute(query, (since,))).fetchone()
            assert found is not None
            there, good, final, last = found
            if final >= runs:
                break
            if time.monotonic() > end:
                raise Unfinished(f"{final} of {runs} runs were final after {seconds:.0f} s")
            await asyncio.sleep(0.25)
    if there != runs or good != runs:
        raise Unfinished(f"{good} of {there} runs were ANALYZED; {runs} were wanted")
    return float(last)


def _shares(total: int, people: int) -> list[int]:
    return [total // people + (n < total % people) for n in range(people)]


def _data(answer: httpx.Response, status: int) -> Any:
    if answer.status_code != status:
        raise Unfinished(f"{answer.request.url} answered {answer.status_code}: {answer.text[:300]}")
    return answer.json()["data"]
