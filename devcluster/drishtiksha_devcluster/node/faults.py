"""Misbehaviour on request, for tests: a JSON file that the node looks at twice a second.

    {"nodes": {"cpu-0": "lost"},
     "pods": [{"fault": "freeze", "name": "ma-*", "namespace": "*", "labels": {"drishtiksha.io/model": "X"}, "times": 1}]}

Faults are levels: they hold while they stand in the file. `write` writes it. `node` and `pod` obey.

pods: `twin` (each main container is started twice), `pending` (never started), `image-pull` (ImagePullBackOff), `freeze`
(SIGSTOP, until removed), `evict` (ended, condition DisruptionTarget), `oom` (main containers end as OOMKilled) and
`oom-sidecar`. nodes: `lost` (no lease, no status, deaf; its pods run on). `times` limits a fault to so many pods.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import structlog

PodFault = Literal["twin", "pending", "image-pull", "freeze", "evict", "oom", "oom-sidecar"]
LOOK_SECONDS = 0.5
_log = structlog.get_logger()


@dataclass(frozen=True)
class Fault:
    """What to do to which pods: globs for name and namespace, labels that must be there."""

    fault: PodFault
    name: str = "*"
    namespace: str = "*"
    labels: Mapping[str, str] = field(default_factory=dict)
    times: int | None = None

    def means(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a pod with this metadata is meant."""
        labels = metadata.get("labels") or {}
        return (
            fnmatchcase(metadata["name"], self.name)
            and fnmatchcase(metadata["namespace"], self.namespace)
            and all(labels.get(key) == value for key, value in self.labels.items())
        )


def default_path(home: Path) -> Path:
    """Where a platform's fault file lies."""
    return home / "faults.json"


def write(path: Path, pods: Sequence[Fault] = (), lost_nodes: Sequence[str] = ()) -> None:
    """Ask for these faults and no others; the nodes see it within a second."""
    draft = path.with_suffix(".new")
    draft.write_text(
        json.dumps({"nodes": dict.fromkeys(lost_nodes, "lost"), "pods": [asdict(fault) for fault in pods]})
    )
    draft.replace(path)


class Faults:
    """The faults that are asked for now, and which pods have had theirs."""

    def __init__(self, path: Path, node: str) -> None:
        self._path = path
        self._node = node
        self._seen: tuple[int, int] | None = None
        self._pods: list[Fault] = []
        self._had: dict[int, set[str]] = {}
        self.lost = False

    def look(self) -> bool:
        """Read the file if it changed; whether anything is different now."""
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_ino)
        except FileNotFoundError:
            seen = None
        if seen == self._seen:
            return False
        self._seen = seen
        wanted: dict[str, Any] = {}
        try:
            wanted = json.loads(self._path.read_text()) if seen else {}
            self._pods = [Fault(**fault) for fault in wanted.get("pods", [])]
        except (OSError, ValueError, TypeError, AttributeError) as error:
            _log.error("the fault file cannot be read; no faults", path=str(self._path), error=str(error))
            wanted, self._pods = {}, []
        self._had = {}
        self.lost = wanted.get("nodes", {}).get(self._node) == "lost"
        kinds = [fault.fault for fault in self._pods]
        _log.warning("misbehaving as asked from now on", faults=kinds, lost=self.lost, version=seen and seen[0])
        return True

    def of(self, metadata: Mapping[str, Any]) -> set[str]:
        """The faults of one pod, now."""
        kinds: set[str] = set()
        for number, fault in enumerate(self._pods):
            had = self._had.setdefault(number, set())
            if fault.means(metadata) and (metadata["uid"] in had or fault.times is None or len(had) < fault.times):
                had.add(metadata["uid"])
                kinds.add(fault.fault)
        return kinds
