"""A throwaway control plane for tests and benchmarks: free ports, a temporary folder, gone at the end or when we die.

The same processes as the platform's (`cluster.py`), started one after the other without a supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drishtiksha.domain.errors import DrishtikshaError

from . import binary, cluster, kubeconfigs
from .cluster import ClusterPorts
from .process import ProcessSpec, popen
from .ready import is_ready

START_SECONDS = 60.0
"""Longest wait for one process; a busy machine of two cores takes ten for the API server."""


class ClusterFailed(DrishtikshaError):
    """A process of the throwaway cluster did not become ready; the text ends with its last lines."""


class KubectlFailed(DrishtikshaError):
    """kubectl ended with an error; the text is what it said."""


@dataclass(frozen=True)
class ThrowawayCluster:
    """A running cluster with our namespace, resource and rights in it."""

    home: Path
    ports: ClusterPorts
    programs: Path

    def kubeconfig(self, name: str = "admin") -> Path:
        """The kubeconfig of an identity: admin, drishtiksha-api, drishtiksha-operator, cpu-0, gpu-0."""
        return self.home / "kubeconfig" / f"{name}.yaml"

    def kubectl(self, *words: str, user: str = "admin", timeout: float = 60.0) -> str:
        """What kubectl prints. Raises KubectlFailed with its words, or TimeoutExpired."""
        command = [str(self.programs / "kubectl"), f"--kubeconfig={self.kubeconfig(user)}", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise KubectlFailed(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout


@contextlib.contextmanager
def throwaway_cluster(
    *,
    namespace: str = kubeconfigs.NAMESPACE,
    stock_qps: bool = False,
    audit_log: Path | None = None,
    home: Path | None = None,
) -> Iterator[ThrowawayCluster]:
    """A control plane of its own, without nodes. Call it in the main thread: its processes die with the thread.

    `home` keeps the state folder (and logs/) after the end; default is a temporary one. Raises ClusterFailed.
    """
    programs = binary.control_plane(_say())
    with contextlib.ExitStack() as stack:
        if home is None:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drishtiksha-cluster-")))
        ports = ClusterPorts.free()
        cluster.prepare(home, ports)
        (home / "logs").mkdir(exist_ok=True)
        for spec in cluster.cluster_processes(home, ports, programs=programs, stock_qps=stock_qps, audit_log=audit_log):
            stack.enter_context(running(spec, home / "logs" / f"{spec.name}.log"))
        cluster.install(home, namespace=namespace)
        yield ThrowawayCluster(home, ports, programs)


@contextlib.contextmanager
def running(spec: ProcessSpec, log: Path, *, deadline: float = START_SECONDS) -> Iterator[subprocess.Popen[bytes]]:
    """One process, ready, with its output in `log`; killed at the end, since nothing of it is to be kept."""
    with log.open("ab") as sink:
        process = popen(spec, stdout=sink, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + deadline
        while not (spec.ready is None or asyncio.run(is_ready(spec.ready))):
            if process.poll() is not None or time.monotonic() > end:
                ended = "is not ready" if process.returncode is None else f"ended with {process.returncode}"
                raise ClusterFailed(f"{spec.name} {ended}:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait(30)


def _say() -> Callable[[str, float | None], None]:
    """Progress for a test's log: a line every ten seconds, if the control plane must be made at all."""
    last = time.monotonic()

    def progress(sentence: str, done: float | None) -> None:
        nonlocal last
        if time.monotonic() - last > 10:
            last = time.monotonic()
            print(sentence, flush=True)

    return progress
