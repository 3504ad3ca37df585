"""One `drishtiksha-api serve` as a process of its own, and what the kernel says about it: memory, descriptors, children.

Its Kubernetes is away, as it may be (I16). `clocks` are constants of its modules that a test makes shorter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from drishtiksha_devcluster.ports import free_port

MIB = 1024 * 1024
_KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: u, user: {token: t}}]
"""


def wait_for(what: str, look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first truthy answer of `look`; AssertionError naming `what` when the time is over."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}; last seen: {found!r}"
        time.sleep(0.05)


@dataclass
class ApiProcess:
    """Start it with `start`, end it with `stop`; both may be called once."""

    folder: Path
    database_url: str
    redis_url: str
    settings: Mapping[str, str] = field(default_factory=dict)
    clocks: Mapping[str, float] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    @property
    def log(self) -> Path:
        return self.folder / f"api-{self.port}.log"

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "kubeconfig").write_text(_KUBECONFIG)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("DRISHTIKSHA_")}
        env = clean | {
            "PORT": str(self.port),
            "DRISHTIKSHA_METRICS_PORT": str(self.metrics_port),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "JWT_SECRET": "j" * 40,
            "DRISHTIKSHA_SIGNING_KEYS": "a:" + "k" * 40,
            "LOCAL_STORAGE_PATH": str(self.objects),
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            **self.settings,
        }
        program = ["from drishtiksha_api import connection, main, pace"]
        program += [f"{name} = {value!r}" for name, value in self.clocks.items()]
        argv = [sys.executable, "-c", "\n".join([*program, "main.main(['serve'])"])]
        with self.log.open("wb") as sink:
            self._process = subprocess.Popen(argv, env=env, cwd=self.folder, stdout=sink, stderr=sink)
        self._seen = psutil.Process(self._process.pid)
        wait_for("the api", self._answers)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def lines(self) -> list[str]:
        """What it has logged so far."""
        return self.log.read_text(errors="replace").splitlines()

    def memory(self) -> float:
        """MiB that are resident now."""
        return self._status("VmRSS:")

    def peak(self) -> float:
        """MiB that were resident at most since the start, or since `forget_peak`."""
        return self._status("VmHWM:")

    def forget_peak(self) -> None:
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        return self._seen.num_fds()

    def connections(self) -> int:
        """Connections of clients that are open."""
        there = self._seen.net_connections("tcp")
        return sum(one.status == "ESTABLISHED" and one.laddr.port == self.port for one in there)

    def children(self) -> int:
        return len(self._seen.children(recursive=True))

    def stored(self) -> list[str]:
        """All files of its object store, unfinished ones included."""
        return sorted(str(p.relative_to(self.objects)) for p in self.objects.rglob("*") if p.is_file())

    def _status(self, name: str) -> float:
        told = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in told if line.startswith(name))

    def _answers(self) -> bool:
        assert self._process.poll() is None, "\n".join(self.lines()[-30:])
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
