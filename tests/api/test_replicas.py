"""Two api processes behind a relay that sends each connection to the next: a client cannot tell them from one.

And when one of them is killed, in the middle of an upload, a socket or a stream, the client gets what it was promised from
the other. The replicas share PostgreSQL, Valkey and the folder of objects, and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest
import socketio
from api_process import ApiProcess, wait_for
from api_samples import picture
from round_robin import RoundRobin

pytestmark = pytest.mark.long

PICTURE = picture("PNG")
WAY_TOO_LONG = 90.0
"""Seconds that no client should wait for anything here."""


class Pair:
    """Both replicas, and their relay; each may be killed and started anew at its port."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        self._stores = (folder, database_url, redis_url)
        self.database_url = database_url
        self.both = [ApiProcess(*self._stores), ApiProcess(*self._stores)]
        self.relay = RoundRobin([api.port for api in self.both])

    def start(self, number: int) -> None:
        """A replica at its port. It is reached by the relay, and our clients may also come to it by itself."""
        pages = ",".join(api.url for api in self.both)
        settings = {"BASE_URL": self.relay.url, "FRONTEND_URL": pages}
        self.both[number] = ApiProcess(*self._stores, settings=settings, port=self.both[number].port)
        self.both[number].start()

    def revive(self) -> None:
        """Whoever was killed runs again."""
        for number, api in enumerate(self.both):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{api.url}/healthz", timeout=WAY_TOO_LONG)
                continue
            self.start(number)

    def at(self, port: int) -> ApiProcess:
        """The replica that listens there."""
        return next(api for api in self.both if api.port == port)

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def whole_pair(
    postgres_server: str, migrated_template: str, valkey_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    name = f"replicas_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template} STRATEGY FILE_COPY".encode())
    urls = [
        urlunsplit(urlsplit(u)._replace(path=f"/{p}")) for u, p in ((postgres_server, name), (valkey_server, "249"))
    ]
    pair = Pair(tmp_path_factory.mktemp("replicas"), *urls)
    with pair.relay:
        for number in (0, 1):
            pair.start(number)
        yield pair
    for api in pair.both:
        api.stop()
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def pair(whole_pair: Pair) -> Pair:
    """Both of them alive."""
    whole_pair.revive()
    return whole_pair


class Person:
    """A user who comes by the relay; `at(n)` is the same user at one replica."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.email = f"{uuid.uuid4().hex}@example.org"
        new = {"email": self.email, "password": "correct horse", "firstName": "A", "lastName": "L"}
        answer = self.call("POST", "/auth/signup", token=False, json=new)
        assert answer.status_code == 201, answer.text
        self.token: str = answer.json()["data"]["token"]
        self.id: str = answer.json()["data"]["user"]["id"]

    def call(
        self, method: str, path: str, *, at: int | None = None, token: bool = True, **words: Any
    ) -> httpx.Response:
        """One request on a connection of its own: by the relay, or at one replica."""
        base = self.pair.relay.url if at is None else self.pair.both[at].url
        headers = {**words.pop("headers", {}), **({"Authorization": f"Bearer {self.token}"} if token else {})}
        return httpx.request(method, f"{base}/api/v1{path}", headers=headers, timeout=WAY_TOO_LONG, **words)

    def upload(self, *, at: int | None = None, key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.call("POST", "/media", at=at, files={"file": ("a.png", PICTURE)}, headers=headers)

    @contextlib.contextmanager
    def listening(self, base: str, transport: str = "websocket", **auth: Any) -> Iterator[Ear]:
        ear = Ear()
        ear.client.connect(base, auth={"token": self.token, **auth}, transports=[transport], wait_timeout=60)
        try:
            yield ear
        finally:
            ear.client.disconnect()


class Ear:
    """A socket that remembers what it heard. It does not come back by itself."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.client = socketio.Client(reconnection=False)
        self.client.on("*", lambda name, payload: self.heard.append((name, payload)))
        self.ended = threading.Event()
        self.client.on("disconnect", lambda *_: self.ended.set())

    def seqs(self) -> list[int]:
        return [p["seq"] for name, p in self.heard if name == "progress_update" and "seq" in p]

    def until(self, *seqs: int) -> None:
        wait_for(f"events {seqs}", lambda: self.seqs() == list(seqs), WAY_TOO_LONG)


