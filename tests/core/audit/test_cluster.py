"""The witness against the cluster: what the rows say beside what a namespace holds, each difference planted and named.

The namespace is told as the API tells it (objects as JSON, made by our own builders); `test_on_kubernetes` asks a real
one.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from drishtiksha.audit import cluster
from drishtiksha.audit.catalogue import CHECKS
from drishtiksha.audit.limits import Limits, limits
from drishtiksha.audit.seen import Cluster, read_cluster, read_job, read_resource
from drishtiksha.database.audit_facts import MediaFacts
from drishtiksha.database.audit_reads import look_at
from drishtiksha.kube import KubeGone
from drishtiksha.resources import FINALIZER, AnalysisSpec, job_name, media_analysis, run_of
from drishtiksha.settings import Operator, Retention

LATER = timedelta(hours=1)
"""The rows are judged an hour after they were written: every grace is over."""


class Namespace:
    """A namespace that agrees with the rows, as JSON; a test changes it and asks."""

    def __init__(self, media: list[MediaFacts], now: datetime) -> None:
        self.media, self.now = media, now
        self.resources: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        for one in media:
            for run in one.runs:
                self.resources[str(run.id)] = self._resource(one, run)
                for a in run.analyses:
                    for t in a.attempts:
                        self.jobs[str(t.id)] = self._job(run, a, t)

    def judge(self, allowed: Limits = Limits(), later: timedelta = LATER) -> set[tuple[str, str]]:
        seen = Cluster()
        for item in self.resources.values():
            seen.resources[self._uuid(item)] = read_resource(item)
        for item in self.jobs.values():
            job = read_job(item)
            seen.jobs[job.run].append(job)
        now = self.now + later
        found = [v for one in self.media for v in cluster.of_media(one, seen, now, allowed)]
        found += cluster.without_run(seen, {run.id for one in self.media for run in one.runs}, now, allowed)
        return {(v.check.name, v.subject) for v in found}

    def run(self, status: str, at_least: int = 0):
        """The media and a run of this status whose attempts are enough; its media is not deleted."""
        return next(
            (m, r) for m in self.media for r in m.runs
            if r.status == status and m.deleted_at is None and sum(len(a.attempts) for a in r.analyses) >= at_least
        )  # fmt: skip

    def in_flight(self):
        """An attempt in flight with its analysis and run."""
        return next(
            (r, a, t) for m in self.media if m.deleted_at is None for r in m.runs for a in r.analyses
            for t in a.attempts if t.job_ended_at is None
        )  # fmt: skip

    @staticmethod
    def _uuid(item):
        return UUID(run_of(item["metadata"]["name"]))

    def _resource(self, media: MediaFacts, run) -> dict[str, Any]:
        item = media_analysis(AnalysisSpec(str(run.id), str(media.id), "IMAGE", False), run.number, "ns")
        final = run.finished_at is not None
        item["metadata"] |= {"uid": f"uid-{run.id}", "creationTimestamp": "2026-01-01T00:00:00Z"}
        if final:
            del item["metadata"]["finalizers"]
        models = [{"name": a.model, "phase": a.status} for a in run.analyses]
        status = {"phase": run.status, "reason": run.reason, "verdict": run.verdict, "models": models}
        item["status"] = {k: v for k, v in status.items() if v is not None}
        return item

    def _job(self, run, a, t) -> dict[str, Any]:
        labels = {"drishtiksha.io/run": str(run.id), "drishtiksha.io/analysis": str(a.id)}
        labels["drishtiksha.io/attempt"] = str(t.number)
        metadata = {"name": job_name(run.id, a.model, t.number), "uid": t.job_uid or f"job-{t.id}", "labels": labels}
        metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
        metadata["ownerReferences"] = [{"uid": f"uid-{run.id}", "controller": True}]
        ended = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}
        over = t.job_ended_at is not None or t.state == "FENCED"
        return {"metadata": metadata, "status": {"conditions": [ended] if over else []}}


@pytest.fixture
async def namespace(platform) -> Namespace:
    async with look_at(platform.stores.database) as snapshot:
        media = [one async for page in snapshot.media() for one in page]
        return Namespace(media, snapshot.now)


def test_a_namespace_that_agrees_with_the_rows_is_clean(namespace) -> None:
    assert namespace.judge() == set()
    assert namespace.judge(Limits(grace=0.0), timedelta()) == set()
    assert len(namespace.resources) >= 10
    assert len(namespace.jobs) >= 8


@pytest.mark.parametrize("status", ["QUEUED", "PROCESSING"])
def test_a_live_run_without_resource_and_wish_is_named(namespace, status: str) -> None:
    media, run = namespace.run(status)
    del namespace.resources[str(run.id)]
    assert ("run-resource", str(run.id)) not in namespace.judge() or not run.wished
    bare = replace(media, runs=tuple(replace(r, wished=False) for r in media.runs))
    namespace.media[namespace.media.index(media)] = bare
    assert ("run-resource", str(run.id)) in namespace.judge()
    cancelled = replace(media, runs=tuple(replace(r, wished=False, cancel_requested=True) for r in media.runs))
    namespace.media[namespace.media.index(bare)] = cancelled
    assert ("run-resource", str(run.id)) not in namespace.judge()


def test_resources_of_no_run_or_of_another_media_are_named(namespace) -> None:
    _, run = namespace.run("ANALYZED")
    stranger = copy.deepcopy(namespace.resources[str(run.id)])
    stranger["metadata"]["name"] = "ma-0190b5a0-0000-7000-8000-000000000001"
    namespace.resources["stranger"] = stranger
    assert namespace.judge() == {("resource-run", stranger["metadata"]["name"])}
    del namespace.resources["stranger"]
    namespace.resources[str(run.id)]["spec"]["mediaId"] = str(run.id)
    assert namespace.judge() == {("resource-run", f"ma-{run.id}")}


@pytest.mark.parametrize(
    ("status", "change"),
    [
        ("ANALYZED", {"phase": "PARTIALLY_ANALYZED"}),
        ("ANALYZED", {"phase": "PROCESSING"}),
        ("FAILED", {"phase": "ANALYZED"}),
        ("FAILED", {"reason": "INTERNAL"}),
        ("ANALYZED", {"verdict": "REAL"}),
        ("PARTIALLY_ANALYZED", {"models": []}),
        ("QUEUED", {"phase": "PROCESSING"}),
        ("PROCESSING", {"phase": "ANALYZED"}),
    ],
)
def test_a_resource_that_says_something_else_is_named(namespace, status: str, change: dict[str, Any]) -> None:
    _, run = namespace.run(status)
    namespace.resources[str(run.id)]["status"] |= change
    assert namespace.judge() == {("resource-says", f"ma-{run.id}")}


def test_a_resource_may_be_a_little_late_but_not_for_ever(namespace) -> None:
    _, run = namespace.run("ANALYZED")
    namespace.resources[str(run.id)]["status"] = {"phase": "PROCESSING"}
    assert namespace.judge(later=timedelta(seconds=30)) == set()
    assert namespace.judge() == {("resource-says", f"ma-{run.id}")}


def test_a_finalizer_that_is_left_or_missing_is_named(namespace) -> None:
    _, over = namespace.run("ANALYZED")
    _, live = namespace.run("PROCESSING")
    namespace.resources[str(over.id)]["metadata"]["finalizers"] = [FINALIZER]
    namespace.resources[str(live.id)]["metadata"]["finalizers"] = []
    assert namespace.judge() == {("resource-finalizer", f"ma-{r.id}") for r in (over, live)}


def test_finished_resources_past_their_time_are_named(namespace) -> None:
    _, run = namespace.run("ANALYZED")
    namespace.resources, namespace.jobs = {str(run.id): namespace.resources[str(run.id)]}, {}
    namespace.media = [m for m in namespace.media if run in m.runs]
    assert namespace.judge(later=timedelta(hours=25)) == set()
    assert namespace.judge(later=timedelta(hours=27)) == {("resource-ttl", f"ma-{run.id}")}


def test_a_job_without_an_attempt_or_with_another_ones_labels_is_named(namespace) -> None:
    run, a, t = namespace.in_flight()
    extra = copy.deepcopy(namespace.jobs[str(t.id)])
    extra["metadata"]["name"] = job_name(run.id, a.model, 7)
    extra["metadata"]["labels"]["drishtiksha.io/attempt"] = "7"
    namespace.jobs["extra"] = extra
    assert namespace.judge() == {("job-attempt", extra["metadata"]["name"])}
    extra["metadata"]["labels"]["drishtiksha.io/run"] = "0190b5a0-0000-7000-8000-000000000001"
    assert namespace.judge() == {("job-attempt", extra["metadata"]["name"])}


def test_a_second_job_of_an_attempt_is_named(namespace) -> None:
    run, _, t = namespace.in_flight()
    twin = copy.deepcopy(namespace.jobs[str(t.id)])
    twin["metadata"]["name"] += "-twin"
    namespace.jobs["twin"] = twin
    assert ("job-only", str(run.id)) in namespace.judge()


def test_another_incarnation_of_a_written_down_job_is_named(namespace) -> None:
    run, a, t = namespace.in_flight()
    noted = replace(a, attempts=tuple(replace(x, job_uid="the-first") for x in a.attempts))
    media = next(m for m in namespace.media if run in m.runs)
    runs = tuple(replace(r, analyses=tuple(noted if x is a else x for x in r.analyses)) for r in media.runs)
    namespace.media[namespace.media.index(media)] = replace(media, runs=runs)
    assert namespace.judge() == {("job-only", str(t.id))}


def test_a_job_of_another_owner_is_named(namespace) -> None:
    run, a, t = namespace.in_flight()
    namespace.jobs[str(t.id)]["metadata"]["ownerReferences"][0]["uid"] = "an-earlier-one"
    assert namespace.judge() == {("job-owner", job_name(run.id, a.model, t.number))}


def test_an_attempt_in_flight_whose_job_is_gone_or_has_ended_is_named(namespace) -> None:
    _, _, t = namespace.in_flight()
    job = namespace.jobs.pop(str(t.id))
    assert namespace.judge() == {("job-gone", str(t.id))}
    end = (namespace.now + timedelta(minutes=30)).astimezone(UTC).isoformat()
    job["status"] = {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": end}]}
    namespace.jobs[str(t.id)] = job
    assert namespace.judge() == {("job-end", str(t.id))}


def test_a_job_that_goes_on_after_its_attempt_was_fenced_is_named(namespace) -> None:
    t = next(t for m in namespace.media for r in m.runs for a in r.analyses for t in a.attempts if t.state == "FENCED")
    namespace.jobs[str(t.id)]["status"] = {}
    assert namespace.judge(later=timedelta(minutes=2)) == set(), "it is being deleted"
    assert namespace.judge() == {("job-fenced", str(t.id))}


async def test_a_list_that_expires_is_begun_anew_but_not_for_ever() -> None:
    class Expiring:
        def __init__(self, times: int) -> None:
            self.left = times

        async def pages(self, path: str, **_: object):
            yield []
            if path.endswith("/jobs") and self.left:
                self.left -= 1
                raise KubeGone(410, "Expired", "too old")

    assert (await read_cluster(Expiring(2), "ns")).job_count == 0  # type: ignore[arg-type]
    with pytest.raises(KubeGone):
        await read_cluster(Expiring(3), "ns")  # type: ignore[arg-type]


def test_limits_follow_the_settings() -> None:
    found = limits(Operator(resource_ttl=60.0, fake_from=0.7), Retention(events=86400.0), weighted=True, grace=5.0)
    assert (found.grace, found.weighted, found.thresholds.fake_from) == (5.0, True, 0.7)
    assert found.resource_ttl == 60.0 + 7200.0
    assert found.event_retention == 86400.0


def test_every_check_of_the_cluster_is_planted_above() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    missing = [c.name for c in CHECKS if c.asks == "kubernetes" and f'("{c.name}"' not in text]
    assert missing == []
