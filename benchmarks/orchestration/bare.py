"""The bare side: the Jobs that the operator would make, with their Secrets prepared, created by hand.

The manifests are the operator's own, without an owner; the runner in them is the same, its door and model a stub.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Any

from drishtiksha.resources import job_name
from drishtiksha_devcluster.node.client import KubeClient
from drishtiksha_operator import manifests
from drishtiksha_operator.config import Profile
from drishtiksha_operator.manifests import Owner, Place, Work

from .cluster import JobEnds
from .stub import MODELS

CONCURRENCY = 20
"""Creates under way at a time, as DRISHTIKSHA_CREATE_CONCURRENCY has it."""


@dataclass(frozen=True)
class Prepared:
    """The bodies of one round."""

    jobs: tuple[dict[str, Any], ...]
    secrets: tuple[dict[str, Any], ...]


def prepare(runs: int, namespace: str, stub_url: str) -> Prepared:
    """Jobs and Secrets of this many runs of three models each. Pure but for new ids."""
    place = Place(namespace, stub_url, "drishtiksha/jobrunner", 600.0)
    jobs, secrets = [], []
    for _ in range(runs):
        run, owner = str(uuid.uuid4()), Owner("none", str(uuid.uuid4()))
        data = {}
        for model in MODELS:
            data[manifests.token_key(model, 1)] = f"{model}.{run}"
            data[manifests.ml_key(model)] = "bench"
            work = Work(
                run_id=run,
                analysis_id=run,
                model=model,
                attempt=1,
                profile=Profile(),
                pending_deadline=3600.0,
                running_deadline=1800.0,
                server_url=stub_url,
            )
            jobs.append(_ownerless(manifests.job(work, owner, place)))
            assert jobs[-1]["metadata"]["name"] == job_name(run, model, 1)
        secrets.append(_ownerless(manifests.secret(run, owner, place, data)))
    return Prepared(tuple(jobs), tuple(secrets))


async def post_secrets(client: KubeClient, prepared: Prepared, namespace: str) -> None:
    """Create the Secrets; not part of what is measured."""
    path = f"/api/v1/namespaces/{namespace}/secrets"
    await _all(client, path, prepared.secrets)


async def run(client: KubeClient, prepared: Prepared, namespace: str, seconds: float) -> dict[str, float]:
    """Create all Jobs, wait for their ends; when it began and when the last was seen Complete. Raises Unfinished."""
    async with JobEnds(client, namespace) as ends:
        began = time.time()
        await _all(client, f"/apis/batch/v1/namespaces/{namespace}/jobs", prepared.jobs)
        created = time.time()
        last = await ends.wait(len(prepared.jobs), seconds)
    return {"began": began, "created": created - began, "jobs_complete": last - began, "makespan": last - began}


async def _all(client: KubeClient, path: str, bodies: tuple[dict[str, Any], ...]) -> None:
    places = asyncio.Semaphore(CONCURRENCY)

    async def post(body: dict[str, Any]) -> None:
        async with places:
            await client.create(path, body)

    await asyncio.gather(*map(post, bodies))


def _ownerless(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "metadata": {k: v for k, v in body["metadata"].items() if k != "ownerReferences"}}