@contextlib.contextmanager
def stream(person: Person, path: str, at: int) -> Iterator[list[str]]:
    """A stream of events at one replica: its lines so far."""
    lines: list[str] = []
    url = f"{person.pair.both[at].url}/api/v1{path}"
    headers = {"Authorization": f"Bearer {person.token}", "Accept": "text/event-stream"}

    def read(answer: httpx.Response) -> None:
        with contextlib.suppress(httpx.TransportError):
            for line in answer.iter_lines():
                lines.append(line)
        lines.append("THE END")

    with httpx.stream("GET", url, headers=headers, timeout=WAY_TOO_LONG) as answer:
        assert answer.status_code == 200
        reader = threading.Thread(target=read, args=(answer,), daemon=True)
        reader.start()
        yield lines


def test_what_is_done_at_one_replica_is_there_at_the_other(pair: Pair) -> None:
    ada = Person(pair)
    served = pair.relay.served.copy()
    media = [ada.upload().json()["data"] for _ in range(4)]
    assert len(pair.relay.served - served) == 2, "both took some"
    ids = [one["id"] for one in reversed(media)]
    for at in (0, 1):
        assert [one["id"] for one in ada.call("GET", "/media", at=at).json()["data"]] == ids
        for one in media:
            link = one["url"].partition("/api/v1")[2]
            assert ada.call("GET", link, at=at, token=False).content == PICTURE
            assert ada.call("GET", f"/media/{one['id']}", at=at).json()["data"]["url"].endswith(link)
    assert ada.call("DELETE", f"/media/{ids[0]}", at=0).status_code == 200
    assert ada.call("DELETE", f"/media/{ids[0]}", at=1).status_code == 404


def test_one_key_at_both_replicas_is_one_upload(pair: Pair) -> None:
    ada, key = Person(pair), uuid.uuid4().hex
    answers: list[httpx.Response] = []
    senders = [threading.Thread(target=lambda at=at: answers.append(ada.upload(at=at, key=key))) for at in (0, 1) * 3]  # type: ignore[misc]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(WAY_TOO_LONG)
    assert len(answers) == 6
    assert {answer.status_code for answer in answers} <= {202, 409}
    fresh = [a for a in answers if a.status_code == 202 and "idempotency-replayed" not in a.headers]
    assert len(fresh) == 1
    assert all(a.json()["code"] == "IDEMPOTENCY_IN_FLIGHT" for a in answers if a.status_code == 409)
    for at in (0, 1):
        again = ada.upload(at=at, key=key)
        assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
        assert again.json()["data"]["id"] == fresh[0].json()["data"]["id"]
    assert len(ada.call("GET", "/media").json()["data"]) == 1


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_sockets_at_both_replicas_hear_every_event_once_and_in_order(pair: Pair, transport: str) -> None:
    ada, eve = Person(pair), Person(pair)
    with contextlib.ExitStack() as stack:
        ears = [stack.enter_context(ada.listening(api.url, transport, lastSeq=0)) for api in pair.both]
        stranger = stack.enter_context(eve.listening(pair.both[0].url, transport, lastSeq=0))
        for _ in range(3):
            assert ada.upload().status_code == 202
        for ear in ears:
            ear.until(1, 2, 3)
        assert stranger.heard == []


def test_a_poll_that_comes_to_the_other_replica_is_refused_and_nothing_is_lost(pair: Pair) -> None:
    """Polls of one session belong to one replica: a balancer keeps them there, or clients use WebSockets only."""
    ada = Person(pair)
    ada.upload()
    opened = httpx.get(f"{pair.both[0].url}/socket.io/?EIO=4&transport=polling", timeout=WAY_TOO_LONG)
    session = json.loads(opened.text[1:])["sid"]
    astray = httpx.get(f"{pair.both[1].url}/socket.io/?EIO=4&transport=polling&sid={session}", timeout=WAY_TOO_LONG)
    assert astray.status_code == 400
    with (
        RoundRobin([api.port for api in pair.both], sticky=True) as kept,
        ada.listening(kept.url, "polling", lastSeq=0) as ear,
    ):
        ear.until(1)
        ada.upload()
        ear.until(1, 2)


