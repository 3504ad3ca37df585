"""The api as a process behind the fault proxy: PostgreSQL or Valkey refused, swallowed, slow, flushed (I16, I15).

Without PostgreSQL an upload is 503 with Retry-After, never 202, and leaves nothing; without Valkey only the live push is late.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import api_samples as samples
import httpx
import psycopg
import pytest
import redis
import socketio
from fault_proxy import FaultProxy
from test_process import environment, free_port, started, until_answered

pytestmark = pytest.mark.long

PICTURE = samples.picture("PNG")
NEVER = 120.0
"""Seconds after which a call counts as one that hangs for ever."""


def soak(how: str) -> Any:
    """A way to be away that takes long to see, and is left to make test-soak."""
    return pytest.param(how, marks=pytest.mark.soak)


class Api:
    """A real process between its callers and its proxied neighbours."""

    def __init__(self, port: int, metrics: int, postgres: FaultProxy, valkey: FaultProxy, direct: str) -> None:
        self.url, self.ready_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics}/readyz"
        self.postgres, self.valkey, self.direct = postgres, valkey, direct
        self.http = httpx.Client(base_url=self.url + "/api/v1", timeout=NEVER)
        new = {
            "email": f"{uuid.uuid4().hex}@example.org",
            "password": "correct horse",
            "firstName": "A",
            "lastName": "L",
        }
        answer = self.http.post("/auth/signup", json=new)
        assert answer.status_code == 201, answer.text
        self.token: str = answer.json()["data"]["token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"

    def upload(self) -> httpx.Response:
        return self.http.post("/media", files={"file": ("a.png", PICTURE)})

    def count(self, table: str) -> int:
        with psycopg.connect(self.direct) as connection:
            row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
            assert row is not None
            return int(row[0])

    def ready(self) -> tuple[int, bytes]:
        answer = httpx.get(self.ready_url, timeout=NEVER)
        return answer.status_code, answer.content

    def listen(self) -> tuple[socketio.Client, list[Any]]:
        client, heard = socketio.Client(reconnection=False), list[Any]()
        client.on("progress_update", heard.append)
        client.connect(self.url, auth={"token": self.token, "lastSeq": 0}, transports=["websocket"], wait_timeout=30)
        return client, heard


def wait(what: str, look: Callable[[], Any], seconds: float = NEVER) -> Any:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, what
        time.sleep(0.1)
    return found


@pytest.fixture
def api(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    port, metrics = free_port(), free_port()
    with FaultProxy.before(database_url) as postgres, FaultProxy.before(redis_url) as valkey:
        env = environment(
            tmp_path,
            PORT=str(port),
            BASE_URL=f"http://127.0.0.1:{port}",
            DRISHTIKSHA_METRICS_PORT=str(metrics),
            DATABASE_URL=postgres.instead_of(database_url),
            REDIS_URL=valkey.instead_of(redis_url),
            DRISHTIKSHA_STATEMENT_TIMEOUT="2s",
        )
        with started("serve", env, tmp_path, log=tmp_path / "api.log"):
            until_answered(f"http://127.0.0.1:{port}/healthz")
            yield Api(port, metrics, postgres, valkey, database_url)


@pytest.mark.parametrize("how", ["refuse", soak("reset"), soak("blackhole")])
def test_i16_without_postgres_an_upload_is_503_and_leaves_nothing_and_it_recovers_by_itself(api: Api, how: str) -> None:
    assert api.upload().status_code == 202
    getattr(api.postgres, how)()
    refused = api.upload()
    assert (refused.status_code, refused.json()["code"]) == (503, "UNAVAILABLE"), refused.text
    assert refused.json()["details"] == {"what": "postgres"}
    assert int(refused.headers["Retry-After"]) >= 1
    status, said = api.ready()
    assert status == 503
    assert b"postgres" in said
    assert api.count("media") == 1
    api.postgres.heal()
    assert wait("an upload to be accepted again", lambda: api.upload().status_code == 202)
    assert api.count("media") == 2
    assert api.count("events") == 2


def test_i16_an_upload_whose_row_cannot_be_written_is_never_202(api: Api) -> None:
    """PostgreSQL goes while the upload is under way: the token was good, the bytes are stored, the row is not."""
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + PICTURE
        sent = 1
        api.postgres.refuse()
        yield b"\r\n--x--\r\n"

    answer = api.http.post("/media", content=body(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert sent
    assert answer.status_code == 503, answer.text
    assert "Retry-After" in answer.headers
    assert (api.count("media"), api.count("events"), api.count("outbox")) == (0, 0, 0)


def test_i15_a_slow_postgres_is_waited_for(api: Api) -> None:
    api.postgres.slow(0.05)
    assert api.upload().status_code == 202
    assert api.count("media") == 1


@pytest.mark.parametrize("how", [soak("refuse"), "blackhole", soak("flush")])
def test_i16_without_valkey_uploads_are_accepted_and_events_arrive_by_polling(
    api: Api, how: str, valkey_server: str
) -> None:
    client, heard = api.listen()
    assert api.upload().status_code == 202
    wait("the first event", lambda: len(heard) == 1)
    if how == "flush":
        with redis.Redis.from_url(valkey_server) as flushing:
            flushing.flushall()
    else:
        getattr(api.valkey, how)()
    began = time.monotonic()
    assert api.upload().status_code == 202
    assert time.monotonic() - began < NEVER / 4, "the upload waited for what only carries wake-ups"
    wait("the second event, by polling", lambda: len(heard) == 2)
    assert [told["seq"] for told in heard] == [1, 2]
    if how != "flush":
        assert b"redis" in api.ready()[1]
    api.valkey.heal()
    wait("readiness to say that redis is back", lambda: b"redis" not in api.ready()[1])
    assert api.upload().status_code == 202
    wait("the third event", lambda: len(heard) == 3)
    client.disconnect()
