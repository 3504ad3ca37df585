"""Nodes that misbehave under a whole world: how the tests ask for it, and what all of them have shown, counted.

The faults are the node's own (`drishtiksha_devcluster.node.faults`). The tests of the topic stand in three files; the
figures are written by whichever ends last, when all three have run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from figures import Claim, Table, record
from world import World, wait_for

from drishtiksha.resources import LABEL_MODEL, job_name, label_value
from drishtiksha_devcluster.node import faults
from drishtiksha_devcluster.node.faults import Fault, PodFault

COMMAND = (
    "DRISHTIKSHA_WRITE_FIGURES=1 .venv/bin/pytest -m 'kill or not kill' "
    "tests/e2e/test_nodes.py tests/e2e/test_pending.py tests/e2e/test_namespace.py"
)
FILES = ("nodes", "pending", "namespace")


def strike(world: World, *wanted: Fault, lost: Sequence[str] = ()) -> None:
    """The nodes misbehave so from now on, and not otherwise; they see it within a second."""
    faults.write(faults.default_path(world.cluster.home), wanted, lost)


def of(world: World, fault: PodFault, model: str, times: int | None = 1) -> Fault:
    """This fault for the first pods of one model of this world."""
    return Fault(fault, namespace=world.namespace, labels={LABEL_MODEL: label_value(model)}, times=times)


def runner_of(world: World, run_id: str, model: str, attempt: int = 1) -> psutil.Process:
    """The process of the runner of one attempt."""
    job = job_name(run_id, model, attempt)

    def look() -> psutil.Process | None:
        for process in psutil.process_iter():
            try:
                if "drishtiksha_jobrunner.main" in process.cmdline() and process.environ()["HOSTNAME"].startswith(job):
                    return process
            except (psutil.Error, KeyError):
                continue
        return None

    found = wait_for(f"the runner of {model}", look, 30)
    assert isinstance(found, psutil.Process)
    return found


def logs_of(world: World, run_id: str, model: str, attempt: int = 1, container: str = "runner") -> list[Path]:
    """The logs of one attempt's pods, one for each pod that it had."""
    job = job_name(run_id, model, attempt)
    return sorted((world.cluster.home / "logs" / "pods").glob(f"{world.namespace}_{job}-*/{container}.log"))


@dataclass
class Shown:
    """What was counted: by file and fault (what, how it ended as it must), and the spans of time in seconds."""

    ends: dict[str, dict[str, str]] = field(default_factory=dict)
    visible: dict[str, float] = field(default_factory=dict)
    """By reason: from the making of the Jobs to when both REST and kubectl gave it."""
    replaced_after: float | None = None
    """From the loss of a node to the next attempt."""

    def ended(self, file: str, fault: str, how: str) -> None:
        """A fault that has ended as it must; call it after the assertions."""
        self.ends.setdefault(file, {})[fault] = how

    def write(self) -> None:
        """The figures, once every fault has been shown: a run of some of them says nothing about the others."""
        rows = [(fault, how) for file in FILES for fault, how in self.ends.get(file, {}).items()]
        if len(rows) < FAULTS or not self.visible or self.replaced_after is None:
            return
        slowest = max(self.visible, key=lambda reason: self.visible[reason])
        claims = [
            Claim("faults of nodes, pods and the cluster's own refusals that ended as they must", f"{FAULTS} of {FAULTS}",
                  f"{len(rows)} of {FAULTS}", len(rows) == FAULTS, "a twin's second result is taken; silence is taken for death; a namespace on its way out is the last word"),
            Claim("reasons why a pod does not start that REST and kubectl both gave within a minute", f"{len(self.visible)} of {len(self.visible)}",
                  f"{sum(s <= 60 for s in self.visible.values())} of {len(self.visible)}; the last after {self.visible[slowest]:.0f} s ({slowest})",
                  all(s <= 60 for s in self.visible.values()), "the reason is not copied to the status"),
            Claim("time from the loss of a node to the next attempt (running deadline 30 min)", "< 180 s",
                  f"{self.replaced_after:.0f} s", self.replaced_after < 180, "in the protocol: a silent node is waited for for ever"),
        ]  # fmt: skip
        words = "Real control plane, two process nodes. Every run ended with the status that its rows say, and the witness found nothing."
        record("nodes", "Nodes that misbehave", COMMAND, claims, words=words, table=Table(("fault", "ended"), rows))


FAULTS = 25
"""How many faults the three files show in all."""
shown = Shown()


def now() -> float:
    """Monotonic seconds."""
    return time.monotonic()