def test_a_stream_and_a_long_poll_at_one_replica_hear_what_happens_at_the_other(pair: Pair) -> None:
    ada = Person(pair)
    media = ada.upload(at=0).json()["data"]["id"]
    polled: list[httpx.Response] = []
    with stream(ada, f"/media/{media}/events", at=1) as lines:
        wait_for("the first event", lambda: any("RUN_QUEUED" in line for line in lines), WAY_TOO_LONG)
        waiter = threading.Thread(target=lambda: polled.append(ada.call("GET", f"/media/{media}?wait=60", at=1)))
        waiter.start()
        wait_for("the poll to come", lambda: pair.both[1].connections() >= 2, WAY_TOO_LONG)
        assert ada.call("DELETE", f"/media/{media}", at=0).status_code == 200
        wait_for("the deletion to be told", lambda: any("MEDIA_DELETED" in line for line in lines), WAY_TOO_LONG)
        wait_for("the stream to end", lambda: lines[-1] == "THE END", WAY_TOO_LONG)
        waiter.join(45)
    assert [answer.status_code for answer in polled] == [404], "long before its time was over"


def test_a_token_that_dies_at_one_replica_ends_its_sockets_and_streams_at_the_other(pair: Pair) -> None:
    ada = Person(pair)
    media = ada.upload(at=0).json()["data"]["id"]
    with ada.listening(pair.both[1].url) as ear, stream(ada, f"/media/{media}/events", at=1) as lines:
        assert ada.call("POST", "/auth/logout", at=0).status_code == 200
        assert ada.call("GET", "/media", at=1).status_code == 401
        assert ear.ended.wait(WAY_TOO_LONG)
        wait_for("the stream to end", lambda: lines[-1] == "THE END", WAY_TOO_LONG)
    assert ("auth_expired", {"code": "TOKEN_INVALID"}) in ear.heard
    assert any("auth_expired" in line for line in lines)


def test_tries_at_both_replicas_are_counted_together(pair: Pair) -> None:
    ada = Person(pair)
    wrong = {"email": ada.email, "password": "wrong horse"}
    answers = [ada.call("POST", "/auth/login", token=False, json=wrong).status_code for _ in range(11)]
    assert answers == [401] * 10 + [429]
    for at in (0, 1):
        assert ada.call("POST", "/auth/login", at=at, token=False, json=wrong).status_code == 429


def test_i2_an_upload_whose_replica_is_killed_is_sent_again_and_stored_once(pair: Pair) -> None:
    ada, key = Person(pair), uuid.uuid4().hex
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + PICTURE + b"\r\n--x--\r\n"
    request = (
        f"POST /api/v1/media HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.token}\r\nIdempotency-Key: {key}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(form)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", pair.relay.port), timeout=WAY_TOO_LONG) as client:
        client.sendall(request + form[:-30])
        claimed = "SELECT 1 FROM idempotency_keys WHERE key = %s"
        wait_for("the upload to be under way", lambda: pair.sql(claimed, key), WAY_TOO_LONG)
        pair.at(pair.relay.newest).stop()
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b"", "no answer came"
    early = ada.upload(key=key)
    assert (early.status_code, early.json()["code"]) == (409, "IDEMPOTENCY_IN_FLIGHT")
    assert int(early.headers["retry-after"]) > 0
    pair.sql(
        "UPDATE idempotency_keys SET created_at = created_at - interval '2 min' WHERE key = %s", key
    )  # a minute passes
    again = ada.upload(key=key)
    assert (again.status_code, "idempotency-replayed" in again.headers) == (202, False)
    assert [one["id"] for one in ada.call("GET", "/media").json()["data"]] == [again.json()["data"]["id"]]


def test_i9_a_socket_whose_replica_is_killed_comes_back_to_the_other_and_misses_nothing(pair: Pair) -> None:
    ada = Person(pair)
    with ada.listening(pair.relay.url, lastSeq=0) as ear:
        hers = pair.at(pair.relay.newest)
        ada.upload()
        ear.until(1)
        hers.stop()
        assert ear.ended.wait(WAY_TOO_LONG)
    ada.upload()
    with ada.listening(pair.relay.url, lastSeq=1) as back:
        back.until(2)
        ada.upload()
        back.until(2, 3)
