"""The fault proxy does what it says: each behaviour, seen from a plain client and a plain server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from fault_proxy import FaultProxy
from fault_wires import Fault, ReplyLost, Statements

ROUND = 5.0
"""Seconds that anything may take that should happen at once."""


class Echo:
    """A server that sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.connections = 0
        self.ended: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    self.got.append(data)
                    connection.sendall(data)
            except OSError as error:
                self.ended.append(type(error).__name__)
            else:
                self.ended.append("end")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", echo.port) as made:
        yield made


def client(proxy: FaultProxy, timeout: float = ROUND) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout)


def said(connection: socket.socket, words: bytes) -> bytes:
    """Send, and read as much as comes back until it is as long."""
    connection.sendall(words)
    back = b""
    while len(back) < len(words):
        chunk = connection.recv(65536)
        if not chunk:
            return back
        back += chunk
    return back


def until(look) -> None:
    end = time.monotonic() + ROUND
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_passes_what_is_said_both_ways_and_the_ends_too(proxy: FaultProxy, echo: Echo) -> None:
    with client(proxy) as connection:
        assert said(connection, b"x" * 300_000) == b"x" * 300_000
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(10) == b""
    until(lambda: echo.ended == ["end"])
    until(lambda: proxy.open == 0)


def test_refused_is_a_closed_port_and_a_reset_of_what_was_open(proxy: FaultProxy) -> None:
    with client(proxy) as connection:
        assert said(connection, b"a") == b"a"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        with pytest.raises(ConnectionRefusedError):
            client(proxy)
        proxy.heal()
        with client(proxy) as again:
            assert said(again, b"b") == b"b"


def test_reset_answers_a_connection_with_rst(proxy: FaultProxy, echo: Echo) -> None:
    proxy.reset()
    with pytest.raises(ConnectionResetError), client(proxy) as connection:
        connection.recv(1)
        connection.sendall(b"a")
        connection.recv(1)
    assert echo.connections == 0


def test_a_blackhole_takes_connections_and_says_nothing(proxy: FaultProxy, echo: Echo) -> None:
    with client(proxy, 0.3) as old, client(proxy, 0.3) as other:
        assert said(old, b"a") == b"a"
        assert said(other, b"b") == b"b"
        proxy.blackhole()
        old.sendall(b"lost")
        with client(proxy, 0.3) as new:
            new.sendall(b"lost too")
            for connection in (old, new):
                with pytest.raises(TimeoutError):
                    connection.recv(1)
        proxy.heal()
        # A stream with a hole in it never goes on; one that had nothing to lose does.
        old.sendall(b"c")
        with pytest.raises(TimeoutError):
            old.recv(1)
        assert said(other, b"d") == b"d"
    assert echo.connections == 2
    assert b"lost" not in b"".join(echo.got)


def test_one_way_may_be_swallowed_alone(proxy: FaultProxy, echo: Echo) -> None:
    proxy.to_client.swallow = True
    with client(proxy, 0.3) as connection:
        connection.sendall(b"heard")
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert echo.got == [b"heard"]


def test_latency_delays_and_loses_nothing(proxy: FaultProxy) -> None:
    proxy.slow(0.1)
    with client(proxy) as connection:
        began = time.monotonic()
        assert said(connection, b"late") == b"late"
        assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("way", ["to_server", "to_client"])
def test_a_connection_is_cut_after_exactly_so_many_bytes(proxy: FaultProxy, echo: Echo, way: str) -> None:
    getattr(proxy, way).cut_after = 1000
    with client(proxy) as connection:
        back = b""
        with pytest.raises(ConnectionResetError):
            connection.sendall(b"x" * 5000)
            while chunk := connection.recv(65536):
                back += chunk
            raise ConnectionResetError("an end without a reset")
    if way == "to_client":
        assert len(back) == 1000
    else:
        until(lambda: len(b"".join(echo.got)) == 1000)
    assert proxy.cuts == 1


