"""`python benchmarks/detectors/run.py`: draw the media, measure each detector in a process of its own, print and write it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))

from detectors import made, page  # noqa: E402  found through the line above
from drishtiksha_models.decode.identify import identify  # noqa: E402
from drishtiksha_models.registry import discover  # noqa: E402

RESULTS = HERE.parent / "results" / "detectors.json"
OUT = HERE.parent / "out" / "detectors.json"
PAGE = ROOT / "docs" / "detectors" / "cost.md"


def main() -> None:
    """Parse the words, do what they say."""
    parser = argparse.ArgumentParser(prog="benchmarks/detectors/run.py", description=__doc__.splitlines()[0])
    parser.add_argument("--report", action="store_true", help=f"only make {PAGE.relative_to(ROOT)} from the results")
    parser.add_argument("--out", type=Path, default=OUT, help="where the results are written")
    words = parser.parse_args()
    if words.report:
        PAGE.write_text(page.page(json.loads(RESULTS.read_text())))
        return
    found = _measure()
    words.out.parent.mkdir(parents=True, exist_ok=True)
    words.out.write_text(json.dumps(found, indent=1) + "\n")
    print(page.page(found))


def _measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        files = made.make(Path(folder))
        takes = {
            what: [e.name for e in discover() if e.detector and identify(path).media_type in e.detector.media_types]
            for what, path in files.items()
        }
        alone = [
            {"file": what, **_run(files[what], name)} for name in sorted({n for ns in takes.values() for n in ns})
            for what in files if name in takes[what]
        ]  # fmt: skip
        together = _run(files["clip"], *takes["clip"])
    return {
        "taken": datetime.now(UTC).date().isoformat(),
        "machine": {
            "cpus": os.cpu_count(),
            "system": platform.system(),
            "python": platform.python_version(),
            "load": round(os.getloadavg()[0], 1),
        },
        "alone": alone,
        "together": together,
    }


def _run(path: Path, *names: str) -> dict[str, Any]:
    """The figures of one process."""
    print(f"{', '.join(names)} on {path.name}", file=sys.stderr, flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, str(HERE / "one.py"), str(path), *names],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if ran.returncode:
        sys.exit(f"{', '.join(names)} on {path.name}: {ran.stderr[-800:]}")
    figures: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    main()
