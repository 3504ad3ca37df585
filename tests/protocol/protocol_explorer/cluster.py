"""Kubernetes over a `State`: the calls that our clients make, and what controllers do by themselves.

Reads are consistent, as production asks for them. A write that carries a version is refused when the object has
changed; versions are made of the content, so that the world stays finite. `Kube` is the client with which the
production adapters (`Jobs`, `MediaAnalyses`) are built.
"""

from __future__ import annotations

import json
from typing import Any

from drishtiksha import resources as r
from drishtiksha.kube import KubeConflict, KubeForbidden, KubeInvalid, KubeNotFound, Object

from .program import ask
from .rows import Done
from .state import MODELS, RUN_IDS, RUN_OF, Job, Res, State, alive, at, position, with_exam, with_run

JOB_OF = {
    r.job_name(RUN_IDS[run], model, n): (run, model, n) for run in range(6) for model in MODELS for n in range(1, 5)
}
NAME_OF = {key: name for name, key in JOB_OF.items()}
STATUSES: list[str] = ["{}"]
_NUMBERS: dict[str, int] = {"{}": 0}


def number_of(status: Object) -> int:
    """A status object as a number, so that a world can hold it."""
    text = json.dumps(status, sort_keys=True)
    if text not in _NUMBERS:
        _NUMBERS[text] = len(STATUSES)
        STATUSES.append(text)
    return _NUMBERS[text]


def shown(number: int) -> Object:
    """The status object that a number stands for."""
    return dict(json.loads(STATUSES[number]))


def version(res: Res) -> str:
    return f"{res.uid}.{res.deleting:d}{res.finalizer:d}.{res.status}"


# -- calls ------------------------------------------------------------------------------------------------------------


def post_resource(s: State, run: int, finalizer: bool = True) -> Done:
    if s.res[run] is not None:
        return s, "conflict", ()
    made = s.runs[run].made + 1
    s = with_run(s, run, s.runs[run]._replace(made=made))
    res = Res(uid=f"{run}{made:07d}", finalizer=finalizer)
    return s._replace(res=at(s.res, run, res)), res, ()


def delete_resource(s: State, run: int) -> Done:
    res = s.res[run]
    if res is None:
        return s, False, ()
    gone = res._replace(deleting=True) if res.finalizer else None
    return s._replace(res=at(s.res, run, gone)), True, ()


def apply_status(s: State, run: int, seen: str, status: int) -> Done:
    res = s.res[run]
    if res is None:
        return s, "missing", ()
    if version(res) != seen:
        return s, "changed", ()
    res = res._replace(status=status)
    return s._replace(res=at(s.res, run, res)), res, ()


def apply_unseen(s: State, run: int, status: int) -> Done:
    """Of a mutant: the status without the version."""
    return apply_status(s, run, version(s.res[run]) if s.res[run] else "", status)  # type: ignore[arg-type]


def release(s: State, run: int, seen: str) -> Done:
    res = s.res[run]
    if res is None:
        return s, "missing", ()
    if version(res) != seen:
        return s, "changed", ()
    left = None if res.deleting else res._replace(finalizer=False)
    return s._replace(res=at(s.res, run, left)), "released", ()


def post_job(s: State, run: int, model: str, number: int, owner: str) -> Done:
    if any((j.run, j.model, j.number) == (run, model, number) for j in s.jobs):
        return s, "conflict", ()
    made = 0
    if alive(s, run):
        index = position(s.runs[run], model)
        exam = s.runs[run].exams[index]
        one = exam.tries[number - 1]
        made = one.made + 1
        s = with_exam(s, run, index, exam._replace(tries=at(exam.tries, number - 1, one._replace(made=made))))
    job = Job(run, model, number, f"{run}{model}{number}#{made}", owner)
    return s._replace(jobs=tuple(sorted((*s.jobs, job)))), job, ()


def delete_job(s: State, run: int, model: str, number: int) -> Done:
    for index, job in enumerate(s.jobs):
        if (job.run, job.model, job.number) == (run, model, number) and not job.deleting:
            return s._replace(jobs=at(s.jobs, index, job._replace(deleting=True))), True, ()
    return s, False, ()


def of_run(s: State, run: int) -> tuple[Job, ...]:
    return tuple(j for j in s.jobs if j.run == run)


# -- controllers ------------------------------------------------------------------------------------------------------


def controllers(s: State) -> list[tuple[str, State]]:
    """What the Job controller and the garbage collector may do next."""
    found = []
    for index, job in enumerate(s.jobs):
        name = f"{job.run}/{job.model}/{job.number}"
        rest = (*s.jobs[:index], *s.jobs[index + 1 :])
        owner = s.res[job.run]
        if job.deleting or owner is None or owner.uid != job.owner:
            found.append((f"Job {name} and its pods are removed", s._replace(jobs=rest)))
            continue
        codes = [p.code for p in job.pods]
        becomes = None
        if job.cond == "" and any(c is not None for c in codes):
            becomes = job._replace(cond="met" if 0 in codes else "target")
        elif job.cond in ("met", "target"):
            # The final condition comes when no pod runs any more: the others are ended.
            over = tuple(p if p.code is not None else p._replace(code=143) for p in job.pods)
            becomes = job._replace(cond="complete" if job.cond == "met" else "failed", pods=over)
        if becomes is not None:
            found.append((f"Job {name} is {becomes.cond}", s._replace(jobs=at(s.jobs, index, becomes))))
    return found