@pytest.mark.parametrize("gone", ["server", "client"])
def test_half_open_leaves_one_side_waiting(proxy: FaultProxy, echo: Echo, gone: str) -> None:
    with client(proxy, 0.3) as connection:
        assert said(connection, b"a") == b"a"
        proxy.half_open(gone)
        if gone == "server":
            until(lambda: echo.ended != [])
            connection.sendall(b"is there anybody")
            with pytest.raises(TimeoutError):
                connection.recv(1)
        else:
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
            time.sleep(0.2)
            assert echo.ended == []


def test_a_reply_may_be_lost_after_the_server_had_the_request(proxy: FaultProxy, echo: Echo) -> None:
    lost = ReplyLost(b"PUT /result")
    proxy.wire = lost.wire
    with client(proxy) as connection:
        assert said(connection, b"GET /media") == b"GET /media"
        connection.sendall(b"PUT /res")
        assert connection.recv(100) == b"PUT /res"
        connection.sendall(b"ult")
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    assert b"".join(echo.got) == b"GET /mediaPUT /result"
    assert lost.lost == 1
    with client(proxy) as again:
        assert said(again, b"PUT /result") == b"PUT /result"


@pytest.fixture
def statements(database_url: str) -> Iterator[tuple[Statements, str, str]]:
    """The statements of a proxy before PostgreSQL, its URL, and the server's own; there is a table t."""
    with psycopg.connect(database_url, autocommit=True) as direct:
        direct.execute("CREATE TABLE t (n int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
    seen = Statements()
    with FaultProxy.before(database_url, seen.wire) as proxy:
        yield seen, proxy.instead_of(database_url), database_url


def rows(url: str) -> list[int]:
    with psycopg.connect(url) as direct:
        return [n for (n,) in direct.execute("SELECT n FROM t ORDER BY n")]


@pytest.mark.parametrize("fault", [Fault.REPLY_LOST, Fault.REPLY_CUT, Fault.BEFORE, Fault.WITHIN])
@pytest.mark.parametrize("pipelined", [False, True])
def test_a_commit_is_executed_and_its_client_never_told_or_not_executed_at_all(
    statements: tuple[Statements, str, str], fault: Fault, pipelined: bool
) -> None:
    seen, url, direct = statements
    seen.plan = lambda text: fault if text == "COMMIT" else None
    connection = psycopg.connect(url)
    with pytest.raises(psycopg.OperationalError):
        if pipelined:
            with connection.pipeline():
                connection.execute("INSERT INTO t VALUES (%s)", (7,))
                connection.commit()
        else:
            connection.execute("INSERT INTO t VALUES (%s)", (7,))
            connection.commit()
    assert connection.closed
    executed = fault in (Fault.REPLY_LOST, Fault.REPLY_CUT)
    assert rows(direct) == ([7] if executed else [])
    assert seen.ambiguous == (1 if executed else 0)
    assert seen.faults == {fault: 1}
    assert any("INSERT INTO t" in text for text in seen.said)


def test_a_commit_that_the_server_refuses_is_not_counted_as_one(statements: tuple[Statements, str, str]) -> None:
    seen, url, direct = statements
    seen.plan = lambda text: Fault.REPLY_LOST if text == "COMMIT" else None
    connection = psycopg.connect(url)
    connection.execute("INSERT INTO t VALUES (1), (1)")
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    assert rows(direct) == []
    assert seen.ambiguous == 0


def test_a_statement_may_be_cut_before_within_and_after_it(statements: tuple[Statements, str, str]) -> None:
    seen, url, direct = statements
    for number, fault in enumerate((Fault.BEFORE, Fault.WITHIN, Fault.REPLY_LOST, Fault.REPLY_CUT)):
        seen.plan = lambda text, fault=fault: fault if text.startswith("INSERT") else None
        with psycopg.connect(url, autocommit=True) as connection, pytest.raises(psycopg.OperationalError):
            connection.execute("INSERT INTO t VALUES (%s)", (number,))
    assert rows(direct) == [2, 3]


def test_prepared_statements_keep_their_text(statements: tuple[Statements, str, str]) -> None:
    seen, url, _ = statements
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        for number in range(3):
            connection.execute("INSERT INTO t VALUES (%s)", (number,))
    assert [text for text in seen.said if text.startswith("INSERT")] == ["INSERT INTO t VALUES ($1)"] * 3
