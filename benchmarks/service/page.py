"""The part of docs/performance.md about the model service, from the results of three benchmarks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

READY_S = 3.0
"""Goal: seconds from the start of the process until /readyz says ready, each of the starts."""
TOGETHER_CPU_S, VIDEO_MIB = 10.0, 300
"""Goals of docs/detectors/cost.md."""


def section(
    service: Mapping[str, Any] | None, detectors: Mapping[str, Any] | None, fuzz: Mapping[str, Any] | None
) -> str:
    """Whatever of the three was measured; empty when nothing was."""
    parts = [
        "## The model service",
        *(_service(service) if service else ()),
        *(_detectors(detectors) if detectors else ()),
        *(_fuzz(fuzz) if fuzz else ()),
    ]
    return "\n\n".join(parts) + "\n" if len(parts) > 1 else ""


def judge(service: Mapping[str, Any]) -> bool:
    """Whether every start met the goal and nothing but 200 and 503 was answered."""
    return max(one["seconds"] for one in service["starts"]) <= READY_S and not any(
        r["other"] for r in service["rounds"]
    )


def _service(found: Mapping[str, Any]) -> list[str]:
    machine, starts = found["machine"], found["starts"]
    slowest = max(one["seconds"] for one in starts)
    quiet = (
        ""
        if machine["quiet"]
        else " **The machine was not quiet: other work took part of it, so seconds are too long.**"
    )
    models = {media["name"]: ", ".join(media["models"]) for media in found["media"]}
    rows = [
        (
            r["file"],
            str(r["clients"]),
            f"{r['per_second']:.1f}",
            _seconds(r["p50_s"]),
            _seconds(r["p95_s"]),
            str(r["refused_503"]),
            _seconds(r["cpu_s_per_answer"]),
            f"{r['cpu_s'] / r['seconds']:.2f}",
            str(r["memory_mib"]),
        )
        for r in found["rounds"]
    ]
    head = ("File", "Clients", "Answers/s", "p50, s", "p95, s", "503", "CPU s/answer", "Cores used", "Memory, MiB")
    return [
        "One real `drishtiksha-models serve` with real clients over HTTP (`make bench-service`; this part is made from"
        " `benchmarks/results/service.json`)."
        f" Measured {found['taken']} on {machine['cpus']} cores ({machine['system']}, Python {machine['python']}), load average"
        f" {machine['load_before']} before; the clients and {machine['others_cpu_s']:.0f} CPU seconds of other work were on the"
        f" same cores.{quiet}",
        f"**From the start of the process to ready** (all detectors loaded in a first worker): {median(s['seconds'] for s in starts):.2f} s,"
        f" at most {slowest:.2f} s in {len(starts)} starts (goal: {READY_S:.0f} s; {'met' if slowest <= READY_S else '**missed**'});"
        f" {median(s['cpu_s'] for s in starts):.2f} CPU s.",
        f"**Requests.** {found['workers']} workers and {found['waiting']} places to wait; each client asks for the next analysis when it"
        f" has its answer, for {found['seconds']:.0f} s. Detectors in turn for {'; for '.join(f'the {n}: {m}' for n, m in models.items())}."
        " Each file differs in its last bytes, so that nothing is recalled. A 503 (all places taken) is counted apart, and asked again"
        " after a quarter of a second.",
        "\n".join([_row(head), "|" + "---|" * len(head), *map(_row, rows)]),
        f"Files: {'; '.join(m['what'] for m in found['media'])}.",
        *_bundle(found["bundle"]),
    ]


def _bundle(found: Mapping[str, Any]) -> list[str]:
    """Runs that are shared against runs of one, side by side, and memory by workers."""
    shared, single = found["rounds"]
    few, many = found["memory_mib"]
    rows = [
        (
            str(r["most"]),
            f"{r['per_second']:.1f}",
            _seconds(r["p50_s"]),
            _seconds(r["p95_s"]),
            f"{r['requests'] / r['runs']:.1f}",
            _seconds(r["cpu_s_per_answer"]),
            str(r["memory_mib"]),
        )
        for r in (shared, single)
    ]
    head = ("max_batch", "Answers/s", "p50, s", "p95, s", "Requests per run", "CPU s/answer", "Memory, MiB")
    return [
        f"**A bundle's network** of {found['weights_mib']} MiB of random weights ([bundles.md](detectors/bundles.md#how-it-is-run)), asked by"
        f" {found['clients']} clients through {found['workers']} workers, with runs of several requests and with runs of one:"
        f" {shared['per_second'] / single['per_second']:.2f} times the answers per second. Memory of all processes together with"
        f" {few['workers']} worker {few['mib']} MiB, with {many['workers']} workers {many['mib']} MiB: the weights are held once.",
        "\n".join([_row(head), "|" + "---|" * len(head), *map(_row, rows)]),
    ]


def _detectors(found: Mapping[str, Any]) -> list[str]:
    together = found["together"]
    peak = max(one["peak_mib"] for one in found["alone"] if one["file"] == "clip")
    return [
        f"**Detectors** ([cost.md](detectors/cost.md), {found['taken']}): all {len(together['detectors'])} that take a clip of 10 s, in one process,"
        f" {together['cpu_s']:.1f} CPU s (goal: {TOGETHER_CPU_S:.0f}; {_met(together['cpu_s'] <= TOGETHER_CPU_S)}); memory of a process with one of them"
        f" at most {peak} MiB (goal: {VIDEO_MIB}; {_met(peak <= VIDEO_MIB)})."
    ]


def _fuzz(found: Mapping[str, Any]) -> list[str]:
    bounds, lines = found["bounds"], found["lines"].values()
    reached, seeded, there = (sum(one[key] for one in lines) for key in ("reached", "by_seeds", "lines"))
    harm = {key: found[key] for key in ("crashes", "hangs", "over", "faults")}
    rows = [
        (
            name,
            str(m["inputs"]),
            str(m["decoded"]),
            str(m["seeds"]),
            str(m["kept"]),
            str(m["edges"]),
            str(m["ways"]),
            f"{m['cpu_s']:.0f}",
        )
        for name, m in found["media"].items()
    ]
    head = ("Media", "Inputs", "Decoded", "Seeds", "Kept", "Edges", "Ways", "CPU s")
    return [
        f"**Hostile files** (`make fuzz`, {found['taken']}, {found['engine']}, {found['seconds']:.0f} s): {found['inputs']:,} inputs through identification,"
        f" decoding and PROVENANCE-V1: {harm['crashes']} crashes, {harm['hangs']} standstills ({bounds['still_s']:.0f} s), {harm['over']} over a bound"
        f" ({bounds['cpu_s']:.0f} CPU s, {bounds['grown_mib']} MiB, pixels, seconds, samples), {harm['faults']} errors that were no refusal."
        f" Guided inputs (64 KiB at most) took at most {found['largest']['guided']['cpu_s']:.1f} CPU s and {found['largest']['guided']['grown_mib']:.0f} MiB,"
        f" small files that unpack large {found['largest']['plain']['cpu_s']:.1f} CPU s and {found['largest']['plain']['grown_mib']:.0f} MiB."
        f" Of {there} lines of the decoding the seeds reach {seeded}, what was kept {reached}.",
        *_findings(found["findings"]),
        "\n".join([_row(head), "|" + "---|" * len(head), *map(_row, rows)]),
        "Python's bytecode (this service, Pillow) guides the fuzzer; FFmpeg and the other native libraries are not instrumented,"
        " so each new outcome (kind, codec, frames, complaint) counts as a way. Edges are libFuzzer's, ways included.",
    ]


def _findings(found: Sequence[Mapping[str, Any]]) -> list[str]:
    if not found:
        return []
    said = (f"{one['media']}: {one['wrong']}, {' '.join(one['words'].split())[:200]}" for one in found)
    return [f"Found in this run: {'; '.join(said)}."]


def _met(held: bool) -> str:
    return "met" if held else "**missed**"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
