"""The witness on a real control plane: its two LISTs, and faults planted with kubectl's own means."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drishtiksha.audit.audit import Places, verify
from drishtiksha.audit.limits import Limits
from drishtiksha.kube import Kube, KubeForbidden
from drishtiksha.kubeconfig import from_file
from drishtiksha.resources import AnalysisSpec, MediaAnalyses, job_name
from drishtiksha_devcluster.ephemeral import ThrowawayCluster, throwaway_cluster
from drishtiksha_devcluster.kubeconfigs import NAMESPACE

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def cluster() -> Iterator[ThrowawayCluster]:
    with throwaway_cluster() as running:
        yield running


async def test_each_side_is_compared_with_the_other(empty, cluster: ThrowawayCluster) -> None:
    user = await empty.stores.user()
    media = await empty.upload(user)
    run = str(media.run_id)
    async with Kube(from_file(cluster.kubeconfig())) as kube:
        places = Places(empty.stores.database, kube, NAMESPACE, empty.objects)
        resources = MediaAnalyses(kube, NAMESPACE)

        async def named() -> set[tuple[str, str]]:
            report = await verify(places, Limits(grace=0.0), patience=0.0)
            return {(v.check.name, v.subject) for v in report.violations}

        # Accepted, dispatched, forgotten, made again.
        assert await named() == set(), "the outbox will create it"
        (wish,) = await empty.stores.outbox.claim(1)
        await empty.stores.outbox.done(wish)
        assert await named() == {("run-resource", run)}
        made = await resources.create(AnalysisSpec(run, str(media.id), "IMAGE", False), 1)
        assert await named() == set()

        # Ahead of its run, and let go too early.
        made = await resources.apply_status(made, {"phase": "ANALYZED"})
        assert await named() == {("resource-says", f"ma-{run}")}
        made = await resources.apply_status(made, {"phase": "QUEUED"})
        assert await resources.release(made)
        assert await named() == {("resource-finalizer", f"ma-{run}")}

        # A Job that no attempt knows, of nobody.
        name = job_name(run, "A", 1)
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": {"drishtiksha.io/run": run, "drishtiksha.io/attempt": "1"}},
            "spec": {
                "suspend": True,
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}},
            },
        }
        await kube.create(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", job)
        assert {("job-attempt", name), ("job-owner", name)} <= await named()

        # A resource that no row knows.
        stranger = "0190b5a0-0000-7000-8000-000000000001"
        await resources.create(AnalysisSpec(stranger, stranger, "IMAGE", False), 1)
        assert ("resource-run", f"ma-{stranger}") in await named()

    # The api's own identity may not list Jobs: the witness says so, and does not guess.
    async with Kube(from_file(cluster.kubeconfig("drishtiksha-api"))) as kube:
        with pytest.raises(KubeForbidden, match="jobs"):
            await verify(Places(empty.stores.database, kube, NAMESPACE), patience=0.0)
    # The operator's may.
    async with Kube(from_file(cluster.kubeconfig("drishtiksha-operator"))) as kube:
        assert not (await verify(Places(empty.stores.database, kube, NAMESPACE), patience=0.0)).clean
