"""Building the control plane from its Go module, once, with progress all the way.

Called by `binary.py` with a Go from `toolchain.py`. What is downloaded is checked against go.sum by Go itself.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from drishtiksha.domain.errors import DrishtikshaError

from .download import Progress
from .process import dies_with_parent
from .toolchain import Go

MODULES_SILENCE = 300.0
"""Seconds without a line from Go while it fetches modules after which the network is given up."""
COMPILE_SILENCE = 1800.0
"""The same while it compiles: the last step links for minutes on a busy machine, without a word."""
HEARTBEAT = 2.0
"""Seconds between two reports when nothing new happens, so that the clock in the sentence moves."""


class BuildFailed(DrishtikshaError):
    """Go could not build the control plane; the text carries its last words and the likely cure."""


def build(go: Go, module: Path, target: Path, progress: Progress) -> None:
    """Compile `module` into the executable `target`. Raises BuildFailed; `target` then is not there."""
    began = time.monotonic()

    def said(what: str, done: float | None = None) -> None:
        minutes, seconds = divmod(int(time.monotonic() - began), 60)
        progress(f"Building Kubernetes, only this once ({minutes}:{seconds:02d}): {what}", done)

    # Fetch the modules and learn how many packages there are.
    said("looking at its modules")
    packages, fetched = 0, 0
    with closing(_run(go, ["list", "-deps", "."], module, MODULES_SILENCE)) as lines:
        for stream, line in lines:
            if stream == "out":
                packages += 1
            elif line.startswith("go: downloading"):
                fetched += 1
            said(f"{fetched} modules fetched" if fetched else "looking at its modules")

    # Compile: Go names each package when it begins with it; those it still has from before are not named.
    compiled = 0
    arguments = [
        "build",
        "-v",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        linker_flags(module),
        "-o",
        str(target),
        ".",
    ]
    with closing(_run(go, arguments, module, COMPILE_SILENCE)) as lines:
        for stream, line in lines:
            if stream == "err" and line and not line.startswith("go: "):
                compiled += 1
            what = f"package {compiled} of {packages}" if compiled else f"looking which of {packages} packages are new"
            said(what, min(compiled / max(packages, 1), 0.99))
    said("done", 1.0)


def linker_flags(module: Path) -> str:
    """No symbol tables, and the version that the programs report, taken from go.mod."""
    found = re.search(r"^\s*k8s\.io/kubernetes v((\d+)\.(\d+)\.\S+)$", (module / "go.mod").read_text("utf-8"), re.M)
    if found is None:
        raise BuildFailed(f"{module / 'go.mod'} names no version of k8s.io/kubernetes")
    version = "k8s.io/component-base/version"
    return (
        f"-s -w -X {version}.gitVersion=v{found[1]} -X {version}.gitMajor={found[2]} -X {version}.gitMinor={found[3]}"
    )


def _run(go: Go, arguments: list[str], module: Path, silence: float) -> Generator[tuple[str, str], None, None]:
    """Go's lines as they come, as ("out"|"err", line), and ("tick", "") in between; a failure is BuildFailed."""
    process = subprocess.Popen(
        [str(go.program), *arguments],
        cwd=module,
        env=go.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,
        preexec_fn=dies_with_parent(),  # noqa: PLW1509  a compiler that outlives us would write into a folder we reuse
    )
    lines: queue.Queue[tuple[str, str] | None] = queue.Queue()
    last_words: list[str] = []

    def read(stream: str) -> None:
        for line in (process.stdout if stream == "out" else process.stderr) or ():
            lines.put((stream, line.rstrip()))
        lines.put(None)

    for stream in ("out", "err"):
        threading.Thread(target=read, args=(stream,), daemon=True).start()
    open_streams, heard = 2, time.monotonic()
    try:
        while open_streams:
            try:
                item = lines.get(timeout=HEARTBEAT)
            except queue.Empty:
                if time.monotonic() - heard > silence:
                    raise BuildFailed(
                        f"Go said nothing for {silence:.0f} s (go {arguments[0]}). Is the Go module proxy reachable?"
                    ) from None
                yield "tick", ""
                continue
            heard = time.monotonic()
            if item is None:
                open_streams -= 1
                continue
            if item[0] == "err":
                last_words = [*last_words[-4:], item[1]]
            yield item
        if process.wait() != 0:
            raise BuildFailed(
                f"The control plane could not be built with Go {go.version}: {' / '.join(last_words)}. If the network "
                "is the reason, connect this machine to the Go module proxy (GOPROXY) and start again; what was "
                "fetched and compiled is kept."
            )
    finally:
        if process.poll() is None:
            # Go's compilers are its children; a Ctrl-C reaches only us.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
