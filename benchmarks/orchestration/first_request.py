"""What a runner costs before it does anything: CPU and memory of its process when its first request arrives."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from statistics import median

import psutil

from drishtiksha_devcluster import apps
from drishtiksha_devcluster.process import ProcessSpec, popen

from .meters import peak


def measure(times: int = 5) -> dict[str, float]:
    """Medians over `times` starts, after one that fills the page cache. CPU in seconds, memory in MiB."""
    _once()
    found = [_once() for _ in range(times)]
    return {
        "cpu": round(median(cpu for cpu, _ in found), 3),
        "rss": round(median(rss for _, rss in found), 1),
        "cpu_max": round(max(cpu for cpu, _ in found), 3),
        "bare_interpreter_cpu": round(median(_interpreter() for _ in range(times)), 3),
        "starts": times,
    }


def _once() -> tuple[float, float]:
    """Start the runner's command as a pod has it, with a listener for a door; look at it when its request is here."""
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryDirectory() as scratch:
        listener.settimeout(60)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        environment = {
            "DRISHTIKSHA_DOOR_URL": address,
            "DRISHTIKSHA_ATTEMPT_TOKEN": "bench",
            "SERVER_URL": address,
            "SERVER_API_KEY": "bench",
            "TMPDIR": scratch,
        }
        spec = ProcessSpec("runner", apps.IMAGES["drishtiksha/jobrunner"], environment)
        runner = popen(spec, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(60)
                connection.recv(1)
                process = psutil.Process(runner.pid)
                times = process.cpu_times()
                return times.user + times.system, peak(process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                runner.kill()
            runner.wait(10)


def _interpreter() -> float:
    """CPU seconds of an interpreter that does nothing, for comparison."""
    process = popen(ProcessSpec("interpreter", (sys.executable, "-c", "pass"), {}))
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    return used.ru_utime + used.ru_stime
