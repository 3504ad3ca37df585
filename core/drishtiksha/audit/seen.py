"""What the audit sees in the cluster, as values: resources and Jobs by run. One LIST of each, in pages.

`cluster` compares them with the rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ..kube import Kube, KubeGone, Object
from ..resources import FINALIZER, LABEL_ANALYSIS, LABEL_ATTEMPT, LABEL_RUN, MediaAnalyses, run_of

_TRIES = 3
"""A page that has expired (410) makes the list begin anew, so often at most."""


@dataclass(frozen=True)
class ResourceSeen:
    """One MediaAnalysis: whether our finalizer holds it, and what its status tells."""

    name: str
    uid: str
    run_id: str | None
    media_id: str | None
    created_at: datetime
    deleting: bool
    held: bool
    phase: str | None
    reason: str | None
    verdict: str | None
    models: Mapping[str, str]


@dataclass(frozen=True)
class JobSeen:
    """One Job of ours, with the ids on its labels. `ended_at`: its final condition's time, None while it goes on."""

    name: str
    uid: str
    run: str
    analysis: str | None
    attempt: str | None
    owner_uid: str | None
    created_at: datetime
    ended_at: datetime | None
    deleting: bool


@dataclass
class Cluster:
    """Everything of ours in one namespace, by run id; `others`: resources whose name stands for no run."""

    resources: dict[UUID, ResourceSeen] = field(default_factory=dict)
    jobs: dict[str, list[JobSeen]] = field(default_factory=lambda: defaultdict(list))
    others: list[str] = field(default_factory=list)

    @property
    def job_count(self) -> int:
        return sum(map(len, self.jobs.values()))


async def read_cluster(kube: Kube, namespace: str) -> Cluster:
    """One look at the namespace. Raises KubeError."""
    for attempt in range(1, _TRIES + 1):
        try:
            return await _read(kube, namespace)
        except KubeGone:
            if attempt == _TRIES:
                raise
    raise AssertionError("the last try returns or raises")


async def _read(kube: Kube, namespace: str) -> Cluster:
    found = Cluster()
    async for page in MediaAnalyses(kube, namespace).pages(metadata_only=False):
        for item in page:
            run = run_of(item["metadata"]["name"])
            if run is None:
                found.others.append(item["metadata"]["name"])
            else:
                found.resources[UUID(run)] = read_resource(item)
    async for page in kube.pages(f"/apis/batch/v1/namespaces/{namespace}/jobs", labels=LABEL_RUN):
        for item in page:
            job = read_job(item)
            found.jobs[job.run].append(job)
    return found


def read_resource(item: Object) -> ResourceSeen:
    """A MediaAnalysis as the API tells it."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    return ResourceSeen(
        name=metadata["name"],
        uid=metadata["uid"],
        run_id=spec.get("runId"),
        media_id=spec.get("mediaId"),
        created_at=datetime.fromisoformat(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        held=FINALIZER in (metadata.get("finalizers") or []),
        phase=status.get("phase"),
        reason=status.get("reason"),
        verdict=status.get("verdict"),
        models={m["name"]: m.get("phase", "") for m in status.get("models") or []},
    )


def read_job(item: Object) -> JobSeen:
    """A Job as the API tells it."""
    metadata = item["metadata"]
    labels: dict[str, str] = metadata.get("labels") or {}
    owner = next((o for o in metadata.get("ownerReferences") or [] if o.get("controller")), None)
    conditions: list[dict[str, Any]] = (item.get("status") or {}).get("conditions") or []
    end = next((x for x in conditions if x.get("type") in ("Complete", "Failed") and x.get("status") == "True"), None)
    created = datetime.fromisoformat(metadata["creationTimestamp"])
    return JobSeen(
        name=metadata["name"],
        uid=metadata["uid"],
        run=labels.get(LABEL_RUN, ""),
        analysis=labels.get(LABEL_ANALYSIS),
        attempt=labels.get(LABEL_ATTEMPT),
        owner_uid=owner["uid"] if owner else None,
        created_at=created,
        ended_at=datetime.fromisoformat(end.get("lastTransitionTime") or metadata["creationTimestamp"])
        if end
        else None,
        deleting="deletionTimestamp" in metadata,
    )
