"""The measured process: load the named detectors, examine one file with each in turn, print the figures as JSON.

`python one.py FILE NAME…`. CPU seconds are the process's own; memory is the highest that it ever held.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import Deadline
from drishtiksha_models.registry import discover, load


def main() -> None:
    """Measure; an unloadable detector is an error."""
    path, names = Path(sys.argv[1]), sys.argv[2:]
    began = time.process_time()
    entries = [load(entry) for entry in discover(names)]
    missing = {entry.name: entry.reason for entry in entries if not entry.loaded}
    if missing:
        sys.exit(f"not loaded: {missing}")
    found: dict[str, Any] = {"load_cpu_s": round(time.process_time() - began, 2), "detectors": {}}
    media = identify(path)
    for entry in entries:
        if entry.detector is None:
            continue
        began = time.process_time()
        said = entry.detector.examine(media, lambda _progress: None, Deadline(3600))
        found["detectors"][entry.name] = {
            "cpu_s": round(time.process_time() - began, 2),
            "status": str(said.status),
            "finding": str(said.finding),
            "reason": said.inconclusive_reason,
        }
    found["cpu_s"] = round(sum(one["cpu_s"] for one in found["detectors"].values()), 2)
    found["peak_mib"] = round(_peak_mib())
    following = sys.modules.get("drishtiksha_models.perception.following")
    if following is not None:
        found["face_passes"], found["faces_recalled"] = following.SHARED.passes, following.SHARED.recalls
    print(json.dumps(found))


def _peak_mib() -> float:
    """Highest resident memory of this program. `ru_maxrss` would tell the parent's where that is higher."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
