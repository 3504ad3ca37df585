"""`python benchmarks/orchestration/run.py`: run the benchmark, print the table, write the JSON; `--report` writes the page.

`make bench` calls it without options. Everything it starts is thrown away at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from orchestration import report, story  # noqa: E402  found through the line above
from service import page as service  # noqa: E402

RESULTS = HERE.parent / "results" / "orchestration.json"
DEMO = RESULTS.with_name("demo.json")
"""Seconds of `make demo`, by hand: {"fresh_clone": …, "second": …, "cold": …}, each may be missing."""
PAGE = HERE.parents[1] / "docs" / "performance.md"


def main() -> None:
    """Parse the words, do what they say."""
    parser = argparse.ArgumentParser(prog="benchmarks/orchestration/run.py", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50, help="runs per round, three models each (default 50)")
    parser.add_argument("--users", type=int, default=5, help="people who upload at the same time (default 5)")
    parser.add_argument("--uploads", type=int, default=20, help="single uploads on the idle platform (default 20)")
    parser.add_argument(
        "--idle", type=float, default=60.0, help="seconds that the idle platform is watched (default 60)"
    )
    flags = parser.add_mutually_exclusive_group()
    flags.add_argument("--both", dest="flags", action="store_const", const=("raised", "stock"), help="the default")
    flags.add_argument("--stock-qps", dest="flags", action="store_const", const=("stock",), help="only stock flags")
    flags.add_argument("--raised-qps", dest="flags", action="store_const", const=("raised",), help="only 300/400")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out", help="folder of the JSON (benchmarks/out)")
    parser.add_argument("--keep", type=Path, help="keep logs and the audit log in this folder")
    parser.add_argument(
        "--report", nargs="?", const=RESULTS, type=Path, metavar="JSON", help="write docs/performance.md and end"
    )
    words = parser.parse_args()
    if words.report is not None:
        found = json.loads(words.report.read_text(encoding="utf-8"))
        if DEMO.exists():
            found["demo"] = json.loads(DEMO.read_text(encoding="utf-8"))
        beside = (_result(name) for name in ("service", "detectors", "fuzz"))
        PAGE.write_text("\n".join(filter(None, (report.page(found), service.section(*beside)))), encoding="utf-8")
        return
    plan = story.Plan(
        runs=words.runs,
        users=words.users,
        uploads=words.uploads,
        idle=words.idle,
        flags=words.flags or ("raised", "stock"),
        keep=words.keep,
    )
    found = story.tell(plan)
    words.out.mkdir(parents=True, exist_ok=True)
    target = words.out / "orchestration.json"
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(report.table(found))
    print(f"written: {os.path.relpath(target)}")
    sys.exit(0 if report.held(found) else 1)


def _result(name: str) -> Any:
    """What another benchmark has left in benchmarks/results/; None where it has not."""
    path = RESULTS.with_name(f"{name}.json")
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


if __name__ == "__main__":
    main()
