"""The strange, broken and hostile files over HTTP, each to every model: an honest answer or a refusal, and no death.

Every model is asked, also those that do not take the file: they must say so. A handful runs in the default suite.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import bad_media as media
import httpx
import pytest
from model_process import KEY, ModelProcess, model_process

pytestmark = pytest.mark.timeout(600)
MOST_S = 60.0
"""Of one answer, with another one beside it; on a quick machine none takes three."""
HANDFUL = ("zero-bytes", "playlist", "mp4-cut", "jpeg-cut", "png-of-ten-thousand-million-pixels", "1-pixel-png",
           "16-bit-grey", "nan-samples", "1-frame-video")  # fmt: skip
OLDER = {"VIDEO": "/analyze/comprehensive", "AUDIO": "/analyze/audio"}


@dataclass(frozen=True)
class Said:
    """What one model answered to one file on one route, in which time (seconds)."""

    case: str
    model: str
    route: str
    status: int
    body: dict[str, Any]
    seconds: float

    def judge(self) -> None:
        """An honest answer, or a refusal in a sentence; AssertionError otherwise."""
        assert self.seconds < MOST_S, self
        if self.status == 200:
            data = self.body.get("data", self.body)
            assert data["status"] in ("COMPLETED", "INCONCLUSIVE"), self
            assert (data["prediction"], data["finding"]) == ("INCONCLUSIVE", "NONE"), self
            return
        assert 400 <= self.status < 500, self
        detail = self.body["detail"]
        assert detail["code"] in ("BAD_MEDIA", "UNSUPPORTED"), self
        assert detail["message"].endswith("."), self
        assert len(detail["message"].split()) >= 3, self


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelProcess]:
    """All detectors of this installation, in two workers."""
    with model_process(tmp_path_factory.mktemp("models"), WORKERS="2") as process:
        yield process


def models(running: ModelProcess) -> dict[str, Any]:
    """What `/stats` lists, by name."""
    told = httpx.get(f"{running.url}/stats", headers={"X-API-Key": KEY}, timeout=30, trust_env=False).json()
    return {entry["name"]: entry for entry in told["models_info"]}


def ask(client: httpx.Client, case: str, content: bytes, model: str, route: str = "/analyze") -> Said:
    began = time.monotonic()
    files = {"media" if route == "/analyze" else "video": ("a.bin", content)}
    answer = client.post(route, data={"model": model}, files=files)
    return Said(case, model, route, answer.status_code, answer.json(), time.monotonic() - began)


def survived(running: ModelProcess, before: dict[str, Any]) -> None:
    """No worker has died, and all models are still there."""
    assert running.process.poll() is None
    assert running.metric("drishtiksha_model_worker_deaths_total") == 0
    assert running.metric("drishtiksha_model_requests_in_flight") == 0
    after = models(running)
    assert {name: entry["loaded"] for name, entry in after.items()} == dict.fromkeys(before, True)


def asked(running: ModelProcess, cases: dict[str, bytes], listed: dict[str, Any]) -> list[Said]:
    """Every file to every model, and to those that say they take films or recordings in the older dialect as well."""
    todo = [(case, content, model, "/analyze") for case, content in cases.items() for model in listed]
    todo += [
        (case, content, model, OLDER[kind])
        for case, content in cases.items()
        for model, entry in listed.items()
        for kind, flag in (("VIDEO", "isVideo"), ("AUDIO", "isAudio"))
        if entry[flag]
    ]
    with (
        httpx.Client(base_url=running.url, headers={"X-API-Key": KEY}, timeout=120, trust_env=False) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        return list(threads.map(lambda each: ask(client, *each), todo))


def check(running: ModelProcess, names: tuple[str, ...]) -> None:
    listed = models(running)
    assert len(listed) >= 7
    told = asked(running, {name: media.CASES[name].make() for name in names}, listed)
    for said in told:
        said.judge()
    for name in names:
        statuses = {said.status for said in told if said.case == name and said.model != "PROVENANCE-V1"}
        if media.CASES[name].due == media.REFUSED:
            assert 200 not in statuses, (name, statuses)
        elif media.CASES[name].due == media.EXAMINED:
            assert 200 in statuses, (name, statuses)
            assert 422 not in statuses, (name, statuses)
    survived(running, listed)


def test_a_handful_of_broken_files_is_answered_over_http_and_kills_nobody(running: ModelProcess) -> None:
    check(running, HANDFUL)


@pytest.mark.long
def test_every_broken_file_is_answered_over_http_by_every_model_and_kills_nobody(running: ModelProcess) -> None:
    check(running, tuple(media.CASES))
