"""The targets, the table on the terminal and the page docs/performance-uploads.md, all from the benchmark's JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Target:
    """One thing that was to hold, and the figure; `held` is None where there is nothing to hold."""

    what: str
    wanted: str
    figure: str
    held: bool | None


def judge(found: Mapping[str, Any]) -> list[Target]:
    """What was to hold, in the order of the page."""
    alone, together, sockets = found["alone"], found["together"], found["sockets"]
    size, each = alone["bytes"] / 1e6, together["bytes"] / _MIB
    rate = alone["bytes"] / alone["upload_seconds"] / 1e6
    targets = [
        Target(f"Memory of the api, largest, in an upload of {size:.0f} MB", "≤ 150 MiB", f"{alone['peak_mib']:.0f} MiB", alone["peak_mib"] <= 150),
        Target(
            "Its rate, of a plain copy's with a flush", "≥ 80 %",
            f"{alone['share_of_copy']:.0%} ({rate:.0f} MB/s, median of {alone['rounds']});"
            f" {alone['hashed_copy_seconds'] / alone['upload_seconds']:.0%} of a copy that also hashes;"
            f" {alone['cpu_seconds']:.2f} s of the api's processor time",
            alone["share_of_copy"] >= 0.8,
        ),
        Target(
            f"Memory of the api, largest, in {together['many']} uploads of {each:.0f} MiB at once", "≤ 200 MiB",
            f"{together['peak_mib']:.0f} MiB ({together['seconds']:.0f} s)", together["peak_mib"] <= 200,
        ),
    ]  # fmt: skip
    for read in found["reads"]:
        figure = f"{read['per_second']:.0f} on one core, {read['per_cpu_second']:.0f} per second of its processor time"
        targets.append(Target(f"Requests per second without a login: {read['what']}", "–", figure, None))
    idle = f"{sockets['idle_mib']:.0f} MiB, {sockets['kib_per_socket']:.0f} KiB each"
    live = (
        f"{sockets['deliveries']} of {sockets['told'] * sockets['sockets'] // sockets['users']} told,"
        f" {sockets['late_p50_seconds'] * 1000:.0f} ms late (p50), {sockets['late_p99_seconds'] * 1000:.0f} ms (p99);"
        f" {sockets['cpu_share']:.0%} of a core, {sockets['peak_mib']:.0f} MiB at most"
    )
    return [
        *targets,
        Target(f"Memory of the api with {sockets['sockets']} idle sockets", "–", idle, None),
        Target(f"{sockets['events_per_second']:.0f} events a second to them", "none lost", live, sockets["lost"] == 0),
    ]


def held(found: Mapping[str, Any]) -> bool:
    """Whether every target was met."""
    return all(target.held is not False for target in judge(found))


_WORDS: dict[bool | None, str] = {True: "met", False: "MISSED", None: ""}


def table(found: Mapping[str, Any]) -> str:
    """The targets as lines of text."""
    return "\n".join(f"{_WORDS[t.held]:7}{t.what}: {t.figure}  (wanted: {t.wanted})" for t in judge(found))


def page(found: Mapping[str, Any]) -> str:
    """The whole page."""
    machine = found["machine"]
    rows = [
        f"| {t.what} | {t.wanted} | {t.figure} | {'**missed**' if t.held is False else _WORDS[t.held]} |"
        for t in judge(found)
    ]
    return "\n".join([
        "# Performance: uploads, reads and sockets",
        "",
        "What large files, many at once, plain reads and many sockets cost one api process. This page is made by the benchmark"
        " from its own results (`benchmarks/results/uploads.json`).",
        "",
        "```sh",
        "python benchmarks/uploads/run.py             # measure; writes benchmarks/out/uploads.json",
        "python benchmarks/uploads/run.py --small     # the same with little of everything, to see that it works",
        "python benchmarks/uploads/run.py --report    # make this page from benchmarks/results/uploads.json",
        "```",
        "",
        f"Measured {found['taken']} on {machine['cpus']} cores and {machine['memory_gib']} GiB ({machine['system']}, Python"
        f" {machine['python']}); sender, api, PostgreSQL, Valkey and disk are of this one machine. Load average"
        f" {machine['load_before']:.1f} before. The plain copy reads the same file, writes it and flushes it, in turns"
        " with the uploads; an upload also crosses a socket, is looked at in a child, and commits a row. The events are"
        " progress: of two about one model within 0.25 s the second is dropped.",
        "",
        "|  | Target | Measured |  |",
        "|---|---|---|---|",
        *rows,
        "",
    ])  # fmt: skip
