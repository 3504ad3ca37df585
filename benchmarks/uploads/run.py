"""`python benchmarks/uploads/run.py`: measure, print the table, write the JSON; `--report` writes the page.

Everything that it starts is thrown away at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from uploads import files, reads, report, sockets, stage  # noqa: E402  found through the line above

RESULTS = HERE.parent / "results" / "uploads.json"
PAGE = HERE.parents[1] / "docs" / "performance-uploads.md"
_MIB = 1024 * 1024


def main() -> None:
    """Parse the words, do what they say; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks/uploads/run.py", description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="little of everything: to see that it works")
    parser.add_argument("--folder", type=Path, help="where files and objects lie (default: the temporary folder)")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out", help="folder of the JSON (benchmarks/out)")
    parser.add_argument(
        "--report",
        nargs="?",
        const=RESULTS,
        type=Path,
        metavar="JSON",
        help="write docs/performance-uploads.md and end",
    )
    words = parser.parse_args()
    if words.report is not None:
        PAGE.write_text(report.page(json.loads(words.report.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    found = _measure(words.small, words.folder or Path(tempfile.gettempdir()))
    words.out.mkdir(parents=True, exist_ok=True)
    target = words.out / "uploads.json"
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(report.table(found))
    print(f"written: {os.path.relpath(target)}")
    sys.exit(0 if report.held(found) else 1)


def _measure(small: bool, folder: Path) -> dict[str, Any]:
    """Each part on a fresh api, so that no part's memory is another's."""
    alone, together, many = (20 * 10**6, 5 * _MIB, 4) if small else (400 * 10**6, 100 * _MIB, 20)
    rounds, seconds, users, rate = (2, 1.0, 2, 6.0) if small else (5, 15.0, 50, 100.0)
    found: dict[str, Any] = {"taken": time.strftime("%Y-%m-%d"), "machine": _machine(), "small": small}
    with tempfile.TemporaryDirectory(dir=folder) as here:
        with stage.api(Path(here), alone + _MIB) as api:
            print("one file", flush=True)
            found["alone"] = files.alone(api, stage.token(api), Path(here), alone, rounds)
        with stage.api(Path(here), together + _MIB) as api:
            print("many at once", flush=True)
            found["together"] = files.together(api, stage.token(api), Path(here), together, many)
        with stage.api(Path(here), _MIB) as api:
            print("reads", flush=True)
            found["reads"] = reads.measure(api, stage.token(api), _picture(), seconds)
        with stage.api(Path(here), _MIB) as api:
            print("sockets", flush=True)
            people = sockets.people(api, _picture(), users)
            found["sockets"] = asyncio.run(sockets.measure(api, people, rate, 2 * seconds))
    return found


def _picture() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((256, 192), 80).save(out, "PNG")
    return out.getvalue()


def _machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
