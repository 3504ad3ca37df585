"""One `drishtiksha-models serve` as its own process on a free port, its CPU seconds and memory, and its end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from drishtiksha_devcluster.ports import free_port

PATIENCE = 60.0
"""Seconds for a start or an end; more is an error of the benchmark."""
LOOK = 0.01
"""Seconds between two looks at /readyz."""


@dataclass
class Service:
    """A running service. `seconds_to_ready`: from before the process was made until /readyz said 200."""

    url: str
    process: psutil.Process
    seconds_to_ready: float = 0.0
    cpu_to_ready: float = 0.0
    _spent: dict[int, float] = field(default_factory=dict)

    def cpu(self) -> float:
        """CPU seconds of the service and of every worker that was seen so far."""
        for process in (self.process, *self.process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                self._spent[process.pid] = times.user + times.system
        return sum(self._spent.values())

    def memory_mib(self) -> float:
        """Resident memory of the service and its workers together; pages that they share count for each."""
        return sum(p.memory_info().rss for p in (self.process, *self.process.children(recursive=True))) / 1024**2


@contextmanager
def service(workers: int, waiting: int, **settings: str) -> Iterator[Service]:
    """Start one and wait until it is ready; killed when it does not end at SIGTERM. `settings`: of its environment."""
    port = free_port()
    environment = {
        **os.environ,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WORKERS": str(workers),
        "WAITING": str(waiting),
        "LOG_LEVEL": "warning",
    }
    for name in ("SERVER_API_KEY", "ACTIVE_MODELS", "REDIS_URL", "BUNDLES", "TRUST_ANCHORS"):
        environment.pop(name, None)
    environment |= settings
    began = time.perf_counter()
    command = [str(Path(sys.executable).with_name("drishtiksha-models")), "serve"]
    nowhere = tempfile.TemporaryDirectory()  # the settings file of a platform that is developed here is not for it
    process = subprocess.Popen(
        command, env=environment, cwd=nowhere.name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        made = Service(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
        _wait(made.url, process)
        made.seconds_to_ready, made.cpu_to_ready = time.perf_counter() - began, made.cpu()
        yield made
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        nowhere.cleanup()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.perf_counter() + PATIENCE
    with httpx.Client(base_url=url, timeout=2.0) as client:
        while time.perf_counter() < until:
            if process.poll() is not None:
                raise RuntimeError(
                    f"the service ended with {process.returncode} before it was ready; start it by hand to see why"
                )
            with suppress(httpx.HTTPError):
                if client.get("/readyz").status_code == 200:
                    return
            time.sleep(LOOK)
    raise RuntimeError(f"the service was not ready in {PATIENCE:.0f} s")
