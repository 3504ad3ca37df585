"""What a fuzzing process leaves behind, so that it is known even when the process dies: the input at work, counts, findings.

`dealt.py` and `guided.py` write it, `watching.py` reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import time
from collections import Counter
from pathlib import Path
from typing import Any

import target

AT_WORK, COUNTS, FINDINGS = "at-work", "counts.json", "findings"
MEMORY_LIMIT = 8 * 1024**3
"""Bytes of address space, as a worker of the service has them."""
EVERY = 0.5
"""Seconds between two writings of the counts; a process that dies takes the inputs since the last one out of the count."""


class Book:
    """The record in one folder, by a process that limits itself as a worker does. Counts go on from an earlier process's."""

    def __init__(self, folder: Path) -> None:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        kept = json.loads((folder / COUNTS).read_text()) if (folder / COUNTS).exists() else {}
        self.inputs = int(kept.get("inputs", 0))
        self._outcomes = Counter({(k, o): n for k, o, n in kept.get("outcomes", ())})
        self._signs = set(kept.get("signs", ()))
        self._largest = {"cpu_s": 0.0, "grown_mib": 0.0, **kept.get("largest", {})}
        self._written = 0.0

    def look(self, data: bytes) -> target.Seen:
        """Send one input through the target and note what came of it."""
        path = self._folder / AT_WORK
        path.write_bytes(data)
        seen = target.look(path)
        self.inputs += 1
        self._outcomes[seen.kind, seen.outcome] += 1
        self._signs.update(seen.signs)
        for key in self._largest:
            self._largest[key] = max(self._largest[key], getattr(seen, key))
        if seen.wrong is not None:
            keep(self._folder, data, seen.wrong, seen.words)
        if time.monotonic() - self._written > EVERY:
            self.write()
        return seen

    def write(self) -> None:
        """The counts, whole or not at all."""
        self._written = time.monotonic()
        told = {
            "inputs": self.inputs,
            "outcomes": [(k, o, n) for (k, o), n in sorted(self._outcomes.items())],
            "signs": sorted(self._signs),
            "largest": self._largest,
        }
        new = self._folder / f"{COUNTS}.new"
        new.write_text(json.dumps(told))
        os.replace(new, self._folder / COUNTS)


def keep(folder: Path, data: bytes, wrong: str, words: str) -> None:
    """A finding: the input by its hash, and beside it what it did. One file for each place that went wrong is enough."""
    name = hashlib.sha256(
        f"{wrong} {words.rpartition(' at ')[2] if wrong == 'fault' else words[:40]}".encode()
    ).hexdigest()[:16]
    (folder / FINDINGS).mkdir(parents=True, exist_ok=True)
    if not (folder / FINDINGS / f"{name}.json").exists():
        (folder / FINDINGS / f"{name}.bin").write_bytes(data)
        told = {"wrong": wrong, "words": words, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (folder / FINDINGS / f"{name}.json").write_text(json.dumps(told))


def read(folder: Path) -> dict[str, Any]:
    """The counts, with the findings beside them."""
    counts: dict[str, Any] = {"inputs": 0, "outcomes": [], "signs": [], "largest": {}}
    if (folder / COUNTS).exists():
        counts = json.loads((folder / COUNTS).read_text())
    found = sorted((folder / FINDINGS).glob("*.json"))
    return {
        **counts,
        "findings": [{"file": path.with_suffix(".bin").name, **json.loads(path.read_text())} for path in found],
    }
