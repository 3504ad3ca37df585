"""A door and an ML service on real sockets, whose answers each test scripts; and how a runner is started against them.

Both record what they were asked. The door checks every body against `drishtiksha.protocol`, as the real one does.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn

from drishtiksha.protocol import AttemptFailure, AttemptResult, Progress
from drishtiksha_jobrunner.environment import Environment
from drishtiksha_jobrunner.timing import Timing

sys.path.insert(0, str(Path(__file__).parent))

TOKEN = "v1.k1.0192aaaa-attempt.s3cr3t-of-the-attempt"
KEY = "ml-key-0123456789abcdef"
MEDIA = bytes(range(256)) * 1200  # 300 KiB: several chunks


@dataclass
class Reply:
    """A scripted answer. `cut`: close the connection after so many bytes of the body; `after`: seconds before it;
    `pieces`: (bytes, seconds to wait after them); `unread`: answer before the request's body was read;
    `executed`: do what is ordinary first, and then answer with this.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    after: float = 0.0
    pieces: tuple[tuple[int, float], ...] = ()
    unread: bool = False
    executed: bool = False


@dataclass
class Call:
    """What came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


class Double:
    """An ASGI application that plays a script per route, then its ordinary answer."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.script: dict[str, list[Reply | None]] = {}
        """By the last word of the path; None stands for the ordinary answer."""
        self.released = threading.Event()

    def asked(self, route: str) -> list[Call]:
        """The calls of one route, in order."""
        return [call for call in self.calls if _route(call.path) == route]

    def ordinary(self, call: Call) -> Reply:
        """The answer when nothing is scripted."""
        return Reply(404)

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        script = self.script.get(_route(scope["path"]), [])
        scripted = script.pop(0) if script else None
        chunks, more = [], scripted is None or not scripted.unread
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        headers = {k.decode().lower(): v.decode() for k, v in scope["headers"]}
        call = Call(scope["method"], scope["path"], headers, b"".join(chunks), time.monotonic())
        self.calls.append(call)
        ordinary = self.ordinary(call) if scripted is None or scripted.executed else None
        reply = scripted or ordinary
        assert reply is not None
        await asyncio.sleep(reply.after)
        given = {"content-length": str(len(reply.body)), **reply.headers}
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [(k.encode(), v.encode()) for k, v in given.items()],
            }
        )
        if reply.cut is not None:
            await send({"type": "http.response.body", "body": reply.body[: reply.cut], "more_body": True})
            await asyncio.sleep(0.02)
            raise ConnectionAbortedError("scripted cut")
        rest = reply.body
        for size, wait in reply.pieces:
            await send({"type": "http.response.body", "body": rest[:size], "more_body": True})
            await asyncio.sleep(wait)
            rest = rest[size:]
        await send({"type": "http.response.body", "body": rest})


class DoorDouble(Double):
    """The internal door for one attempt."""

    def __init__(self) -> None:
        super().__init__()
        self.media = MEDIA
        self.results: list[AttemptResult] = []
        self.failures: list[AttemptFailure] = []
        self.progress: list[Progress] = []
        self.heartbeats = 0
        self.artifacts: dict[str, tuple[str, str, bytes]] = {}
        self.assignment = {
            "attempt": {"id": "a1", "number": 1},
            "analysis": {"id": "an1", "model": "FACE-TEMPORAL-V1", "modelVersion": "1.0.0"},
            "run": {"id": "r1"},
            "media": {
                "id": "m1",
                "userId": "u1",
                "type": "VIDEO",
                "mimetype": "video/mp4",
                "size": len(MEDIA),
                "sha256": hashlib.sha256(MEDIA).hexdigest(),
                "hasAudio": True,
            },
            "deadline": "2030-01-01T00:00:00.000Z",
            "secondsLeft": 40.0,
        }

    def ordinary(self, call: Call) -> Reply:
        if call.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(401)
        body = gzip.decompress(call.body) if call.headers.get("content-encoding") == "gzip" else call.body
        match call.method, _route(call.path):
            case "GET", "attempt":
                return Reply(body=json.dumps(self.assignment).encode())
            case "GET", "media":
                begin = int(call.headers.get("range", "bytes=0-")[6:-1])
                ranged = {"content-range": f"bytes {begin}-{len(self.media) - 1}/{len(self.media)}"} if begin else {}
                return Reply(206 if begin else 200, self.media[begin:], ranged)
            case "POST", "progress":
                if self.results or self.failures:
                    return Reply(409, b'{"code": "FENCED"}')
                if not body:
                    self.heartbeats += 1
                else:
                    self.progress.append(Progress.model_validate_json(body))
                return Reply(204, b"", {})
            case "PUT", "artifacts":
                assert hashlib.sha256(body).hexdigest() == call.headers["x-content-sha256"]
                name = call.path.rsplit("/", 1)[-1]
                self.artifacts[name] = (call.headers["x-kind"], call.headers["content-type"], body)
            case "PUT", "result":
                if self.results:
                    return Reply(body=b'{"accepted": false}')
                self.results.append(AttemptResult.model_validate_json(body))
                return Reply(body=b'{"accepted": true}')
            case "PUT", "failure":
                self.failures.append(AttemptFailure.model_validate_json(body))
        return Reply()


