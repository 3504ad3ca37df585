"""Claims about Jobs: one pod each, how their ends are told, and when. The end of a pod is written as a kubelet would."""

from __future__ import annotations

import uuid
from typing import Any

from drishtiksha import resources as r
from drishtiksha.kube import Object
from drishtiksha_operator import manifests
from drishtiksha_operator.config import Profile
from drishtiksha_operator.seen import has_ended, read_job, read_pod

from .server import JOBS, NAMESPACE, PODS, Api, refused

_PLACE = manifests.Place(NAMESPACE, "http://door", "drishtiksha/jobrunner", 600)


def _manifest(made: Object, owned_by: Object | None = None) -> Object:
    above = (owned_by or made)["metadata"]
    owner = manifests.Owner(above["name"], above["uid"])
    run = made["spec"]["runId"]
    return manifests.job(
        manifests.Work(run, str(uuid.uuid4()), "A", 1, Profile(), 600, 600, "http://ml"), owner, _PLACE
    )


async def _job(api: Api) -> tuple[Object, Object]:
    """A Job of a new run, and its pod."""
    made = await api.made()
    job = _manifest(made)
    await api.jobs.create(job)
    return job, await _pod(api, job)


async def _pods(api: Api, job: Object) -> list[Object]:
    return await api.kube.list(PODS, labels=f"batch.kubernetes.io/job-name={job['metadata']['name']}")


async def _pod(api: Api, job: Object) -> Object:
    (found,) = await api.until(lambda: _pods(api, job))
    return found


async def _end(api: Api, pod: Object, code: int, **more: Any) -> None:
    ended = {"exitCode": code, "reason": "Completed", "startedAt": pod["metadata"]["creationTimestamp"]}
    container = {"name": "runner", "image": "i", "imageID": "i", "ready": False, "restartCount": 0}
    status = {"phase": "Succeeded" if code == 0 else "Failed", **more}
    status["containerStatuses"] = [{**container, "state": {"terminated": ended}}]
    await api.kube.merge(f"{PODS}/{pod['metadata']['name']}/status", {"status": status})


async def _ended(api: Api, job: Object) -> Object:
    async def look() -> Object | None:
        found = await api.now(job, JOBS)
        return found if has_ended(found) else None

    return await api.until(look)


def _said(job: Object) -> dict[str, str]:
    return {c["type"]: c["reason"] for c in job.get("status", {}).get("conditions", []) if c["status"] == "True"}


