"""`python benchmarks/service/run.py`: start the model service, load it, print and write what it gives; under five minutes.

docs/performance.md is made from benchmarks/results/ by `python benchmarks/orchestration/run.py --report`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from detectors import made  # noqa: E402  found through the line above
from service import bundle, clients, page, stage  # noqa: E402

OUT = HERE.parent / "out" / "service.json"
WORKERS, WAITING = 2, 16
CLIENTS = (1, 4, 16)
TOO_MANY = 24
"""Clients of one more round: more than there are places, so that some are refused."""
QUIET = 0.15
"""Share of the cores that others may take before the machine counts as busy."""
PICTURE_MODELS = ("GEN-WATERMARK-V1", "IMAGE-SPECTRUM-V1", "JPEG-GRID-V1", "PROVENANCE-V1")
CLIP_MODELS = ("EYE-BLINK-V1", "FACE-TEMPORAL-V1", "GEN-WATERMARK-V1", "IMAGE-SPECTRUM-V1", "PROVENANCE-V1")


def main() -> int:
    """Parse the words, measure, tell; exit code 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks/service/run.py", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15.0, help="of each round (default 15)")
    parser.add_argument("--starts", type=int, default=5, help="from start to ready (default 5)")
    parser.add_argument("--out", type=Path, default=OUT, help="where the results are written")
    words = parser.parse_args()
    found = _measure(words.seconds, words.starts)
    words.out.parent.mkdir(parents=True, exist_ok=True)
    words.out.write_text(json.dumps(found, indent=1) + "\n")
    print(page.section(found, None, None))
    print(f"written: {os.path.relpath(words.out)}")
    return 0 if page.judge(found) else 1


def _measure(seconds: float, starts: int) -> dict[str, Any]:
    load, began, busy, mine = os.getloadavg()[0], time.perf_counter(), _busy(), 0.0
    picture, clip = _media()
    ready = []
    for _ in range(starts):
        with stage.service(WORKERS, WAITING) as served:
            ready.append({"seconds": round(served.seconds_to_ready, 2), "cpu_s": round(served.cpu_to_ready, 2)})
            mine += served.cpu()
    rounds = []
    with stage.service(WORKERS, WAITING) as served:
        for media in (picture, clip):
            clients.measure(served, media, 2 * WORKERS, 1.0)  # every worker is there and has examined such a file
        for media, counts in ((picture, (*CLIENTS, TOO_MANY)), (clip, CLIENTS)):
            for many in counts:
                print(f"{media.name}, {many} clients", file=sys.stderr, flush=True)
                rounds.append(clients.measure(served, media, many, seconds))
        mine += served.cpu()
    print("a bundle", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        shared = bundle.measure(picture, seconds, Path(folder))
    mine += sum(r["cpu_s"] for r in shared["rounds"])
    took = time.perf_counter() - began
    others = max(0.0, _busy() - busy - mine - time.process_time())
    return {
        "taken": datetime.now(UTC).date().isoformat(),
        "machine": {
            "cpus": os.cpu_count(),
            "system": platform.system(),
            "python": platform.python_version(),
            "load_before": round(load, 1),
            "others_cpu_s": round(others, 1),
            "quiet": others / took / (os.cpu_count() or 1) < QUIET,
        },
        "seconds": seconds,
        "workers": WORKERS,
        "waiting": WAITING,
        "media": [
            {"name": m.name, "bytes": len(m.data), "what": what, "models": list(m.models)}
            for m, what in ((picture, _PICTURE), (clip, _CLIP))
        ],
        "starts": ready,
        "rounds": rounds,
        "bundle": shared,
    }


_PICTURE = "picture.jpg, 1000x750, JPEG of quality 98"
_CLIP = "clip.mp4, 2 s of 640x360 at 24 frames per second with a face"


def _media() -> tuple[clients.Media, clients.Media]:
    with tempfile.TemporaryDirectory() as folder:
        picture = made.picture(Path(folder) / "picture.jpg", (1000, 750))
        clip = made.clip(Path(folder) / "clip.mp4", 2, (640, 360))
        return (
            clients.Media("picture.jpg", "image/jpeg", picture.read_bytes(), PICTURE_MODELS),
            clients.Media("clip.mp4", "video/mp4", clip.read_bytes(), CLIP_MODELS),
        )


def _busy() -> float:
    """CPU seconds of this machine that were not idle, since it was started."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + times.irq + times.softirq)


if __name__ == "__main__":
    sys.exit(main())