class ServiceDouble(Double):
    """An ML service of dialect 3 with one model."""

    def __init__(self) -> None:
        super().__init__()
        self.stats: dict = {
            "service_name": "double",
            "version": "3.1.0",
            "uptime_seconds": 500.0,
            "device_info": {"type": "cpu"},
            "system_info": {"python_version": "3.11.7"},
            "models_info": [
                {
                    "name": "FACE-TEMPORAL-V1",
                    "class_name": "FaceTemporal",
                    "description": "Temporal coherence of faces",
                    "loaded": True,
                    "device": "cuda:0",
                    "memory_usage_mb": 81.5,
                    "load_time": 120.0,
                    "version": "1.0.0",
                }
            ],
        }
        self.data: dict = {"prediction": "FAKE", "confidence": 0.9, "processing_time": 1.5}
        self.answer: dict = {"success": True, "model_used": "FACE-TEMPORAL-V1", "data": self.data}

    def ordinary(self, call: Call) -> Reply:
        if call.headers.get("x-api-key") != KEY:
            return Reply(401, b'{"detail": "wrong key"}')
        said = self.stats if _route(call.path) == "stats" else self.answer
        return Reply(body=json.dumps(said).encode(), headers={"content-type": "application/json"})


def _route(path: str) -> str:
    return "artifacts" if "/artifacts/" in path else path.rsplit("/", 1)[-1]


class Socket:
    """One listening uvicorn whose application is exchanged per test."""

    def __init__(self) -> None:
        self.app: Double | None = None
        config = uvicorn.Config(
            self._serve, host="127.0.0.1", port=0, log_config=None, lifespan="off", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def _serve(self, scope: dict, receive: Callable, send: Callable) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)

    def close(self) -> None:
        self._server.force_exit = self._server.should_exit = True
        self._thread.join(5)


@pytest.fixture(scope="session")
def sockets() -> Iterator[tuple[Socket, Socket]]:
    pair = Socket(), Socket()
    yield pair
    for each in pair:
        each.close()


@pytest.fixture
def door(sockets: tuple[Socket, Socket]) -> DoorDouble:
    sockets[0].app = double = DoorDouble()
    return double


@pytest.fixture
def service(sockets: tuple[Socket, Socket]) -> ServiceDouble:
    sockets[1].app = double = ServiceDouble()
    return double


@pytest.fixture
def reply() -> Callable[..., Reply]:
    """Makes a scripted answer; a body may be given as text or as an object for JSON."""

    def make(status: int = 200, body: object = b"{}", **rest: object) -> Reply:
        if isinstance(body, dict):
            body = json.dumps(body)
        return Reply(status, body.encode() if isinstance(body, str) else body, **rest)  # type: ignore[arg-type]

    return make


@pytest.fixture
def environ(door: DoorDouble, service: ServiceDouble, sockets: tuple[Socket, Socket], tmp_path: Path) -> dict[str, str]:
    """What the pod would be told."""
    return {
        "DRISHTIKSHA_DOOR_URL": sockets[0].url,
        "DRISHTIKSHA_ATTEMPT_TOKEN": TOKEN,
        "SERVER_URL": sockets[1].url,
        "SERVER_API_KEY": KEY,
        "SERVER_DIALECT": "auto",
        "TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "TMPDIR": str(tmp_path),
    }


@pytest.fixture
def environment(environ: dict[str, str]) -> Environment:
    from drishtiksha_jobrunner.environment import read

    return read(environ)


@pytest.fixture
def hasty() -> Timing:
    """Pauses short enough for a test."""
    return Timing(
        before_assignment=8.0,
        door_read=2.0,
        door_pause=0.01,
        door_pause_max=0.05,
        heartbeat=0.1,
        progress_gap=0.02,
        ml_patience=1.0,
        ml_pause=0.02,
        ml_pause_max=0.05,
        busy_pause=0.02,
        busy_pause_max=0.05,
        look_again=0.02,
        last_word=0.2,
    )


@pytest.fixture
def process(environ: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts the real command; whatever still runs at the end of the test is killed."""
    started: list[subprocess.Popen] = []

    def start(**changed: str) -> subprocess.Popen:
        env = {"PATH": os.environ["PATH"], **environ, **changed}
        command = [sys.executable, "-m", "drishtiksha_jobrunner.main"]
        started.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for each in started:
        if each.poll() is None:
            each.send_signal(signal.SIGKILL)
        each.communicate()
