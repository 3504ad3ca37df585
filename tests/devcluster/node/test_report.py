"""Few writes, each repeated until it is heard; and a pod's deletion is confirmed only after its end was told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from drishtiksha_devcluster.node import report as report_module
from drishtiksha_devcluster.node.client import ApiError, ApiUnreachable
from drishtiksha_devcluster.node.container import Container, Running, Terminated
from drishtiksha_devcluster.node.report import Reporter
from drishtiksha_devcluster.node.status import Life

NOW = datetime(2026, 1, 2, tzinfo=UTC)
POD = {"metadata": {"name": "p", "namespace": "n", "uid": "u", "generation": 1}}


class Api:
    """Records what is written; `answers` are raised one after the other before it takes anything."""

    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.tries = 0
        self.written: list[str] = []
        self.deleted: list[dict[str, Any]] = []

    async def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert path == "/api/v1/namespaces/n/pods/p/status"
        assert body["metadata"] == {"uid": "u"}
        self._answer()
        self.written.append(body["status"]["phase"])
        return {}

    async def delete(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._answer()
        self.deleted.append(body)
        return {}

    def _answer(self) -> None:
        self.tries += 1
        if self.answers:
            raise self.answers.pop(0)


class Story:
    """A pod with one container, moved by hand."""

    def __init__(self, api: Api) -> None:
        self.main = Container({"name": "main", "image": "x"}, False, "ContainerCreating", self.look)
        self.life = Life([self.main], [], "127.0.0.1", NOW)
        self.reporter = Reporter(api, self.life, lambda: POD)  # type: ignore[arg-type]

    def look(self) -> None:
        self.reporter.look()

    def run(self) -> None:
        self.main.state = Running(NOW)
        self.main.mark_started()

    def end(self, *, completely: bool = True) -> None:
        self.main.state = Terminated(0, "Completed", NOW, NOW)
        self.life.ended = completely
        self.look()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "PENDING_SECONDS", 0.1)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_quick_start_costs_no_write_of_its_own() -> None:
    api = Api()
    story = Story(api)
    task = asyncio.create_task(story.reporter.run())
    await asyncio.sleep(0.02)
    story.run()
    await until(lambda: api.written)
    story.look()
    await asyncio.sleep(0.02)
    story.end()
    await task
    assert api.written == ["Running", "Succeeded"]


async def test_a_slow_start_is_told_once() -> None:
    api = Api()
    story = Story(api)
    task = asyncio.create_task(story.reporter.run())
    await until(lambda: api.written)
    story.look()
    await asyncio.sleep(0.25)
    story.run()
    await until(lambda: len(api.written) == 2)
    story.end()
    await task
    assert api.written == ["Pending", "Running", "Succeeded"]


async def test_the_end_of_the_main_containers_is_told_when_all_processes_are_gone() -> None:
    api = Api()
    story = Story(api)
    task = asyncio.create_task(story.reporter.run())
    story.run()
    await until(lambda: api.written)
    story.end(completely=False)
    await asyncio.sleep(0.05)
    assert api.written == ["Running"]
    story.end()
    await task
    assert api.written == ["Running", "Succeeded"]


async def test_an_end_is_repeated_until_it_is_heard() -> None:
    api = Api(ApiUnreachable("away"), ApiError(500, "etcd"), ApiError(409, "the object has been modified"))
    story = Story(api)
    story.end()
    await story.reporter.run()
    assert (api.tries, api.written) == (4, ["Succeeded"])


@pytest.mark.parametrize(
    "answer", [ApiError(404, "gone"), ApiError(409, "Precondition failed: UID in precondition: u")]
)
async def test_nothing_is_repeated_about_a_pod_that_is_gone(answer: ApiError) -> None:
    api = Api(answer)
    story = Story(api)
    story.end()
    await story.reporter.run()
    assert (api.tries, api.written) == (1, [])


async def test_what_the_server_calls_invalid_is_not_repeated() -> None:
    api = Api(ApiError(422, "no such field"))
    story = Story(api)
    story.end()
    await story.reporter.run()
    assert api.tries == 1


async def test_a_deletion_is_confirmed_for_this_pod_alone() -> None:
    api = Api(ApiUnreachable("away"))
    await Story(api).reporter.remove()
    assert api.deleted == [{"gracePeriodSeconds": 0, "preconditions": {"uid": "u"}}]
