"""What was promised, beside what was measured. Pure: the benchmark's JSON in, one verdict per target out.

Counts and ratios are gates; seconds and MiB stand beside their limits, too, for they were promised as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from . import audit

OPERATOR, API = "drishtiksha-operator", "drishtiksha-api"
FLAGS = {"raised": "300/400", "stock": "stock (20/30)"}
"""The controller-manager's requests per second and burst."""
LIMITS = {"raised": 1.5, "stock": 1.3}
"""Makespan against bare Jobs, by the controller-manager's flags."""


@dataclass(frozen=True)
class Target:
    """One promise. `figure` in words; `held` says whether it was kept."""

    what: str
    wanted: str
    figure: str
    held: bool
    key: str
    """For the reason of a miss."""


def judge(found: Mapping[str, Any]) -> list[Target]:
    """Every target that these measurements can answer, in the order in which the page shows them."""
    targets: list[Target] = []
    if "single" in found:
        targets += _one_run(found)
    if "second_look" in found:
        targets += [_second_look(found["second_look"]), _idle(found["idle"])]
    for flags, rounds in found.get("rounds", {}).items():
        targets.append(_makespan(flags, rounds))
    if "live" in found:
        first = found["live"]["first"]["p50"]
        targets.append(Target("First live event after the 202, p50", "≤ 2 s", f"{first:.2f} s", first <= 2, "live"))
        if "ANALYSIS_STARTED" in found["live"]:
            start = found["live"]["ANALYSIS_STARTED"]["p50"]
            what = "First event of a running model (its pod has started) after the 202, p50"
            targets.append(Target(what, "≤ 2 s", f"{start:.2f} s", start <= 2, "live"))
    targets += _memory(found)
    targets += _demo(found.get("demo", {}))
    return targets


def ratios(rounds: Mapping[str, Any]) -> dict[str, float]:
    """Makespan of each platform round against the mean of the bare ones."""
    bare = mean(r["seconds"]["makespan"] for name, r in rounds.items() if name.startswith("bare"))
    return {
        name: round(r["seconds"]["makespan"] / bare, 2) for name, r in rounds.items() if not name.startswith("bare")
    }


def cpu_ratios(rounds: Mapping[str, Any]) -> dict[str, float]:
    """The same of all CPU seconds that the measured processes used: what the ratio is where nobody else works."""
    bare = mean(cpu(r) for name, r in rounds.items() if name.startswith("bare"))
    return {name: round(cpu(r) / bare, 2) for name, r in rounds.items() if not name.startswith("bare")}


def cpu(window: Mapping[str, Any]) -> float:
    """CPU seconds of all measured processes and their children in a window."""
    return sum(float(p.get("cpu", 0.0)) + float(p.get("children", 0.0)) for p in window["processes"].values())


def sql_rows(window: Mapping[str, Any]) -> int:
    """Rows written to PostgreSQL by api, door and operator together."""
    return sum(p["sql"]["rows_written"] for p in window["processes"].values() if "sql" in p)


