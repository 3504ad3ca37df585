"""A web server that misbehaves on request, and a Go that is a shell script: the two neighbours of `binary.py`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@dataclass
class Mirror:
    """Serves `content`; `faults` are used up one per request: cut, stall, or an HTTP status."""

    content: bytes
    faults: list[str | int] = field(default_factory=list)
    requests: int = 0
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    state = Mirror(content=b"")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests += 1
            fault = state.faults.pop(0) if state.faults else None
            if isinstance(fault, int):
                self.send_error(fault)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(state.content)))
            self.end_headers()
            half = len(state.content) // 2
            self.wfile.write(state.content[:half])
            self.wfile.flush()
            if fault == "stall":
                state.released.wait(30)
            if fault is None:
                self.wfile.write(state.content[half:])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/control-plane"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield state
    state.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a `go` of the given version on PATH whose `list` and `build` are these shell lines. Returns its folder."""

    def make(
        build: str = 'for p in a b c; do echo "k8s.io/$p" >&2; done; printf "#!/bin/sh\\necho $0" > "$out"',
        listing: str = 'echo "go: downloading k8s.io/a v1" >&2; for p in a b c d; do echo "k8s.io/$p"; done',
        version: str = "go1.26.8",
    ) -> Path:
        folder = tmp_path / "path"
        folder.mkdir(exist_ok=True)
        script = folder / "go"
        script.write_text(
            f'#!/bin/sh\necho "$@" >> {folder}/calls\n'
            f'case "$1" in\nenv) echo {version};;\nlist) {listing};;\n'
            'build) while [ "$1" != "-o" ]; do shift; done; out=$2\n'
            f"{build};;\nesac\n"
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return folder

    return make
