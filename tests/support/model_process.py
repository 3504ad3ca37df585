"""One `drishtiksha-models serve` as a process of its own, on a port of its own, and what its metrics say."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from drishtiksha_devcluster.ports import free_port

KEY = "ml-key-0123456789abcdef"


@dataclass(frozen=True)
class ModelProcess:
    """A service that is ready."""

    url: str
    process: subprocess.Popen[bytes]

    def metric(self, name: str) -> float:
        """The number that its metrics give under this name, labels included."""
        for line in httpx.get(f"{self.url}/metrics", trust_env=False).text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        raise AssertionError(name)


@contextmanager
def model_process(folder: Path, **settings: str) -> Iterator[ModelProcess]:
    """Serve until the block ends; `settings` by the names of the environment. Its temporary files lie in `folder`."""
    port = free_port()
    mine = {"PORT": str(port), "SERVER_API_KEY": KEY, "WORKERS": "1", "TMPDIR": str(folder)}
    passed = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    command = [sys.executable, "-m", "drishtiksha_models.main", "serve"]
    with (folder / f"models-{port}.log").open("wb") as log:
        process = subprocess.Popen(command, env=passed | mine | settings, cwd=folder, stderr=log)
        try:
            yield ModelProcess(_ready(f"http://127.0.0.1:{port}", process), process)
        finally:
            process.terminate()
            process.wait(30)


def _ready(url: str, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, f"the service ended with {process.poll()}"
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return url
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the service did not become ready")
