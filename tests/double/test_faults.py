"""Each fault of the double is what it says, and strikes when its seed says: a storm that does nothing would show nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes_double import KINDS, Fault, KubernetesDouble, Schedule
from kubernetes_double.faults import EVENT, STREAM, weather
from kubernetes_double.kinds import ANALYSES
from operator_stage import NAMESPACE

from drishtiksha.kube import Kube, KubeError, KubeGone, KubeNotFound, KubeThrottled, KubeUnavailable
from drishtiksha.kubeconfig import from_file
from drishtiksha.resources import AnalysisSpec, MediaAnalyses


@pytest.fixture
async def double(tmp_path: Path) -> AsyncIterator[KubernetesDouble]:
    async with KubernetesDouble(tmp_path) as made:
        yield made


@pytest.fixture
async def analyses(double: KubernetesDouble) -> AsyncIterator[MediaAnalyses]:
    """The api's client, which tries each call once and waits half a second."""
    async with Kube(from_file(double.kubeconfig("drishtiksha-api")), timeout=0.5, tries=1) as kube:
        yield MediaAnalyses(kube, NAMESPACE)


def spec() -> AnalysisSpec:
    return AnalysisSpec(str(uuid.uuid4()), str(uuid.uuid4()), "IMAGE", False)


def there(double: KubernetesDouble, asked: AnalysisSpec) -> bool:
    return double.store.find(ANALYSES, NAMESPACE, f"ma-{asked.run_id}") is not None


@pytest.mark.parametrize(
    ("kind", "error", "carried_out"),
    [
        ("throttle", KubeThrottled, False),
        ("refuse", KubeUnavailable, False),
        ("cut", KubeUnavailable, False),
        ("lose", KubeUnavailable, True),
        ("cut-after", KubeUnavailable, True),
        ("torn", KubeUnavailable, True),
        ("slow", KubeUnavailable, True),
    ],
)
async def test_a_call_is_carried_out_or_not_and_its_client_cannot_tell(
    double: KubernetesDouble, analyses: MediaAnalyses, kind: str, error: type[KubeError], carried_out: bool
) -> None:
    double.weather = Schedule([Fault(kind, "create", nth=1, seconds=1.0)])
    asked = spec()
    with pytest.raises(error):
        await analyses.create(asked, 1)
    assert there(double, asked) is carried_out
    assert double.weather.injected == {kind: 1}
    await analyses.create(asked, 1)
    assert there(double, asked)


async def test_a_late_write_arrives_after_its_client_has_given_up(
    double: KubernetesDouble, analyses: MediaAnalyses
) -> None:
    double.weather = Schedule([Fault("late", "create", nth=1, seconds=0.05)])
    asked = spec()
    with pytest.raises(KubeUnavailable):
        await analyses.create(asked, 1)
    await double.quiet()
    assert there(double, asked)


async def test_a_stale_read_is_served_only_to_whom_takes_one(double: KubernetesDouble, analyses: MediaAnalyses) -> None:
    double.weather = Schedule([Fault("stale", chance=1.0)])
    asked = spec()
    await analyses.create(asked, 1)
    path = analyses.path(asked.run_id)
    assert await analyses.get(asked.run_id) is not None
    assert [len(page) async for page in analyses.pages()] == [1]
    with pytest.raises(KubeNotFound):
        await analyses.kube.get(path, {"resourceVersion": "0"})
    collection = path.rpartition("/")[0]
    assert (await analyses.kube.get(collection, {"resourceVersion": "0"}))["items"] == []


async def test_a_page_expires_between_two_pages(double: KubernetesDouble, analyses: MediaAnalyses) -> None:
    double.largest_page = 1
    for _ in range(2):
        await analyses.create(spec(), 1)
    double.weather = Schedule([Fault("expire", chance=1.0)])
    with pytest.raises(KubeGone):
        assert [page async for page in analyses.pages()]


async def told(double: KubernetesDouble, fault: Fault) -> list[tuple[str, str]]:
    """What a watch tells of three changes, each told before the next: types, and whether the phase is there."""
    connection = from_file(double.kubeconfig("drishtiksha-operator"))
    headers = {"Authorization": f"Bearer {connection.token}"}
    asked = spec()
    name = f"ma-{asked.run_id}"
    path = f"/apis/drishtiksha.io/v1alpha1/namespaces/{NAMESPACE}/mediaanalyses"
    since = str(double.store.revision)
    seen: list[tuple[str, str]] = []
    double.weather = Schedule([fault])
    async with (
        Kube(from_file(double.kubeconfig("admin"))) as admin,
        aiohttp.ClientSession(headers=headers) as session,
        session.get(connection.server + path, params={"watch": "true", "resourceVersion": since}) as response,
    ):
        await MediaAnalyses(admin, NAMESPACE).create(asked, 1)
        await admin.merge(f"{path}/{name}/status", {"status": {"phase": "QUEUED"}})
        await admin.merge(f"{path}/{name}/status", {"status": {"phase": "PROCESSING"}})
        await admin.merge(f"{path}/{name}/status", {"status": {"phase": "FAILED"}})
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(5):
                while line := await response.content.readline():
                    event: dict[str, Any] = json.loads(line)
                    body = event["object"] if event["type"] != "ERROR" else {}
                    seen.append((event["type"], body.get("status", {}).get("phase", "")))
                    if seen[-1][1] == "FAILED":
                        break
    return seen


CHANGES = [("ADDED", ""), ("MODIFIED", "QUEUED"), ("MODIFIED", "PROCESSING"), ("MODIFIED", "FAILED")]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("drop", [CHANGES[0], *CHANGES[2:]]),
        ("repeat", [*CHANGES[:2], CHANGES[1], *CHANGES[2:]]),
        ("again", [*CHANGES[:2], ("MODIFIED", ""), *CHANGES[2:]]),
        ("reorder", [CHANGES[0], CHANGES[2], CHANGES[1], CHANGES[3]]),
        ("delay", CHANGES),
        ("end", CHANGES[:1]),
        ("gone", [CHANGES[0], ("ERROR", "")]),
    ],
)
async def test_what_befalls_the_second_event_of_a_watch(
    double: KubernetesDouble, kind: str, expected: list[tuple[str, str]]
) -> None:
    assert await told(double, Fault(kind, nth=2, seconds=0.2)) == expected


async def test_a_severed_watch_tells_nothing_more(double: KubernetesDouble) -> None:
    assert await told(double, Fault("sever", nth=2)) in ([], CHANGES[:1])  # what was on its way may be lost with it


def test_a_seed_and_the_number_of_a_call_decide_alone() -> None:
    def struck(seed: int) -> list[bool]:
        schedule = Schedule([Fault("refuse", chance=0.3)], seed)
        return [schedule.at_request("get", "jobs") is not None for _ in range(50)]

    assert struck(1) == struck(1) != struck(2)
    assert 5 < sum(struck(1)) < 25


def test_each_call_counts_whichever_fault_strikes_it() -> None:
    schedule = Schedule([Fault("cut", nth=1), Fault("refuse", nth=2)])
    struck = [schedule.at_request("get", "jobs") for _ in range(3)]
    assert [fault and fault.kind for fault in struck] == ["cut", "refuse", None]


def test_every_kind_of_fault_occurs_in_forty_storms() -> None:
    chosen = {fault.kind for seed in range(40) for fault in weather(seed).faults}
    assert chosen == set(KINDS)
    assert {*EVENT, *STREAM} <= chosen


def test_a_fault_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no fault"):
        Fault("nonsense")
