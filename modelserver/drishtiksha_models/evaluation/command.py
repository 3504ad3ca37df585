"""`drishtiksha-models evaluate`: examine a labelled dataset, write `report.json` and `report.html`. A thin door on `study`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..detector import Detector
    from .dataset import Dataset
    from .study import Study

_USAGE, _NOTHING, _INTERRUPTED = 64, 69, 130


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    one = commands.add_parser("evaluate", help="measure detectors on labelled files: real/ and fake/, or a manifest")
    one.add_argument(
        "dataset", type=Path, help="folder with real/ and fake/, or CSV or JSON lines: path,label,manipulation"
    )
    one.add_argument(
        "--report", type=Path, required=True, metavar="FOLDER", help="where report.html and report.json go"
    )
    one.add_argument("--model", action="append", default=[], metavar="NAME", help="only this detector (repeatable)")
    one.add_argument("--resume", action="store_true", help="go on; what was examined is not examined again")
    one.add_argument("--seed", type=int, default=0, help="of the bootstrap [0]")
    one.add_argument("--deadline", type=float, default=600.0, metavar="SECONDS", help="for one file [600]")
    one.set_defaults(run=evaluate)


def evaluate(arguments: argparse.Namespace) -> int:
    """Run the study and write its report, also when Ctrl-C ends it early. Returns the exit code."""
    from ..registry import discover
    from .dataset import BadDataset, read
    from .study import CannotResume, Study

    entries = discover(arguments.model)
    try:
        if unknown := [e.name for e in entries if e.detector is None and arguments.model]:
            raise BadDataset(f"there is no detector named {unknown[0]}; see: drishtiksha-models list")
        data = read(arguments.dataset)
        study = Study.open(arguments.report, arguments.resume)
    except (BadDataset, CannotResume) as error:
        print(f"drishtiksha-models: {error}", file=sys.stderr)
        return _USAGE
    for line in data.refused:
        print(f"{arguments.dataset.name}, {line}", file=sys.stderr)
    detectors = [e.detector for e in entries if e.detector is not None]
    study.not_loaded |= {e.name: e.reason or "" for e in entries if e.detector is None}
    finished = False
    progress = _Progress()
    try:
        study.run(detectors, data.items, arguments.deadline, progress)
        finished = True
    except KeyboardInterrupt:
        print("\nEnded early; go on with --resume. The report holds what was examined.", file=sys.stderr)
    progress.end()
    report = write(study, detectors, data, arguments.dataset, arguments.seed, finished)
    for model in report["models"]:
        print(_line(model))
    print(f"report: {arguments.report / 'report.html'}")
    if not finished:
        return _INTERRUPTED
    return 0 if any(not model["reason"] for model in report["models"]) else _NOTHING


def write(
    study: Study, detectors: Sequence[Detector], data: Dataset, source: Path, seed: int, finished: bool
) -> dict[str, Any]:
    """Both files, each whole or not at all; gives the report."""
    from drishtiksha import __version__

    from .figures import report
    from .page import html
    from .study import current

    models = [
        {"name": d.name, "version": d.version, "description": d.description, "limits": list(d.limits),
         "media_types": sorted(map(str, d.media_types)), "reason": study.not_loaded.get(d.name)}
        for d in detectors
    ]  # fmt: skip
    known = {m["name"] for m in models}
    models += [
        {"name": n, "version": "", "description": "", "limits": [], "media_types": [], "reason": r}
        for n, r in study.not_loaded.items()
        if n not in known
    ]
    about = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": __version__,
        "finished": finished,
        "dataset": {
            "name": source.resolve().name,
            "real": sum(not i.fake for i in data.items),
            "fake": sum(i.fake for i in data.items),
            "refused": list(data.refused),
        },
    }
    made = report(current(study.rows, detectors, data.items), models, about, seed)
    _whole(study.folder / "report.json", json.dumps(made, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    _whole(study.folder / "report.html", html(made, study.folder))
    return made


def _whole(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text, "utf-8", errors="backslashreplace")
    os.replace(unfinished, path)


def _line(model: dict[str, Any]) -> str:
    if model["reason"]:
        return f"{model['name']:20} not loaded: {model['reason']}"
    counts, auc = model["counts"], model["ranking"].get("auc")
    fake, real = model["decisions"]["fake"]["FAKE"], model["decisions"]["real"]["FAKE"]
    ranked = f", AUC {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})" if auc else ""
    return (
        f"{model['name']:20} {counts['examined']} examined, {counts['failed']} failed; FAKE for {fake['count']} of {fake['n']} "
        f"fakes and {real['count']} of {real['n']} genuine files{ranked}"
    )


class _Progress:
    """A line that moves on a terminal; elsewhere one line for each detector, and one every ten seconds."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last = 0.0
        self._model = ""

    def __call__(self, model: str, done: int, total: int) -> None:
        now = time.monotonic()
        text = f"{model:20} {done} of {total}"
        if self._live:
            print(f"\r\x1b[K{text}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif model != self._model or done == total or now - self._last > 10:
            print(text, file=sys.stderr, flush=True)
            self._last, self._model = now, model

    def end(self) -> None:
        """Leave the moving line."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