def foreign_writes(window: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Writes to Kubernetes by anybody but the measuring administrator, leases left out."""
    kept: dict[str, dict[str, int]] = {}
    for user, row in window["requests"].items():
        wrote = {w: n for w, n in row.items() if w.split()[0] in audit.WRITES and not w.endswith(" leases")}
        if wrote and user != "admin":
            kept[user] = wrote
    return kept


def platform_windows(found: Mapping[str, Any]) -> dict[str, tuple[Mapping[str, Any], int]]:
    """Every stretch in which runs went through the platform to their end, by name, with the number of its runs."""
    windows: dict[str, tuple[Mapping[str, Any], int]] = {"one at a time": (found["single"], found["single"]["runs"])}
    for flags, rounds in found.get("rounds", {}).items():
        for name, r in rounds.items():
            if not name.startswith("bare"):
                windows[f"{name}, {FLAGS[flags]}"] = (r.get("counts", r), found["plan"]["runs"])
    return windows


def _one_run(found: Mapping[str, Any]) -> list[Target]:
    windows = platform_windows(found)
    creates = [audit.writes(w["requests"], OPERATOR, "create") / runs for w, runs in windows.values()]
    theirs = [audit.writes(w["requests"], API) / runs for w, runs in windows.values()]
    patches = [w["most_patches_of_one_run"] for w, _ in windows.values()]
    row = audit.per_run(found["single"]["requests"], found["single"]["runs"]).get(OPERATOR, {})
    made = ", ".join(f"{n:g} {what.removeprefix('create ')}" for what, n in row.items() if what.startswith("create "))
    busy = f", {max(patches[1:])} when busy" if len(patches) > 1 else ""
    return [
        Target(
            "Creates by the operator per healthy run of 3 models",
            "5",
            f"{_all(creates)} ({made})",
            all(c == 5 for c in creates),
            "create",
        ),
        Target(
            "Patches by the operator, the most of any run",
            "≤ 6",
            f"{patches[0]} alone{busy}",
            max(patches) <= 6,
            "patch",
        ),
        Target("Writes by the api per run", "1", _all(theirs), all(t == 1 for t in theirs), "api-write"),
    ]


def _all(values: Sequence[float]) -> str:
    """One number if they are all the same, else the smallest and the largest."""
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _second_look(window: Mapping[str, Any]) -> Target:
    kube, rows = audit.writes(window["requests"], OPERATOR), sql_rows(window)
    what = f"Writes at another look at {window['runs']} settled runs"
    looks = window["requests"].get(OPERATOR, {}).get("get mediaanalyses", 0)
    figure = f"{kube:g} to Kubernetes, {rows} SQL rows ({looks} looks)"
    return Target(what, "0 and 0", figure, kube == 0 and rows == 0 and looks >= window["runs"], "second")


def _idle(window: Mapping[str, Any]) -> Target:
    wrote, rows = foreign_writes(window), sql_rows(window)
    count = sum(sum(row.values()) for row in wrote.values())
    what = f"Writes of an idle platform in {window['length']:.0f} s, leases aside"
    return Target(what, "0", f"{count} to Kubernetes, {rows} SQL rows", count == 0 and rows == 0, "idle")


def _makespan(flags: str, rounds: Mapping[str, Any]) -> Target:
    found, limit = ratios(rounds), LIMITS[flags]
    words = ", ".join(f"{ratio:.2f}× ({name})" for name, ratio in found.items())
    what = f"Makespan against bare Jobs, {FLAGS[flags]} flags"
    return Target(what, f"≤ {limit}×", words, all(r <= limit for r in found.values()), f"makespan-{flags}")


def _memory(found: Mapping[str, Any]) -> list[Target]:
    targets = []
    for name, limit in (("operator", 130), ("api", 150)):
        idle = found.get("memory_idle", {}).get(name)
        peaks = [row[name] for row in found.get("memory_peak", {}).values() if name in row]
        if idle is not None and peaks:
            figure = f"{idle:.0f} MiB idle, {max(peaks):.0f} MiB at most"
            targets.append(
                Target(f"Memory of the {name}", f"≤ {limit} MiB", figure, max(idle, *peaks) <= limit, f"rss-{name}")
            )
    runner = found.get("runner")
    if runner:
        figure = f"{runner['rss']:.0f} MiB, {runner['cpu']:.2f} CPU seconds"
        held = runner["rss"] <= 60 and runner["cpu"] <= 0.5
        targets.append(Target("A runner before its first request", "≤ 60 MiB, ≤ 0.5 s", figure, held, "runner"))
    return targets


DEMO = {
    "fresh_clone": ("`make demo` in a fresh clone to its first verdict, control plane cached", 180.0),
    "second": ("A second `make demo`", 45.0),
    "cold": ("`make demo` with the control plane built (measured when it showed five files)", 900.0),
}
"""Timed by hand, in seconds, and kept beside the other results."""


def _demo(times: Mapping[str, float]) -> list[Target]:
    return [
        Target(what, f"≤ {limit:.0f} s", f"{times[key]:.0f} s", times[key] <= limit, f"demo-{key}")
        for key, (what, limit) in DEMO.items()
        if key in times
    ]
