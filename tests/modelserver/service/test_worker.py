"""The worker by itself: what it says of its own process."""

from __future__ import annotations

import subprocess
import sys

SAYS = "from drishtiksha_models.process import memory_mb; print(memory_mb())"
STARTS_IT_WHEN_LARGE = (
    f"import subprocess, sys; x = bytearray(300 << 20); subprocess.run([sys.executable, '-c', {SAYS!r}])"
)


def test_a_worker_tells_its_own_memory_and_not_that_of_whoever_started_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARTS_IT_WHEN_LARGE], check=True, capture_output=True, text=True, timeout=120
    )
    assert 10 < float(done.stdout) < 250
