"""How the benchmark judges, and that its page says what was missed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from orchestration import report, targets

SQL = {"statements": 10, "framing": 4, "reads": 4, "writes": 2, "rows_written": 2}
STILL = {**SQL, "writes": 0, "rows_written": 0}
OURS = {"create jobs": 6, "create secrets": 2, "create events": 2, "patch mediaanalyses/status": 6}
REQUESTS = {"drishtiksha-operator": OURS, "drishtiksha-api": {"create mediaanalyses": 2}}
"""Of two runs that went well."""


def _window(requests: dict[str, dict[str, int]], sql: dict[str, int]) -> dict[str, Any]:
    processes: dict[str, Any] = {
        name: {"cpu": 1.0, "children": 0.0, "sql": sql} for name in ("api", "door", "operator")
    }
    return {
        "length": 60.0,
        "requests": requests,
        "processes": processes,
        "other_cpu": 0.0,
        "most_patches_of_one_run": 3,
    }


def _round(makespan: float) -> dict[str, Any]:
    return {"seconds": {"makespan": makespan, "jobs_complete": makespan}, **_window(REQUESTS, SQL)}


@pytest.fixture
def found() -> dict[str, Any]:
    """Figures of a platform that keeps every promise."""
    looks = {"drishtiksha-operator": {"get mediaanalyses": 2}}
    quiet = {"system:node:cpu-0": {"patch leases": 6}, "admin": {"create jobs": 1}}
    rounds = {"bare-1": _round(10), "uploads": _round(14), "reruns": _round(12), "bare-2": _round(10)}
    return {
        "taken": "2026-01-01", "kubernetes": "v1", "load_after": 1.0,
        "plan": {"runs": 2, "models": 3, "users": 1, "uploads": 2},
        "machine": {"cpus": 2, "memory_gib": 8, "system": "Linux", "python": "3.11", "load_before": 1.0},
        "runner": {"rss": 35.0, "cpu": 0.3},
        "live": {"uploads": 2, "first": {"p50": 0.1, "max": 0.2}, "ANALYSIS_STARTED": {"p50": 1.0, "max": 1.2}},
        "single": {"runs": 2, **_window(REQUESTS, SQL)},
        "second_look": {"runs": 2, **_window(looks, STILL)},
        "idle": _window(quiet, STILL),
        "rounds": {"raised": rounds, "stock": {**rounds, "uploads": _round(12.5)}},
        "demo": {"fresh_clone": 100.0, "second": 30.0},
        "memory_idle": {"api": 120.0, "operator": 110.0},
        "memory_peak": {"raised": {"api": 130.0, "operator": 115.0}},
    }  # fmt: skip


def test_a_platform_that_keeps_every_promise_is_said_to(found: dict[str, Any]):
    assert [t.what for t in targets.judge(found) if not t.held] == []
    assert report.held(found)


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        (("single", "requests", "drishtiksha-operator", "create jobs"), 7, "create"),
        (("single", "most_patches_of_one_run"), 7, "patch"),
        (("rounds", "stock", "reruns", "most_patches_of_one_run"), 7, "patch"),
        (("rounds", "raised", "uploads", "requests", "drishtiksha-operator", "create jobs"), 7, "create"),
        (("single", "requests", "drishtiksha-api", "create mediaanalyses"), 3, "api-write"),
        (("second_look", "requests", "drishtiksha-operator", "patch mediaanalyses/status"), 1, "second"),
        (("second_look", "requests", "drishtiksha-operator", "get mediaanalyses"), 1, "second"),
        (("second_look", "processes", "operator", "sql"), SQL, "second"),
        (("idle", "requests", "job-controller"), {"update jobs/status": 1}, "idle"),
        (("idle", "processes", "api", "sql"), SQL, "idle"),
        (("rounds", "raised", "uploads"), _round(15.1), "makespan-raised"),
        (("rounds", "stock", "reruns"), _round(13.1), "makespan-stock"),
        (("live", "first", "p50"), 2.1, "live"),
        (("memory_peak", "raised", "api"), 151.0, "rss-api"),
        (("memory_idle", "operator"), 131.0, "rss-operator"),
        (("runner", "cpu"), 0.6, "runner"),
        (("demo", "second"), 46.0, "demo-second"),
    ],
)
def test_each_broken_promise_is_seen_and_alone(found: dict[str, Any], path: tuple[str, ...], value: Any, key: str):
    broken = copy.deepcopy(found)
    spot = broken
    for step in path[:-1]:
        spot = spot[step]
    spot[path[-1]] = value
    assert {t.key for t in targets.judge(broken) if not t.held} == {key}
    assert "**missed**" in report.page(broken)


def test_the_ratio_is_against_the_mean_of_the_bare_rounds():
    rounds = {"bare-1": _round(8), "uploads": _round(15), "bare-2": _round(12)}
    assert targets.ratios(rounds) == {"uploads": 1.5}


def test_every_target_with_a_reason_is_one_that_exists(found: dict[str, Any]):
    from orchestration.reasons import REASONS

    assert set(REASONS) <= {t.key for t in targets.judge(found)}
