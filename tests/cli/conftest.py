"""An API of a few lines on a real port, and the command line as a function of its words."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from drishtiksha_cli import main, tokens


class Api:
    """Answers as told: `answers["GET /media"]` is a list of (status, data or error body); the last one stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                what = f"{self.command} {self.path.removeprefix('/api/v1').partition('?')[0]}"
                api.asked.append((what, dict(self.headers), body))
                left = api.answers.get(what, [(404, {"code": "NOT_FOUND", "message": "Media not found."})])
                status, data = left.pop(0) if len(left) > 1 else left[0]
                ok = status < 400
                said = {"data": data, "message": "Success"} if ok else data
                text = json.dumps({"success": ok, "statusCode": status, **said}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DRISHTIKSHA_HOME", str(tmp_path / "home"))
    for name in ("DRISHTIKSHA_EMAIL", "DRISHTIKSHA_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    made = Api()
    monkeypatch.setenv("DRISHTIKSHA_API", made.url)
    yield made
    made.close()


@pytest.fixture
def logged_in(api: Api) -> Api:
    tokens.save(api.url, "a@b.c", "a-token")
    return api


Said = tuple[int, str, str]


@pytest.fixture
def drishtiksha(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run the command line in this process: its exit code, standard output and standard error."""

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["drishtiksha", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run
