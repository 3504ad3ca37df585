"""The nodes, played: pods end because their status is written, and the real Job controller draws its conclusions."""

from __future__ import annotations

import asyncio
import uuid

from stores import result

from drishtiksha.domain.analysis import attempt_id
from drishtiksha.domain.errors import EXIT_CODES, ErrorClass, Fenced
from drishtiksha.domain.status import AttemptState
from drishtiksha.kube import KubeNotFound, Object
from drishtiksha.resources import LABEL_ANALYSIS, LABEL_ATTEMPT
from drishtiksha_operator.seen import has_ended

from .house import On

PATIENCE = 60.0
"""Seconds for the Job controller of a busy machine."""
KILLED = 137


async def jobs(on: On) -> list[Object]:
    """All Jobs of the place."""
    return await on.kube.list(f"/apis/batch/v1/namespaces/{on.place.namespace}/jobs")


async def end_pod(on: On, job: str, code: int) -> None:
    """Write the end of a Job's pod, as a kubelet would; a Job that is being deleted has none."""
    path = f"/api/v1/namespaces/{on.place.namespace}/pods"
    async with asyncio.timeout(PATIENCE):
        while not (found := await on.kube.list(path, labels=f"batch.kubernetes.io/job-name={job}")):
            if not any(
                j["metadata"]["name"] == job and "deletionTimestamp" not in j["metadata"] for j in await jobs(on)
            ):
                return
            await asyncio.sleep(0.05)
    pod = found[0]["metadata"]
    ended = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "startedAt": pod["creationTimestamp"]}
    container = {"name": "runner", "image": "i", "imageID": "i", "ready": False, "restartCount": 0}
    status = {
        "phase": "Succeeded" if code == 0 else "Failed",
        "containerStatuses": [{**container, "state": {"terminated": ended}}],
    }
    try:
        await on.kube.merge(f"{path}/{pod['name']}/status", {"status": status})
    except KubeNotFound:
        return


async def ended(on: On, *names: str) -> None:
    """Wait until each of these Jobs has its final condition, or is going."""
    async with asyncio.timeout(PATIENCE):
        while any(j["metadata"]["name"] in names and not _over(j) for j in await jobs(on)):
            await asyncio.sleep(0.1)


async def end_job(on: On, job: str, code: int) -> None:
    """A pod's end, seen by the Job controller."""
    await end_pod(on, job, code)
    await ended(on, job)


async def work(on: On) -> bool:
    """Every pod that lives does its work to its end: hands in a result if it may, and exits. False: there was none."""
    living = [job for job in await jobs(on) if not _over(job)]
    for job in living:
        labels = job["metadata"]["labels"]
        attempt = attempt_id(uuid.UUID(labels[LABEL_ANALYSIS]), int(labels[LABEL_ATTEMPT]))
        await end_pod(on, job["metadata"]["name"], await _examine(on, attempt))
    await ended(on, *(job["metadata"]["name"] for job in living))
    return bool(living)


async def _examine(on: On, attempt: uuid.UUID) -> int:
    """What a runner does that was waiting for its model all the time; its exit code."""
    asked = """
        SELECT attempts.state, attempts.error_class, model FROM attempts JOIN analyses ON analyses.id = analysis_id
        WHERE attempts.id = :attempt
    """
    rows = await on.sql(asked, attempt=attempt)
    if not rows:  # its media was erased
        return EXIT_CODES[ErrorClass.CANCELLED]
    state, error, model = rows[0]
    if state == AttemptState.FAILED:
        return EXIT_CODES.get(ErrorClass(error), EXIT_CODES[ErrorClass.INTERNAL])
    if state == AttemptState.SUCCEEDED:
        return 0
    try:
        await on.results.begin(attempt)
        await on.results.store(attempt, result(model))
    except Fenced:
        return EXIT_CODES[ErrorClass.CANCELLED]
    return 0


def _over(job: Object) -> bool:
    return has_ended(job) or "deletionTimestamp" in job["metadata"]
