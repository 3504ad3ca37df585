"""One evaluation as it runs: each detector on each file in a child process, every answer on disk before the next question.

`command.py` starts it and tells its progress; `examiner.py` is the child; `figures.py` makes a report of the rows. A study that
was ended goes on where it stopped when it is resumed: what stands in `rows.jsonl` for the same detector, version and file
(size and time of change) is not examined again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from .. import frames
from ..detector import Detector
from .choice import chosen
from .dataset import Item

Row = dict[str, Any]
GRACE = 10.0
"""Seconds after the deadline in which a detector may end by itself before its process is killed."""
LOADING = 120.0
"""Seconds for a detector to load."""


class CannotResume(Exception):
    """What stands in the folder is no study of ours, or cannot be written; the text says what to do."""


class _Ended(Exception):
    """The child ended instead of answering; `cause` is CRASHED or DEADLINE."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass
class Study:
    """The rows of one report folder, and the reasons of detectors that did not load."""

    folder: Path
    rows: list[Row] = field(default_factory=list)
    not_loaded: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, resume: bool) -> Study:
        """The folder for a new study, or what is in it. Raises CannotResume."""
        file = folder / "rows.jsonl"
        if file.exists() and not resume:
            raise CannotResume(f"{folder} holds a study already; go on with --resume, or name another folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = _whole_rows(file) if file.exists() else []
            with file.open("a"):
                pass
        except OSError as error:
            raise CannotResume(f"{folder} cannot be written: {error.strerror}") from None
        return cls(folder, found)

    def run(
        self,
        detectors: Sequence[Detector],
        items: Sequence[Item],
        seconds: float,
        tell: Callable[[str, int, int], None],
    ) -> None:
        """Examine what is not examined yet. `tell` gets the detector's name, files done, files in all."""
        done = {_key(row) for row in self.rows}
        for detector in detectors:
            wanted = [i for i in items if _key(_begun(detector, i)) not in done]
            tell(detector.name, len(items) - len(wanted), len(items))
            if wanted:
                self._run(detector, wanted, seconds, partial(_count_down, tell, detector.name, len(items)))

    def _run(self, detector: Detector, items: Sequence[Item], seconds: float, tell: Callable[[int], None]) -> None:
        folder = self.folder / "pictures" / detector.name
        with (self.folder / "rows.jsonl").open("a", encoding="utf-8") as file:
            child: _Child | None = None
            try:
                for left, item in zip(range(len(items) - 1, -1, -1), items, strict=True):
                    child = child or _Child(detector.name, seconds)
                    if (reason := child.refused) is not None:
                        self.not_loaded[detector.name] = reason
                        return
                    row = _begun(detector, item)
                    place = folder / _safe(item.name)
                    try:
                        row |= child.ask({"path": str(item.path), "pictures": str(place)}, seconds + GRACE)
                    except _Ended as ended:
                        row |= {"outcome": "FAILED", "cause": ended.cause, "message": str(ended)}
                        child = None
                    if row.get("pictures"):
                        row["pictures"] = [(place / n).relative_to(self.folder).as_posix() for n in row["pictures"]]
                    file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
                    file.flush()
                    self.rows.append(row)
                    self._tidy(detector.name)
                    tell(left)
            finally:
                if child is not None:
                    child.kill()

    def _tidy(self, model: str) -> None:
        """Keep the pictures of those that the report will show, so that a large study does not fill the disk."""
        kept = [r for r in self.rows if r["model"] == model and r.get("pictures")]
        shown = {id(row) for row, _ in chosen(kept)}
        for row in kept:
            if id(row) not in shown:
                shutil.rmtree(self.folder / Path(row["pictures"][0]).parent, ignore_errors=True)
                row["pictures"] = []


class _Child:
    """The examiner's process. It holds no secret of ours: its environment is what a decoder needs."""

    def __init__(self, model: str, seconds: float) -> None:
        passed = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "TRUST_ANCHORS", "WEIGHTS")  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if k in passed}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "drishtiksha_models.evaluation.examiner", model, str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}, start_new_session=True,
        )  # fmt: skip
        try:
            hello = self._hear(LOADING)
        except _Ended as ended:
            hello = {"loaded": False, "reason": f"loading it failed: {ended}"}
        self.refused: str | None = None if hello["loaded"] else str(hello["reason"])

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """One file's answer. Raises _Ended when the process dies or is late; then it is gone."""
        try:
            if self._process.stdin is None:
                raise RuntimeError("an examiner has pipes")
            self._process.stdin.write(frames.pack(request))
            self._process.stdin.flush()
        except BrokenPipeError:
            raise _Ended("CRASHED", self._ending()) from None
        return self._hear(seconds)

    def kill(self) -> None:
        """End it now and wait until it is gone."""
        self._process.kill()
        self._process.communicate()

    def _hear(self, seconds: float) -> dict[str, Any]:
        if self._process.stdout is None:
            raise RuntimeError("an examiner has pipes")
        with DefaultSelector() as selector:
            selector.register(self._process.stdout, EVENT_READ)
            if not selector.select(seconds):
                self.kill()
                raise _Ended("DEADLINE", f"The detector did not answer within {seconds:.0f} s and was ended.")
        message = frames.read(self._process.stdout)
        if message is None:
            raise _Ended("CRASHED", self._ending())
        return message

    def _ending(self) -> str:
        self.kill()
        code = self._process.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"The detector's process ended while it examined this file ({how})."


def _count_down(tell: Callable[[str, int, int], None], name: str, total: int, left: int) -> None:
    tell(name, total - left, total)


def _begun(detector: Detector, item: Item) -> Row:
    size, changed = 0, 0
    with suppress(OSError):
        about = item.path.stat()
        size, changed = about.st_size, about.st_mtime_ns
    return {"model": detector.name, "version": detector.version, "file": item.name, "fake": item.fake,
            "manipulation": item.manipulation, "size": size, "changed": changed}  # fmt: skip


def _key(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in ("model", "version", "file", "size", "changed", "fake", "manipulation"))


def current(rows: Iterable[Row], detectors: Sequence[Detector], items: Sequence[Item]) -> list[Row]:
    """The rows that belong to these detectors and files as they are now."""
    wanted = {_key(_begun(d, i)) for d in detectors for i in items}
    return [row for row in rows if _key(row) in wanted]


def _whole_rows(file: Path) -> list[Row]:
    """The rows that were written whole; a last line that was cut is removed. Raises CannotResume."""
    data = file.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(file, len(whole))
    rows = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            row = json.loads(line)
            _key(row)
        except (ValueError, KeyError, TypeError):
            raise CannotResume(f"{file}, line {number}, is no row of a study; name another folder") from None
        rows.append(row)
    return rows


def _safe(name: str) -> str:
    """A file's name as one folder, unique by its own hash."""
    import hashlib

    return f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name)[-60:]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
