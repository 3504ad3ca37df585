"""What a node remembers on disk of the processes that it started, so that nothing of an earlier life goes on unseen.

A killed node takes the first process of each container with it (parent-death signal); what those had started is found
and ended here, by the node when it is back or by whoever takes the platform down.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

from . import census
from .process import Process, signal_session

_KEPT_LOGS = 500
"""Pods whose logs are kept; the oldest go first."""


def pod_folder(home: Path, uid: str) -> Path:
    """Where a pod's volumes and its working folder lie."""
    return home / "pods" / uid


def log_folder(home: Path, namespace: str, name: str, uid: str) -> Path:
    """Where a pod's logs lie: `<container>.log`."""
    return home / "logs" / "pods" / f"{namespace}_{name}_{uid}"


class Records:
    """The processes of one node, a file per pod: container name → [pid, start]."""

    def __init__(self, home: Path, node: str) -> None:
        self._home = home
        self._folder = home / "run" / "pods" / node
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(self, uid: str, processes: dict[str, Process]) -> None:
        """Note the running processes of a pod."""
        text = json.dumps({name: [process.pid, process.born] for name, process in processes.items()})
        draft = self._folder / f".{uid}.new"
        draft.write_text(text)
        draft.replace(self._folder / f"{uid}.json")

    def started(self, uid: str) -> set[str]:
        """The containers of this pod that were started and not ended in an orderly way."""
        return set(_read(self._folder / f"{uid}.json"))

    def forget(self, uid: str) -> None:
        """The pod has ended: its record and its folder go, its logs stay for a while."""
        (self._folder / f"{uid}.json").unlink(missing_ok=True)
        shutil.rmtree(pod_folder(self._home, uid), ignore_errors=True)
        _prune_logs(self._home / "logs" / "pods")

    def end_leftovers(self) -> list[str]:
        """End what is left of an earlier life of this node; the uids of the pods that were running then."""
        uids = []
        for record in self._folder.glob("*.json"):
            uids.append(record.stem)
            _end(record)
        return uids


def end_all_leftovers(home: Path) -> int:
    """End the processes that dead nodes of this state folder left behind; how many containers had some."""
    return sum(_end(record) for record in (home / "run" / "pods").glob("*/*.json"))


def _end(record: Path) -> int:
    ended = 0
    for pid, born in _read(record).values():
        leader = census.entry(pid)
        if leader is not None and leader.born != born:
            continue  # another process has this pid now: the session of ours is gone
        living = census.members(pid, census.everything())
        if any(_is_ours(process.pid, record.stem) for process in living):
            signal_session(pid, signal.SIGKILL)
            ended += 1
    return ended


def _is_ours(pid: int, uid: str) -> bool:
    """Whether this process works in the folder of the pod, by its environment: proof against a reused session id."""
    try:
        return uid.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def _read(record: Path) -> dict[str, list[int]]:
    try:
        return {str(name): [int(pid), int(born)] for name, (pid, born) in json.loads(record.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _prune_logs(folder: Path) -> None:
    try:
        names = os.listdir(folder)
        if len(names) > _KEPT_LOGS:
            oldest = sorted(names, key=lambda name: (folder / name).stat().st_mtime)
            for name in oldest[: len(names) - _KEPT_LOGS]:
                shutil.rmtree(folder / name, ignore_errors=True)
    except OSError:
        return  # the other node of this home prunes at the same time
