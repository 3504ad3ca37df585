"""The table on the terminal and the page docs/performance.md, both from the benchmark's JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import audit
from .reasons import MENDED, REASONS
from .targets import FLAGS, Target, cpu, cpu_ratios, judge, platform_windows, ratios

_OURS = ("drishtiksha-api", "drishtiksha-operator")


def held(found: Mapping[str, Any]) -> bool:
    """Whether every target was met."""
    return all(t.held for t in judge(found))


def table(found: Mapping[str, Any]) -> str:
    """The targets as lines of text."""
    targets = judge(found)
    width = max(len(t.what) for t in targets)
    return "\n".join(
        f"{'met   ' if t.held else 'MISSED'}  {t.what:<{width}}  {t.wanted:<18} {t.figure}" for t in targets
    )


def page(found: Mapping[str, Any]) -> str:
    """The whole page."""
    plan, machine = found["plan"], found["machine"]
    parts = [
        "# Performance",
        "What the platform costs beyond the work itself, measured on one machine. The numbers of requests and statements"
        " do not depend on the machine; seconds do, and so do ratios where processors are short. This page is made by the"
        " benchmark from its own results (`benchmarks/results/orchestration.json`).",
        "```sh\nmake bench                                          # measure; writes benchmarks/out/orchestration.json\n"
        "python benchmarks/orchestration/run.py --help       # fewer runs, one set of flags, …\n"
        "python benchmarks/orchestration/run.py --report     # make this page from benchmarks/results/orchestration.json\n```",
        _how(found, plan, machine),
        "## Targets",
        _targets(judge(found)),
        _misses(judge(found)),
        "## Side by side",
        _rounds_text(plan),
        *(_round_table(flags, rounds) for flags, rounds in found["rounds"].items()),
    ]
    if "live" in found:
        parts += ["## How soon the owner sees it", _live(found["live"])]
    if "single" in found:
        parts += ["## Requests and statements per run", _requests(found)]
    parts += ["## Memory", _memory(found), "## What these figures have changed", MENDED.rstrip()]
    return "\n\n".join(p for p in parts if p) + "\n"


def _how(found: Mapping[str, Any], plan: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    return (
        f"Measured {found['taken']} on {machine['cpus']} cores and {machine['memory_gib']} GiB ({machine['system']}, Python"
        f" {machine['python']}, Kubernetes {found['kubernetes']}); everything ran on this one machine: the control plane, the"
        f" process node with its pods, PostgreSQL, Valkey, the platform and the measuring itself. Load average"
        f" {machine['load_before']} before, {found['load_after']} after. {plan['runs']} runs of {plan['models']} models per"
        f" round, {plan['users']} people at the same time, every cap on attempts in flight raised to 1,000."
    )


def _targets(targets: Sequence[Target]) -> str:
    rows = [(t.what, t.wanted, t.figure, "met" if t.held else "**missed**") for t in targets]
    return _table(("", "Target", "Measured", ""), rows)


def _misses(targets: Sequence[Target]) -> str:
    missed = [t for t in targets if not t.held]
    if not missed:
        return ""
    return "\n".join(f"- **{t.what}**: {REASONS.get(t.key, 'the reason is not known yet.')}" for t in missed)


def _rounds_text(plan: Mapping[str, Any]) -> str:
    return (
        "Both sides make the same pods: the bare side posts the very Jobs that the operator's builder makes, 20 at a time,"
        " with their Secrets already there, and its runners find a door and models that answer at once. The platform's side"
        " asks the same models. *uploads* begins with the first byte of the first upload, so that it holds the storing and"
        " the sandboxed look at each file, too; *reruns* are new runs of media that are there: the orchestration alone. A"
        " round ends when the last run is final **and** the last Job was seen Complete; bare rounds stand before and after."
        ' "Others" are CPU seconds that the machine spent on anything else in that time, the measuring included.'
    )


def _round_table(flags: str, rounds: Mapping[str, Any]) -> str:
    seconds, processors = ratios(rounds), cpu_ratios(rounds)
    rows = []
    for name, r in rounds.items():
        s = r["seconds"]
        final = f"{s['concluded']:.1f}" if "concluded" in s else ""
        ratio = f"{seconds[name]:.2f}×" if name in seconds else ""
        work = f"{processors[name]:.2f}×" if name in processors else ""
        rows.append((name, f"{s['makespan']:.1f}", final, ratio, f"{cpu(r):.0f}", work, f"{r['other_cpu']:.0f}"))
    head = ("Round", "Makespan, s", "Last run final, s", "Ratio", "CPU, s", "CPU ratio", "Others, CPU s")
    return f"### Controller-manager flags: {FLAGS[flags]}\n\n{_table(head, rows)}\n\n{_cpu_table(rounds)}"


def _cpu_table(rounds: Mapping[str, Any]) -> str:
    names = sorted({n for r in rounds.values() for n in r["processes"]})
    rows = []
    for name in names:
        used = [r["processes"].get(name, {}) for r in rounds.values()]
        rows.append((name, *(f"{u.get('cpu', 0.0):.1f}" for u in used)))
        if any(u.get("children", 0.0) >= 0.1 for u in used):
            what = {"cpu-0": "the pods of cpu-0", "api": "the api's looks at files"}.get(name, f"children of {name}")
            rows.append((what, *(f"{max(0.0, u.get('children', 0.0)):.1f}" for u in used)))
    return "CPU seconds:\n\n" + _table(("Process", *rounds), rows)


def _live(live: Mapping[str, Any]) -> str:
    words = {
        "first": "any event",
        "RUN_QUEUED": "RUN_QUEUED (the run is accepted)",
        "ANALYSIS_QUEUED": "ANALYSIS_QUEUED (the models are known)",
        "ANALYSIS_STARTED": "ANALYSIS_STARTED (a pod works)",
        "RUN_COMPLETED": "RUN_COMPLETED (the verdict)",
    }
    rows = [(words[n], f"{live[n]['p50']:.2f}", f"{live[n]['max']:.2f}") for n in words if n in live]
    text = (
        f"{live['uploads']} uploads, one after the other on an otherwise idle platform, with a Socket.IO client of the same"
        " person. Seconds after the 202; 0 means that the event was there before the answer."
    )
    return f"{text}\n\n{_table(('First event', 'p50, s', 'Largest, s'), rows)}"


def _requests(found: Mapping[str, Any]) -> str:
    windows = platform_windows(found)
    columns = {name: (window["requests"], runs) for name, (window, runs) in windows.items()}
    rows = []
    users = sorted(
        {u for counts, _ in columns.values() for u in counts if u != "admin"}, key=lambda u: (u not in _OURS, u)
    )
    for user in users:
        asked = {w for counts, _ in columns.values() for w in counts.get(user, {})}
        whats = sorted(w for w in asked if not w.split()[1].startswith("/"))
        for what in whats:
            per = [audit.per_run(counts, n).get(user, {}).get(what, 0.0) for counts, n in columns.values()]
            if max(per) >= 0.2:
                rows.append((user, what, *(f"{p:.2f}".rstrip("0").rstrip(".") for p in per)))
    text = "Kubernetes requests per run, from the API server's audit log (what is below 0.2 per run is left out):"
    kube = _table(("Who", "What", *columns), rows)
    sql = []
    for name in ("api", "door", "operator"):
        for kind, word in (
            ("statements", "all"),
            ("framing", "BEGIN, COMMIT"),
            ("reads", "reads"),
            ("writes", "writes"),
        ):
            per = [w["processes"][name]["sql"][kind] / n for w, n in windows.values()]
            sql.append((name, word, *(f"{p:.1f}" for p in per)))
    more = "SQL statements per run, from pg_stat_statements, each process by a role of its own:"
    return f"{text}\n\n{kube}\n\n{more}\n\n{_table(('Process', '', *windows), sql)}"


def _memory(found: Mapping[str, Any]) -> str:
    peaks = found.get("memory_peak", {})
    names = sorted({n for row in peaks.values() for n in row})
    idle = found.get("memory_idle", {})
    rows = [
        (n, f"{idle[n]:.0f}" if n in idle else "", *(f"{row[n]:.0f}" if n in row else "" for row in peaks.values()))
        for n in names
    ]
    text = "Resident memory in MiB: on the idle platform after its first run, and the largest of its life (VmHWM)."
    return f"{text}\n\n{_table(('Process', 'Idle', *(f'Largest, {FLAGS[f]}' for f in peaks)), rows)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
