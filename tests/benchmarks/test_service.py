"""The benchmark of the model service: what it counts, what it calls missed, and its part of the page in docs/."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import clients, page

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def _found(**changed: Any) -> dict[str, Any]:
    one = {
        "file": "a.jpg",
        "clients": 1,
        "seconds": 2.0,
        "answered": 4,
        "refused_503": 7,
        "other": 0,
        "per_second": 2.0,
    }
    one |= {"p50_s": 0.5, "p95_s": 0.6, "cpu_s": 1.0, "cpu_s_per_answer": 0.25, "clients_cpu_s": 0.1, "memory_mib": 300}
    machine = {"cpus": 2, "system": "Linux", "python": "3.11", "load_before": 0.1, "others_cpu_s": 1.0, "quiet": True}
    media = [{"name": "a.jpg", "bytes": 9, "what": "a picture", "models": ["A-V1", "B-V1"]}]
    found = {"taken": "2026-11-30", "machine": machine, "seconds": 2.0, "workers": 2, "waiting": 16, "media": media}
    bundle = {
        "weights_mib": 80,
        "workers": 4,
        "clients": 16,
        "memory_mib": [{"workers": n, "mib": 100} for n in (1, 4)],
    }
    bundle |= {"rounds": [one | {"most": 8, "runs": 5, "requests": 15}, one | {"most": 1, "runs": 7, "requests": 7}]}
    found |= {"bundle": bundle}
    return (
        found | {"starts": [{"seconds": 1.0, "cpu_s": 1.0}, {"seconds": 2.9, "cpu_s": 1.1}], "rounds": [one]} | changed
    )


def test_the_part_of_the_page_in_docs_is_made_from_the_results() -> None:
    results = [json.loads((RESULTS / f"{name}.json").read_text()) for name in ("service", "detectors", "fuzz")]
    assert (ROOT / "docs" / "performance.md").read_text().endswith("\n\n" + page.section(*results))


def test_the_slowest_start_decides() -> None:
    found = _found()
    assert page.judge(found)
    assert "(goal: 3 s; met)" in page.section(found, None, None)
    found["starts"].append({"seconds": 3.1, "cpu_s": 1.0})
    assert not page.judge(found)
    assert "at most 3.10 s in 3 starts (goal: 3 s; **missed**)" in page.section(found, None, None)


def test_an_answer_that_is_neither_200_nor_503_misses() -> None:
    found = _found()
    found["rounds"][0]["other"] = 1
    assert not page.judge(found)


def test_a_machine_that_was_not_quiet_is_told() -> None:
    found = _found()
    assert "not quiet" not in page.section(found, None, None)
    found["machine"]["quiet"] = False
    assert "not quiet" in page.section(found, None, None)


def test_requests_per_run_are_told_for_shared_runs_and_for_runs_of_one() -> None:
    said = page.section(_found(), None, None)
    assert "| 8 | 2.0 | 0.50 | 0.60 | 3.0 | 0.25 | 300 |" in said
    assert "| 1 | 2.0 | 0.50 | 0.60 | 1.0 | 0.25 | 300 |" in said


async def test_nothing_but_refusals_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PAUSE", 0.0)
    refuses = httpx.MockTransport(lambda _request: httpx.Response(401, text="no key"))
    whole = httpx.AsyncClient

    class Refused:
        url = "http://models"

        def cpu(self) -> float:
            return 0.0

    monkeypatch.setattr(httpx, "AsyncClient", lambda **_: whole(base_url="http://models", transport=refuses))
    with pytest.raises(RuntimeError, match=r"not one answer; instead 401 no key"):
        await clients._measure(Refused(), clients.Media("a.jpg", "image/jpeg", b"", ["A-V1"]), 1, 0.05)  # type: ignore[arg-type]


async def test_a_full_house_is_counted_apart_and_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PAUSE", 0.0)
    statuses = itertools.cycle([200, 503, 503, 500])
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        if len(bodies) == 9:
            raise httpx.ConnectError("gone")
        return httpx.Response(next(statuses))

    tally = clients._Tally()
    media = clients.Media("a.jpg", "image/jpeg", b"picture", ["A-V1"])
    async with httpx.AsyncClient(base_url="http://models", transport=httpx.MockTransport(answer)) as client:
        until = time.perf_counter() + 0.2
        await clients._ask(client, media, itertools.cycle(media.models), itertools.count(), until, tally)
    assert len(bodies) > 9
    assert tally.broken == 1
    assert len(tally.late) == tally.statuses[200]
    assert sum(tally.statuses.values()) == len(bodies) - 1
    assert len({body.partition(b"picture")[2] for body in bodies}) == len(bodies), "a file was sent twice"


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert clients.percentile(values, 0.95) == 95.0
    assert clients.percentile([3.0], 0.95) == 3.0
