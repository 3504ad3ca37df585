"""The conductor: starts the nursery over a session's servers, gives it a plan, and hears what became of each point."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from drishtiksha_devcluster.ephemeral import ThrowawayCluster, running
from drishtiksha_devcluster.ports import free_port
from drishtiksha_devcluster.process import ProcessSpec, popen

from .house import Infra
from .watched import MISSED, Point

HERE = Path(__file__).resolve().parent
SUPPORT = HERE.parents[1] / "support"
WORKERS = 8
"""Points that are under way at a time; most of their time they wait for the Job controller."""
ENOUGH = 3
"""So many points of an act that do not recover say enough: nobody waits for the rest of them."""
SCRIPT = {"models": {"A": {"fake": 0.9, "seconds": 0.15}, "BAD": {"do": "bad-media"}}}


@dataclass
class Told:
    """What was heard of one act. `lines`: those that it executed, undisturbed."""

    lines: set[tuple[str, int]] = field(default_factory=set)
    killed: dict[Point, list[str]] = field(default_factory=dict)
    """By point: what was wrong after it, nothing when all recovered."""
    undisturbed: list[str] | None = None
    """What was wrong when nobody died."""
    missed: list[Point] = field(default_factory=list)
    """Points whose line was not executed again, however often it was tried."""
    logs: dict[str, str] = field(default_factory=dict)

    @property
    def hopeless(self) -> bool:
        """Whether it has gone wrong often enough, or without any death."""
        return bool(self.undisturbed) or sum(map(bool, self.killed.values())) >= ENOUGH


class Matrix:
    """What has been heard so far; `wait` until an act is done."""

    def __init__(self, acts: Sequence[str]) -> None:
        self.acts = acts
        self.told: dict[str, Told] = defaultdict(Told)
        self.began = time.monotonic()
        self.ended = 0.0
        self._done: set[str] = set()
        self._changed = threading.Condition()
        self._broken: str | None = None

    def wait(self, act: str) -> Told:
        """All that was heard of an act when its last point is done, or when it has gone wrong often enough.

        Raises RuntimeError when the nursery died.
        """
        with self._changed:
            while act not in self._done and self._broken is None and not self.told[act].hopeless:
                self._changed.wait(1.0)
            if self._broken is not None and act not in self._done:
                raise RuntimeError(f"the nursery died: {self._broken}")
            return self.told[act]

    def wait_for_all(self) -> None:
        """Until the nursery has ended: a line that an act did not execute again may have come up in another, later."""
        with self._changed:
            while self._broken is None:
                self._changed.wait(1.0)

    @property
    def seconds(self) -> float:
        """From the first task to the last answer."""
        return self.ended - self.began

    def hear(self, said: dict[str, Any]) -> None:
        """One line of the nursery."""
        with self._changed:
            told = self.told[said["act"]]
            self.ended = time.monotonic()
            if said.get("done"):
                self._done.add(said["act"])
            elif said["point"] is None:
                told.lines = {(file, line) for file, line, _ in said["counts"]}
                told.undisturbed = said["wrong"]
                told.logs["nobody died"] = said.get("log", "")
            else:
                point = Point(*said["point"])
                if said["died"]:
                    told.killed[point] = said["wrong"]
                elif said["wrong"] == [MISSED]:
                    told.missed.append(point)
                else:
                    told.killed[point] = said["wrong"]
                told.logs[str(point)] = said.get("log", "")
            self._changed.notify_all()

    def broke(self, why: str) -> None:
        """The nursery is gone."""
        with self._changed:
            self._broken = why
            self._changed.notify_all()


@contextmanager
def matrix(
    acts: Sequence[str],
    share: tuple[int, int] | None,
    cluster: ThrowawayCluster,
    server: str,
    template: str,
    home: Path,
    workers: int = WORKERS,
) -> Iterator[Matrix]:
    """A running matrix over these acts. `share` (i, n): only that part of the points; None: all."""
    script, port = home / "script.json", free_port()
    script.write_text(json.dumps(SCRIPT))
    (home / "places").mkdir()
    infra = Infra(server, template, str(cluster.home / "kubeconfig"), str(home / "places"), f"http://127.0.0.1:{port}")
    plan = {"acts": list(acts), "share": share, "workers": workers}
    paths = os.pathsep.join([str(HERE.parent), str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    words = (sys.executable, str(SUPPORT / "scripted_ml.py"), str(port), str(script))
    service = ProcessSpec("scripted-ml", words, {"PYTHONPATH": paths}, ready=f"{infra.ml}/stats")
    words = (sys.executable, "-m", "kill_matrix.nursery", json.dumps(asdict(infra)), json.dumps(plan))
    nursery, log = ProcessSpec("nursery", words, {"PYTHONPATH": paths}), home / "nursery.log"
    with running(service, home / "ml.log"), log.open("wb") as sink:
        with popen(nursery, stdout=subprocess.PIPE, stderr=sink) as process:
            made, out = Matrix(acts), process.stdout
            assert out is not None

            def listen() -> None:
                for line in out:
                    made.hear(json.loads(line))
                made.broke(log.read_text(errors="replace")[-4000:])

            threading.Thread(target=listen, daemon=True).start()
            try:
                yield made
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
