"""The page docs/detectors/cost.md from the benchmark's JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WHAT = {"clip": "10 s of 1280x720, 240 frames", "picture": "12 million pixels", "sound": "60 s at 48 kHz"}
TOGETHER_CPU_S, VIDEO_MIB = 10.0, 300
"""Goals: all detectors of the clip in one process; peak memory of a video detector."""


def page(found: Mapping[str, Any]) -> str:
    """The whole page."""
    machine = found["machine"]
    together = found["together"]
    alone = {(one["file"], name): one["detectors"][name] for one in found["alone"] for name in one["detectors"]}
    saved = sum(alone["clip", name]["cpu_s"] for name in together["detectors"]) - together["cpu_s"]
    peak = max(one["peak_mib"] for one in found["alone"] if one["file"] == "clip")
    parts = [
        "# What the detectors cost",
        "CPU seconds of one core and the highest memory of the process, on media that the benchmark draws. Each line is a"
        " process of its own that holds this one detector; loading is told apart. This page is made from"
        " `benchmarks/results/detectors.json`.",
        "```sh\npython benchmarks/detectors/run.py            # measure; writes benchmarks/out/detectors.json\n"
        "python benchmarks/detectors/run.py --report   # make this page from benchmarks/results/detectors.json\n```",
        f"Measured {found['taken']} on {machine['cpus']} cores ({machine['system']}, Python {machine['python']}); load average"
        f" {machine['load']}. CPU seconds rise by some tenths of their value when the machine is busy.",
        "\n".join(
            [
                "| detector | file | load, CPU s | examine, CPU s | peak, MiB | it says |",
                "|---|---|---|---|---|---|",
                *(_row(one) for one in found["alone"]),
            ]
        ),
        f"**All {len(together['detectors'])} that take a clip, in one process**: {together['cpu_s']:.1f} CPU s (goal:"
        f" {TOGETHER_CPU_S:.0f}; {'met' if together['cpu_s'] <= TOGETHER_CPU_S else 'missed'}), {together['peak_mib']} MiB. Faces"
        f" were looked for in {together['face_passes']} pass and recalled {together['faces_recalled']} times; that and what is"
        f" loaded once saves {saved:.1f} CPU s against one process each.",
        "| detector, in this order | CPU s |\n|---|---|\n"
        + "\n".join(f"| {name} | {one['cpu_s']:.1f} |" for name, one in together["detectors"].items()),
        f"**Memory of video detectors**: at most {peak} MiB (goal: {VIDEO_MIB}; {'met' if peak <= VIDEO_MIB else 'missed'}).",
    ]
    return "\n\n".join(parts) + "\n"


def _row(one: Mapping[str, Any]) -> str:
    ((name, said),) = one["detectors"].items()
    answer = said["status"] if said["reason"] is None else f"{said['status']}: {said['reason'].split(';')[0]}"
    return f"| {name} | {WHAT[one['file']]} | {one['load_cpu_s']:.1f} | {said['cpu_s']:.1f} | {one['peak_mib']} | {answer} |"