# -- what a client sees -----------------------------------------------------------------------------------------------


def resource_object(run: int, res: Res) -> Object:
    metadata: Object = {
        "name": r.resource_name(RUN_IDS[run]), "namespace": "d", "uid": res.uid, "resourceVersion": version(res),
        "generation": 1, "finalizers": [r.FINALIZER] if res.finalizer else [],
    }  # fmt: skip
    if res.deleting:
        metadata["deletionTimestamp"] = "2026-05-01T12:00:00Z"
    return {"metadata": metadata, "spec": {"runId": str(RUN_IDS[run])}, "status": shown(res.status)}


_TYPES = {"met": "SuccessCriteriaMet", "target": "FailureTarget", "complete": "Complete", "failed": "Failed"}


def job_object(job: Job) -> Object:
    conditions = []
    if job.cond:
        conditions.append({"type": _TYPES[job.cond], "status": "True", "reason": "BackoffLimitExceeded"})
    owner = {"kind": r.KIND, "uid": job.owner, "controller": True}
    metadata: Object = {"name": NAME_OF[job.run, job.model, job.number], "uid": job.uid, "ownerReferences": [owner]}
    if job.deleting:
        metadata["deletionTimestamp"] = "2026-05-01T12:00:00Z"
    return {"metadata": metadata, "status": {"conditions": conditions}}


def pod_objects(job: Job) -> list[Object]:
    return [
        {
            "metadata": {
                "name": f"p{index}",
                "labels": {"batch.kubernetes.io/job-name": NAME_OF[job.run, job.model, job.number]},
                "creationTimestamp": f"2026-05-01T11:00:0{index}+00:00",
            },
            "spec": {"nodeName": "n"},
            "status": {
                "phase": "Running" if pod.code is None else "Succeeded" if pod.code == 0 else "Failed",
                "conditions": [{"type": "Ready", "status": "False" if pod.lost or pod.code is not None else "True"}],
                "containerStatuses": []
                if pod.code is None
                else [{"name": "runner", "state": {"terminated": {"exitCode": pod.code}}}],
            },
        }
        for index, pod in enumerate(job.pods)
    ]


def _conflict(name: str) -> KubeConflict:
    return KubeConflict(409, "AlreadyExists", f"{name} exists")


class Kube:
    """The client of a process under exploration: each call is one step of the world."""

    async def get(self, path: str, query: Any = None) -> Object:
        name = path.rsplit("/", 1)[1]
        if "/jobs/" in path:
            job = await ask("get_job", *JOB_OF[name])
            if job is None:
                raise KubeNotFound(404, "NotFound", name)
            return job_object(job)
        run = RUN_OF[name.removeprefix("ma-")]
        res = await ask("get_resource", run)
        if res is None:
            raise KubeNotFound(404, "NotFound", name)
        return resource_object(run, res)

    async def list(self, path: str, *, labels: str = "", fields: str = "") -> list[Object]:
        if path.endswith("/events"):
            return []
        run = RUN_OF[labels.rsplit("=", 1)[1]]
        if path.endswith("/jobs"):
            return [job_object(j) for j in await ask("list_jobs", run)]
        return [pod for job in await ask("list_pods", run) for pod in pod_objects(job)]

    async def create(self, path: str, body: Object) -> Object:
        name = body["metadata"]["name"]
        if path.endswith("/jobs"):
            made = await ask("post_job", *JOB_OF[name], body["metadata"]["ownerReferences"][0]["uid"])
            if made == "refused":
                raise KubeForbidden(403, "Forbidden", "exceeded quota")
            if made == "conflict":
                raise _conflict(name)
            return job_object(made)
        if path.endswith("/mediaanalyses"):
            run = RUN_OF[body["spec"]["runId"]]
            made = await ask("post_resource", run, bool(body["metadata"]["finalizers"]))
            if made == "refused":
                raise KubeInvalid(422, "Invalid", "the resource is refused")
            if made == "conflict":
                raise _conflict(name)
            return resource_object(run, made)
        return body  # the Secret and the last Event: their names are functions, and nobody decides by them

    async def delete(self, path: str, *, uid: str | None = None) -> bool:
        name = path.rsplit("/", 1)[1]
        if "/jobs/" in path:
            return bool(await ask("delete_job", *JOB_OF[name]))
        return bool(await ask("delete_resource", RUN_OF[name.removeprefix("ma-")]))

    async def apply(self, path: str, body: Object, *, manager: str) -> Object:
        run = RUN_OF[body["metadata"]["name"].removeprefix("ma-")]
        return self._written(
            run, await ask("apply_status", run, body["metadata"]["resourceVersion"], number_of(body["status"]))
        )

    async def merge(self, path: str, body: Object) -> Object:
        run = RUN_OF[path.rsplit("/ma-", 1)[1]]
        return self._written(run, await ask("release", run, body["metadata"]["resourceVersion"]))

    def _written(self, run: int, reply: Any) -> Object:
        if reply == "missing":
            raise KubeNotFound(404, "NotFound", "gone")
        if reply == "changed":
            raise KubeConflict(409, "Conflict", "the object has been modified")
        return {} if reply == "released" else resource_object(run, reply)