async def a_job_gets_one_pod_that_names_it(api: Api) -> None:
    job, pod = await _job(api)
    there = await api.now(job, JOBS)
    owner = pod["metadata"]["ownerReferences"][0]
    assert (owner["uid"], owner["controller"]) == (there["metadata"]["uid"], True)
    assert read_pod(pod).job == job["metadata"]["name"]
    assert pod["metadata"]["labels"][r.LABEL_RUN] == job["metadata"]["labels"][r.LABEL_RUN]
    assert pod["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    assert read_pod(pod).phase == "Pending"


async def a_second_job_of_the_name_is_the_first(api: Api) -> None:
    job, _ = await _job(api)
    assert (await api.jobs.create(job)).uid == (await api.now(job, JOBS))["metadata"]["uid"]


async def a_job_of_our_name_and_another_owner_is_not_ours(api: Api) -> None:
    made, other = await api.made(), await api.made()
    await api.jobs.create(_manifest(made, owned_by=other))
    try:
        await api.jobs.create(_manifest(made))
    except r.NotOurs:
        return
    raise AssertionError("it was taken for ours")


async def the_operator_reads_its_jobs_by_run(api: Api) -> None:
    job, _ = await _job(api)
    run = job["metadata"]["labels"][r.LABEL_RUN]
    found = await api.jobs.of_run(run)
    assert list(found) == [job["metadata"]["name"]]
    assert not found[job["metadata"]["name"]].ended
    assert list(await api.jobs.pods_of_run(run)) == [job["metadata"]["name"]]


async def a_pod_that_succeeds_completes_its_job(api: Api) -> None:
    job, pod = await _job(api)
    await _end(api, pod, 0)
    ended = await _ended(api, job)
    assert _said(ended) == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
    assert read_job(ended).complete
    assert not read_job(ended).failed
    assert ended["status"]["succeeded"] == 1
    assert ended["status"]["completionTime"]


async def a_pod_that_fails_fails_its_job(api: Api) -> None:
    job, pod = await _job(api)
    await _end(api, pod, 1)
    ended = await _ended(api, job)
    assert _said(ended) == {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}
    assert read_job(ended).message == "Job has reached the specified backoff limit"
    assert ended["status"]["failed"] == 1


async def an_exit_code_of_the_policy_fails_the_job_by_it(api: Api) -> None:
    job, pod = await _job(api)
    code = job["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"][0]
    await _end(api, pod, code)
    ended = await _ended(api, job)
    assert _said(ended) == {"FailureTarget": "PodFailurePolicy", "Failed": "PodFailurePolicy"}
    told = f"Container runner for pod {NAMESPACE}/{pod['metadata']['name']} failed with exit code {code}"
    assert (read_job(ended).message or "").startswith(f"{told} matching FailJob rule at index 1")


async def the_end_is_seen_coming_before_it_is_there(api: Api) -> None:
    for code, early, final in ((0, "SuccessCriteriaMet", "Complete"), (1, "FailureTarget", "Failed")):
        job, pod = await _job(api)
        run = job["metadata"]["labels"][r.LABEL_RUN]
        start = await api.kube.get(JOBS, {"limit": "1"})
        since = start["metadata"]["resourceVersion"]
        async with api.follow(JOBS, labelSelector=f"{r.LABEL_RUN}={run}", resourceVersion=since) as stream:
            await _end(api, pod, code)
            seen = []
            while final not in (said := _said(found := (await stream.next())[1])):
                assert not read_job(found).ended
                seen.append(set(said))
        assert {early} in seen
        assert early in said


async def a_pod_that_was_disrupted_is_replaced_inside_its_job(api: Api) -> None:
    job, pod = await _job(api)
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "m"}
    await _end(api, pod, 137, conditions=[condition], reason="Evicted")

    async def both() -> list[Object] | None:
        found = await _pods(api, job)
        return found if len(found) == 2 else None

    await api.until(both)
    there = await api.now(job, JOBS)
    assert not _said(there)
    second = next(p for p in await _pods(api, job) if p["metadata"]["name"] != pod["metadata"]["name"])
    await _end(api, second, 0)
    assert read_job(await _ended(api, job)).complete


async def a_pod_that_has_ended_is_counted_and_let_go(api: Api) -> None:
    job, pod = await _job(api)
    await _end(api, pod, 0)
    await _ended(api, job)

    async def free() -> bool:
        return not (await api.now(pod, PODS))["metadata"].get("finalizers")

    await api.until(free)


async def a_deleted_job_takes_its_pod_with_it(api: Api) -> None:
    job, pod = await _job(api)
    await api.jobs.delete([job["metadata"]["name"]])
    await api.gone(f"{JOBS}/{job['metadata']['name']}")
    await api.gone(f"{PODS}/{pod['metadata']['name']}")


async def a_run_that_is_let_go_takes_jobs_and_pods_with_it(api: Api) -> None:
    job, pod = await _job(api)
    run = job["metadata"]["labels"][r.LABEL_RUN]
    await api.analyses.delete(run)
    await api.analyses.release(await api.kube.get(api.analyses.path(run)))
    await api.gone(f"{JOBS}/{job['metadata']['name']}")
    await api.gone(f"{PODS}/{pod['metadata']['name']}")


async def a_suspended_job_gets_no_pod(api: Api) -> None:
    made = await api.made()
    job = _manifest(made)
    job["spec"]["suspend"] = True
    await api.kube.create(JOBS, job)

    async def suspended() -> bool:
        return "Suspended" in _said(await api.now(job, JOBS))

    await api.until(suspended)
    assert await _pods(api, job) == []


async def a_job_without_containers_is_invalid(api: Api) -> None:
    job = _manifest(await api.made())
    del job["spec"]["template"]["spec"]["containers"]
    with refused(422, "Invalid", "containers"):
        await api.kube.create(JOBS, job)
