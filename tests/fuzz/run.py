"""`python tests/fuzz/run.py`: fuzz the decoding, guided by coverage, and write what came of it as JSON. `make fuzz` calls it.

Pictures, films and sounds are fuzzed one after the other, so that each gets its share. Needs atheris (requirements-fuzz.lock)
on the path. Exit code 1 when anything was found; the inputs lie in the findings folder that is printed.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import booking
import seeds
import target
import watching

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "benchmarks" / "out" / "fuzz.json"
LINES_S = 600
"""Seconds for replaying a corpus line by line."""
MOST_ENDS = 20
"""Crashes and hangs of one kind of media after which it is given up: the same one would only come again."""


def main() -> int:
    """Parse the words, fuzz, tell."""
    parser = argparse.ArgumentParser(prog="tests/fuzz/run.py", description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=50_000, help="of all kinds of media together (default 50000)")
    parser.add_argument("--seconds", type=int, default=600, help="at most, all together (default 600)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON is written")
    parser.add_argument(
        "--findings", type=Path, default=OUT.with_name("fuzz-findings"), help="where inputs that did harm are kept"
    )
    words = parser.parse_args()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "OMP_NUM_THREADS": "1",
        "SVT_LOG": "1",
    }
    with tempfile.TemporaryDirectory(prefix="drishtiksha-fuzz-") as folder:
        shares: dict[str, dict[str, Any]] = {}
        until = time.monotonic() + words.seconds
        for name in seeds.FAMILIES:
            # What one kind leaves of its time is the next ones'.
            seconds = round((until - time.monotonic()) / (len(seeds.FAMILIES) - len(shares)))
            share = words.inputs // len(seeds.FAMILIES)
            shares[name] = _share(name, Path(folder) / name, share, seconds, words.seed, environment)
        found = _figures(shares, _plain(Path(folder) / "plain", words.seed, environment), words.seed)
        words.out.parent.mkdir(parents=True, exist_ok=True)
        words.out.write_text(json.dumps(found, indent=1) + "\n")
        for name in (*shares, "plain"):
            if (Path(folder) / name / booking.FINDINGS).exists():
                shutil.copytree(Path(folder) / name / booking.FINDINGS, words.findings / name, dirs_exist_ok=True)
    print(json.dumps({key: found[key] for key in ("inputs", "crashes", "hangs", "over", "faults", "lines")}, indent=1))
    if found["findings"]:
        print(f"{len(found['findings'])} findings; the inputs lie in {words.findings}")
    return 1 if found["findings"] else 0


def _share(
    name: str, folder: Path, inputs: int, seconds: int, seed: int, environment: dict[str, str]
) -> dict[str, Any]:
    """One kind of media: its seeds, then guided inputs until the number or the time is reached."""
    corpus, drawn = folder / "corpus", folder / "drawn"
    for place in (corpus, drawn):
        place.mkdir(parents=True)
        for key, data in seeds.seeds(name).items():
            (place / key).write_bytes(data)
    began, cpu, ends, said = time.monotonic(), _children_cpu(), 0, ""
    while ends < MOST_ENDS:
        left, rest = inputs - booking.read(folder)["inputs"], seconds - round(time.monotonic() - began)
        if left <= 0 or rest <= 0:
            break
        command = [
            sys.executable,
            str(HERE / "guided.py"),
            str(folder),
            str(corpus),
            str(left),
            str(rest),
            str(seed + ends),
        ]
        ended = watching.attend(command, folder, environment=environment)
        said = ended.said if "cov:" in ended.said else said
        if ended.how == "stopped":
            sys.exit("The fuzzing was stopped from outside; nothing was written.")
        if ended.how == "done":
            break
        ends += 1
    took, cpu = time.monotonic() - began, _children_cpu() - cpu
    print(f"{name}: {booking.read(folder)['inputs']} inputs in {took:.0f} s", file=sys.stderr, flush=True)
    return {
        **booking.read(folder),
        "seconds": round(took, 1),
        "cpu_s": round(cpu, 1),
        "seeds": len(list(drawn.iterdir())),
        "kept": len(list(corpus.iterdir())),
        "edges": max((int(n) for n in re.findall(r"cov: (\d+)", said)), default=0),
        "lines_by_seeds": _lines(drawn, environment),
        "lines": _lines(corpus, environment),
    }


def _plain(folder: Path, seed: int, environment: dict[str, str]) -> dict[str, Any]:
    """All seeds as they are and, larger than any guided input may be, the bombs."""
    folder.mkdir()
    command = [sys.executable, str(HERE / "dealt.py"), str(folder), "0", str(seed), *seeds.BOMBS]
    watching.attend(command, folder, environment=environment)
    return booking.read(folder)


def _lines(folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "lines.py"), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LINES_S, env=environment)
    lines: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return lines


def _figures(shares: dict[str, dict[str, Any]], plain: dict[str, Any], seed: int) -> dict[str, Any]:
    """All that the page tells."""
    looked = {**shares, "plain": plain}
    findings = [{"media": name, **one} for name, share in looked.items() for one in share["findings"]]
    wrongs = Counter(one["wrong"] for one in findings)
    return {
        "taken": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {
            "cpus": os.cpu_count(),
            "system": platform.system(),
            "python": platform.python_version(),
            "load": round(os.getloadavg()[0], 1),
        },
        "engine": f"atheris {importlib.metadata.version('atheris')}",
        "seed": seed,
        "bounds": {"cpu_s": target.CPU_S, "grown_mib": target.GROWN_MIB, "still_s": watching.PATIENCE},
        "inputs": sum(share["inputs"] for share in looked.values()),
        "seconds": round(sum(share["seconds"] for share in shares.values()), 1),
        "cpu_s": round(sum(share["cpu_s"] for share in shares.values()), 1),
        "crashes": wrongs["crash"],
        "hangs": wrongs["hang"],
        "over": wrongs["over"],
        "faults": wrongs["fault"],
        "largest": {
            "guided": _largest(*shares.values()),
            "plain": _largest(plain),
        },
        "lines": _coverage(shares),
        "media": {
            name: {
                **{key: share[key] for key in ("inputs", "seconds", "cpu_s", "seeds", "kept", "edges")},
                "ways": len(share["signs"]),
                "decoded": sum(n for _, outcome, n in share["outcomes"] if outcome == "decoded"),
                "kinds": sorted({kind for kind, outcome, _ in share["outcomes"] if outcome == "decoded"}),
            }
            for name, share in shares.items()
        },
        "findings": findings,
    }


def _largest(*shares: dict[str, Any]) -> dict[str, float]:
    return {key: round(max(share["largest"].get(key, 0.0) for share in shares), 2) for key in ("cpu_s", "grown_mib")}


def _coverage(shares: dict[str, dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Lines of each module that all kinds of media together reach, by the seeds and by what was kept."""
    told: dict[str, dict[str, int]] = {}
    for name, module in next(iter(shares.values()))["lines"].items():
        reached = {
            key: set().union(*(s[key][name]["reached"] for s in shares.values())) for key in ("lines_by_seeds", "lines")
        }
        told[name] = {
            "lines": module["lines"],
            "by_seeds": len(reached["lines_by_seeds"]),
            "reached": len(reached["lines"]),
        }
    return told


def _children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    sys.exit(main())
