"""The schema in `crds/`, as a real API server holds it: what is refused, what kubectl shows, and its twin in the code."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from drishtiksha import resources as r
from drishtiksha.domain.status import AnalysisStatus, RunStatus
from drishtiksha.kube import Kube, KubeInvalid
from drishtiksha.kubeconfig import from_file
from drishtiksha_devcluster.ephemeral import KubectlFailed, ThrowawayCluster

CRD = yaml.safe_load((Path(__file__).parents[2] / "crds" / "mediaanalyses.yaml").read_text())
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
NAMESPACE = "drishtiksha"


def spec(**more: Any) -> r.AnalysisSpec:
    facts = {"run_id": str(uuid.uuid4()), "media_id": str(uuid.uuid4()), "media_type": "VIDEO", "has_audio": True}
    return r.AnalysisSpec(**(facts | more))  # type: ignore[arg-type]


DONE = r.AnalysisStatus(
    phase="ANALYZED",
    summary="1/1",
    verdict="FAKE",
    score=0.75,
    start_time=datetime.now(UTC),
    completion_time=datetime.now(UTC),
    models=(r.ModelStatus("A", "COMPLETED", 1, "ma-x-a1", "gpu-0", None, None),),
    conditions=(r.Condition("Complete", "True", "Analyzed", "All answered."),),
)


@pytest.fixture
async def analyses(cluster: ThrowawayCluster) -> AsyncIterator[r.MediaAnalyses]:
    async with Kube(from_file(cluster.kubeconfig("admin"))) as kube:
        yield r.MediaAnalyses(kube, NAMESPACE)


def nodes(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = [(path, schema)]
    for name, child in schema.get("properties", {}).items():
        found += nodes(child, f"{path}.{name}")
    if "items" in schema:
        found += nodes(schema["items"], f"{path}[]")
    return found


def test_every_field_has_a_description() -> None:
    assert [path for path, node in nodes(SCHEMA) if not node.get("description") and path != ".metadata"] == []


def test_names_and_enums_of_schema_and_code_are_the_same() -> None:
    names = CRD["spec"]["names"]
    assert (CRD["spec"]["group"], VERSION["name"], names["plural"], names["kind"]) == (
        r.GROUP, r.VERSION, r.PLURAL, r.KIND,
    )  # fmt: skip
    status = SCHEMA["properties"]["status"]["properties"]
    assert status["phase"]["enum"] == [s.value for s in RunStatus]
    assert status["models"]["items"]["properties"]["phase"]["enum"] == [s.value for s in AnalysisStatus]
    assert status["models"]["items"]["properties"]["message"]["maxLength"] == r.MAX_MESSAGE
    written = r.status_object(DONE, generation=1, previous=None, now=datetime.now(UTC))
    assert set(written) <= set(status)
    assert set(written["models"][0]) <= set(status["models"]["items"]["properties"])
    assert set(written["conditions"][0]) <= set(status["conditions"]["items"]["properties"])
    assert set(spec(models=("A",)).to_object()) == set(SCHEMA["properties"]["spec"]["properties"])


async def test_the_spec_is_immutable(analyses: r.MediaAnalyses) -> None:
    made = await analyses.create(spec(), 1)
    path = analyses.path(made["spec"]["runId"])
    for change in ({"hasAudio": False}, {"models": ["A"]}, {"mediaId": str(uuid.uuid4())}):
        with pytest.raises(KubeInvalid, match="immutable"):
            await analyses.kube.merge(path, {"spec": change})


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"runId": "not-a-uuid"}},
        {"spec": {"mediaType": "DOCUMENT"}},
        {"spec": {"models": []}},
        {"spec": {"models": ["bad name"]}},
        {"spec": {"models": ["A", "A"]}},
        {"spec": {"filename": "secret.mp4"}},
        {"metadata": {"name": "another-name"}},
    ],
)
async def test_what_the_platform_never_writes_is_refused(analyses: r.MediaAnalyses, change: dict[str, Any]) -> None:
    body = r.media_analysis(spec(), 1, NAMESPACE)
    for part, values in change.items():
        body[part].update(values)
    path = f"/apis/{r.GROUP}/{r.VERSION}/namespaces/{NAMESPACE}/{r.PLURAL}"
    with pytest.raises(KubeInvalid):
        await analyses.kube.create(path, body)


async def test_a_second_create_of_the_same_run_is_the_first(analyses: r.MediaAnalyses) -> None:
    one = spec()
    first = await analyses.create(one, 1)
    assert (await analyses.create(one, 1))["metadata"]["uid"] == first["metadata"]["uid"]


async def test_a_written_status_comes_back_as_it_was_and_kubectl_shows_it(
    analyses: r.MediaAnalyses, cluster: ThrowawayCluster
) -> None:
    made = await analyses.create(spec(), 1)
    name = made["metadata"]["name"]
    written = r.status_object(DONE, generation=1, previous=None, now=datetime.now(UTC))
    back = await analyses.apply_status(made, written)
    assert back["status"] == written
    assert r.status_object(DONE, generation=1, previous=back["status"], now=datetime.now(UTC)) == written

    header, line = cluster.kubectl("-n", NAMESPACE, "get", "ma", name).splitlines()
    assert header.split() == ["NAME", "PHASE", "MODELS", "AGE"]
    assert line.split()[:3] == [name, "ANALYZED", "1/1"]
    wide = cluster.kubectl("-n", NAMESPACE, "get", "ma", name, "-o", "wide").splitlines()[0].split()
    assert wide == ["NAME", "PHASE", "MODELS", "VERDICT", "MEDIA", "REASON", "AGE"]
    cluster.kubectl("-n", NAMESPACE, "wait", "--for=condition=Complete", f"ma/{name}", "--timeout=10s")
    media = made["spec"]["mediaId"]
    for chosen in (
        ["-l", f"drishtiksha.io/media={media}"],
        ["--field-selector", f"spec.mediaId={media},status.phase=ANALYZED"],
    ):
        found = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "mediaanalyses", *chosen, "-o", "json"))
        assert [item["metadata"]["name"] for item in found["items"]] == [name]
    assert name in cluster.kubectl("-n", NAMESPACE, "get", "drishtiksha")
    assert "Conditions:" in cluster.kubectl("-n", NAMESPACE, "describe", "ma", name)


def test_kubectl_explains_the_spec(cluster: ThrowawayCluster) -> None:
    end = time.monotonic() + 30
    while True:  # the server publishes the schema of a new resource some seconds after it has it
        try:
            told = cluster.kubectl("explain", "ma.spec")
            break
        except KubectlFailed:
            assert time.monotonic() < end
            time.sleep(0.5)
    for field in SCHEMA["properties"]["spec"]["properties"]:
        assert field in told
    assert "it never changes" in told


async def test_a_stale_status_write_is_refused(analyses: r.MediaAnalyses) -> None:
    made = await analyses.create(spec(), 1)
    written = r.status_object(DONE, generation=1, previous=None, now=datetime.now(UTC))
    await analyses.apply_status(made, written)
    with pytest.raises(r.KubeConflict):
        await analyses.apply_status(made, {**written, "phase": "QUEUED"})


async def test_a_deleted_resource_stays_until_it_is_let_go(analyses: r.MediaAnalyses) -> None:
    made = await analyses.create(spec(), 1)
    run = made["spec"]["runId"]
    assert await analyses.delete(run)
    held = await analyses.get(run)
    assert held is not None
    assert "deletionTimestamp" in held["metadata"]
    assert await analyses.release(held)
    async with asyncio.timeout(10):
        while await analyses.get(run) is not None:
            await asyncio.sleep(0.1)
    assert not await analyses.delete(run)
