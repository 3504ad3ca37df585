"""Examines every file of a folder with every detector, as a worker does, and prints one line of JSON for each pair.

Run by test_bad_input.py in a process of its own, so that memory can be measured and a native crash is one failed test.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from drishtiksha_models import answer
from drishtiksha_models.decode.identify import identify
from drishtiksha_models.detector import BadMedia, Deadline, Unsupported
from drishtiksha_models.registry import discover, load


def peak_mb() -> float:
    """Highest resident memory since `forget_peak`, MiB."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def resident_mb() -> float:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    entries = [load(entry) for entry in discover()]
    print(json.dumps({"loaded": {entry.name: entry.reason for entry in entries}}), flush=True)
    for path in sorted(Path(sys.argv[1]).iterdir()):
        for entry in entries:
            if entry.detector is None or not entry.loaded:
                continue
            print(json.dumps({"begins": [path.name, entry.name]}), flush=True)
            Path("/proc/self/clear_refs").write_text("5")
            before, began, told = resident_mb(), time.process_time(), {"outcome": "skipped"}
            try:
                media = identify(path)
                told = {"outcome": "other-kind", "kind": str(media.media_type)}
                if media.media_type in entry.detector.media_types:
                    found = entry.detector.examine(media, lambda _progress: None, Deadline(120))
                    data = answer.data(entry.detector, media, found, 1.0)
                    told = {k: data[k] for k in ("status", "finding", "prediction", "note", "inconclusive_reason")}
                    told["outcome"] = "answered"
                    json.dumps(data, allow_nan=False)
            except (BadMedia, Unsupported) as error:
                told = {"outcome": "refused", "note": str(error)}
            except Exception as error:
                told = {"outcome": "fault", "note": f"{type(error).__name__}: {error}"}
            told |= {"case": path.name, "detector": entry.name}
            told |= {"cpu_s": time.process_time() - began, "grown_mb": peak_mb() - before}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
