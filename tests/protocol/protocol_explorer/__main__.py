"""`PYTHONPATH=tests/protocol python -m protocol_explorer [--large] [--write]`: explore, hunt mutants, tell."""

from __future__ import annotations

import sys

from .report import explore_large, explore_small, figures, hunt, render, write


def main() -> int:
    worlds = explore_small() + (explore_large() if "--large" in sys.argv else [])
    told = figures(worlds, hunt())
    print(render(told))
    for world in told["worlds"]:
        if world["fault"]:
            print(f"\nFAULT in {world['world']}: {world['fault']}", *world["trace"], sep="\n  ")
    if "--write" in sys.argv:
        write(told)
    bad = any(w["fault"] for w in told["worlds"]) or not all(m["caught"] for m in told["mutants"])
    print(f"{sum(f.seconds for f in worlds):.0f} s of CPU for the worlds", file=sys.stderr)
    return 1 if bad else 0


sys.exit(main())
