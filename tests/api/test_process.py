"""The two processes as they are started: what they need, how they wait, how they end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: u, user: {token: t}}]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DRISHTIKSHA_")}
    return clean | {
        "JWT_SECRET": "j" * 40,
        "DRISHTIKSHA_SIGNING_KEYS": "a:" + "k" * 40,
        "LOCAL_STORAGE_PATH": str(tmp_path / "objects"),
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "DATABASE_URL": "postgresql://nobody:x@127.0.0.1:9/none",
        "REDIS_URL": "redis://127.0.0.1:9/0",
        **more,
    }


@contextlib.contextmanager
def started(
    command: str, env: dict[str, str], cwd: Path, *, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The process for the time of the block. What it says goes to `log`, else to `process.stderr`."""
    argv = [sys.executable, "-m", "drishtiksha_api.main", command]
    with contextlib.ExitStack() as stack:
        told = subprocess.PIPE if log is None else stack.enter_context(log.open("ab"))
        process = subprocess.Popen(argv, env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=told)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def until_answered(url: str) -> tuple[int, bytes]:
    give_up = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize("command", ["serve", "door"])
def test_a_process_without_its_neighbours_lives_says_who_is_away_and_ends_cleanly(tmp_path: Path, command: str) -> None:
    port, metrics_port = free_port(), free_port()
    env = environment(
        tmp_path, PORT=str(port), DRISHTIKSHA_DOOR_PORT=str(port), DRISHTIKSHA_METRICS_PORT=str(metrics_port)
    )
    with started(command, env, tmp_path) as process:
        assert until_answered(f"http://127.0.0.1:{metrics_port}/healthz")[0] == 200
        status, body = until_answered(f"http://127.0.0.1:{metrics_port}/readyz")
        assert status == 503
        assert b"postgres" in body
        assert b"redis" in body
        if command == "serve":
            assert until_answered(f"http://127.0.0.1:{port}/")[0] == 200
            login = urllib.request.Request(
                f"http://127.0.0.1:{port}/api/v1/auth/login", b'{"email":"a@b.c","password":"x"}'
            )
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(login, timeout=60)
            assert refused.value.code == 503
            assert int(refused.value.headers["Retry-After"]) >= 1
        assert process.stderr is not None
        assert any(b"waiting for neighbours" in line for line in process.stderr), "it ended without a word about them"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"JWT_SECRET": "short"}, b"JWT_SECRET"),
        ({"STORAGE_PROVIDER": "tape"}, b"STORAGE_PROVIDER"),
    ],
)
def test_a_bad_setting_stops_the_api_with_a_sentence_that_names_it(
    tmp_path: Path, change: dict[str, Any], named: bytes
) -> None:
    with started("serve", environment(tmp_path, PORT="0", DRISHTIKSHA_METRICS_PORT="0", **change), tmp_path) as process:
        _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert named in told
    assert b"Traceback" not in told
