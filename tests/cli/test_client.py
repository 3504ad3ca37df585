"""The client repeats only reads, speaks in the server's sentences, and turns every fault into one sentence and a code."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from drishtiksha_cli import client as module
from drishtiksha_cli.client import Client
from drishtiksha_cli.errors import NOT_LOGGED_IN, REFUSED, UNREACHABLE, USAGE, CommandFailed, Refused, Unreachable

API = "http://api.test"
Answer = Callable[[httpx.Request], httpx.Response]


def enveloped(data: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"statusCode": status, "data": data, "message": "Success", "success": True})


def refused(status: int, code: str, message: str = "A sentence.", **headers: str) -> httpx.Response:
    body = {"success": False, "statusCode": status, "code": code, "message": message, "errors": [], "requestId": "r"}
    return httpx.Response(status, json=body, headers=headers)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses are counted and not made."""
    found: list[float] = []
    monkeypatch.setattr(module.time, "sleep", found.append)
    return found


@pytest.fixture
def asked() -> list[httpx.Request]:
    return []


@pytest.fixture
def make(asked: list[httpx.Request], naps: list[float]) -> Iterator[Callable[..., Client]]:
    """A client of an API that gives these answers, the last one for ever."""
    made = []

    def build(*answers: httpx.Response | Exception | Answer, token: str | None = "t") -> Client:
        left = list(answers)

        def answer(request: httpx.Request) -> httpx.Response:
            request.read()
            asked.append(request)
            one = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(one, Exception):
                raise one
            return one(request) if callable(one) else one

        made.append(Client(API, token, httpx.MockTransport(answer)))
        return made[-1]

    yield build
    for one in made:
        one.close()


def test_calls_carry_the_token_and_give_the_envelopes_data(
    make: Callable[..., Client], asked: list[httpx.Request]
) -> None:
    client = make(enveloped({"id": "1"}))
    assert client.media("1") == {"id": "1"}
    assert asked[0].headers["Authorization"] == "Bearer t"
    assert str(asked[0].url) == f"{API}/api/v1/media/1"


def test_signup_and_login_give_the_token_and_logout_needs_no_answer(
    make: Callable[..., Client], asked: list[httpx.Request]
) -> None:
    client = make(enveloped({"user": {}, "token": "new"}, 201), enveloped({"token": "again"}), enveloped(None))
    assert client.signup("a@b.c", "secret", "A", "B") == "new"
    assert client.login("a@b.c", "secret") == "again"
    client.logout()
    assert json.loads(asked[0].content) == {
        "email": "a@b.c", "password": "secret", "firstName": "A", "lastName": "B"
    }  # fmt: skip


def test_an_id_is_a_word_in_the_path_whatever_somebody_types(
    make: Callable[..., Client], asked: list[httpx.Request]
) -> None:
    make(enveloped({})).media("../auth/profile?x#y")
    assert asked[0].url.raw_path == b"/api/v1/media/..%2Fauth%2Fprofile%3Fx%23y"


@pytest.mark.parametrize("status", [429, 503])
def test_a_read_is_tried_again_when_the_server_is_busy_and_waits_as_it_says(
    make: Callable[..., Client], naps: list[float], status: int
) -> None:
    busy = refused(status, "UNAVAILABLE", **{"Retry-After": "2"})
    assert make(busy, busy, enveloped([{"id": "1"}])).list(5) == [{"id": "1"}]
    assert naps == [2.0, 2.0]


def test_a_server_that_asks_for_an_hour_is_not_waited_for_that_long(
    make: Callable[..., Client], naps: list[float]
) -> None:
    make(refused(503, "UNAVAILABLE", **{"Retry-After": "3600"}), enveloped({})).media("1")
    assert naps == [5.0]


def test_a_busy_server_is_given_up_after_four_tries_with_its_own_sentence(
    make: Callable[..., Client], asked: list[httpx.Request]
) -> None:
    with pytest.raises(Refused, match=r"^The database is away\. Try again in a moment") as caught:
        make(refused(503, "UNAVAILABLE", "The database is away.")).media("1")
    assert len(asked) == 4
    assert (caught.value.status, caught.value.error, caught.value.code) == (503, "UNAVAILABLE", REFUSED)


def test_a_write_is_never_repeated(make: Callable[..., Client], asked: list[httpx.Request], tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    client = make(refused(503, "UNAVAILABLE"))
    for write in (lambda: client.login("a", "b"), client.logout, lambda: client.upload(tmp_path / "x")):
        asked.clear()
        with pytest.raises(Refused):
            write()
        assert len(asked) == 1


def test_a_connection_that_breaks_heals_a_read_and_ends_a_write(
    make: Callable[..., Client], asked: list[httpx.Request]
) -> None:
    assert make(httpx.ReadError("cut"), httpx.ConnectTimeout("slow"), enveloped({"id": "1"})).media("1") == {"id": "1"}
    asked.clear()
    with pytest.raises(Unreachable, match="cut"):
        make(httpx.ReadError("cut")).login("a", "b")
    assert len(asked) == 1


def test_where_nobody_listens_is_said_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Client(base) as client, pytest.raises(Unreachable) as caught:
            client.login("a", "b")
    assert caught.value.code == UNREACHABLE
    assert str(caught.value).startswith(f"The API at {base} cannot be reached (")
    assert "drishtiksha up" in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>hello</html>"),
        httpx.Response(404, text=""),
        httpx.Response(502, json=["no", "envelope"]),
        httpx.Response(200, json={"success": True}),
    ],
)
def test_an_answer_that_is_not_ours_is_said_to_be_not_ours(make: Callable[..., Client], answer: httpx.Response) -> None:
    with pytest.raises(Refused, match="is it a Drishtiksha API") as caught:
        make(answer).media("1")
    assert caught.value.error == "FOREIGN"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("TOKEN_MISSING", "You are not logged in. Try: drishtiksha login, or drishtiksha signup."),
        ("TOKEN_INVALID", "Your login has ended. Try: drishtiksha login"),
        ("TOKEN_EXPIRED", "Your login has ended. Try: drishtiksha login"),
        ("BAD_CREDENTIALS", "Invalid email or password"),
    ],
)
def test_each_401_says_what_to_do_and_has_the_code_of_a_missing_login(
    make: Callable[..., Client], code: str, said: str
) -> None:
    client = make(refused(401, code, "Invalid email or password"), token=None)
    with pytest.raises(CommandFailed) as caught:
        client.profile()
    assert (str(caught.value), caught.value.code) == (said, NOT_LOGGED_IN)


@pytest.mark.parametrize(
    ("status", "code", "cure"),
    [
        (404, "NOT_FOUND", "drishtiksha list"),
        (409, "EMAIL_TAKEN", "drishtiksha login"),
        (413, "TOO_LARGE", "MAX_UPLOAD_BYTES"),
        (500, "INTERNAL", "drishtiksha logs api"),
    ],
)
def test_a_refusal_keeps_the_servers_sentence_and_adds_what_helps(
    make: Callable[..., Client], status: int, code: str, cure: str
) -> None:
    with pytest.raises(Refused) as caught:
        make(refused(status, code, "No.")).media("1")
    assert str(caught.value).startswith("No. ")
    assert cure in str(caught.value)
    assert caught.value.code == REFUSED


def test_a_refused_form_says_which_field_is_wrong(make: Callable[..., Client]) -> None:
    errors = [{"field": "email", "code": "BAD_FORMAT", "message": "No address."}, {"code": "X", "message": "?"}]
    body = {"success": False, "code": "VALIDATION", "message": "Validation failed", "errors": errors}
    with pytest.raises(Refused) as caught:
        make(httpx.Response(400, json=body)).login("a", "b")
    assert str(caught.value) == "Validation failed: email: No address."


def test_an_upload_sends_the_bytes_under_its_name_and_tells_its_progress(
    make: Callable[..., Client], asked: list[httpx.Request], tmp_path: Path
) -> None:
    path = tmp_path / 'a "quoted" näme.mp4'
    path.write_bytes(bytes(range(256)) * 1000)
    told: list[tuple[int, int]] = []
    sent = make(enveloped({"id": "1"}, 202)).upload(path, lambda done, size: told.append((done, size)))
    assert sent == {"id": "1"}
    assert path.read_bytes() in asked[0].content
    assert b'name="file"' in asked[0].content
    assert "näme.mp4" in asked[0].content.split(b"\r\n\r\n")[0].decode()
    assert told[-1] == (256_000, 256_000)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) > 2


@pytest.mark.parametrize("make_bad", [lambda p: None, lambda p: p.mkdir()])
def test_a_file_that_cannot_be_read_is_wrong_usage_and_nothing_is_sent(
    make: Callable[..., Client], asked: list[httpx.Request], tmp_path: Path, make_bad: Callable[[Path], None]
) -> None:
    make_bad(tmp_path / "x")
    with pytest.raises(CommandFailed, match="cannot be read: ") as caught:
        make(enveloped({})).upload(tmp_path / "x")
    assert (caught.value.code, asked) == (USAGE, [])


def test_a_file_whose_reading_fails_midway_is_said_as_that_and_not_as_the_network(
    make: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(bytes(300_000))

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module._Counted, "read", fail)
    with pytest.raises(CommandFailed, match=r"it cannot be read: Input/output error") as caught:
        make(enveloped({})).upload(tmp_path / "x")
    assert caught.value.code == USAGE


@pytest.mark.parametrize("left", [0, 5_000_000])
def test_a_file_that_changes_while_it_is_sent_is_said_as_that(tmp_path: Path, left: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(3_000_000))

    def change(done: int, size: int) -> None:
        os.truncate(path, left)

    with socket.create_server(("127.0.0.1", 0)) as server:
        base = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Client(base) as client, pytest.raises(CommandFailed, match="changed while it was sent") as caught:
            threading.Thread(target=_swallow, args=(server,), daemon=True).start()
            client.upload(path, change)
    assert caught.value.code == USAGE


def _swallow(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection, _ = server.accept()
        with connection:
            while connection.recv(1 << 20):
                pass


def test_a_server_that_refuses_before_it_has_read_everything_is_still_heard(tmp_path: Path) -> None:
    """A 413 comes as soon as the length is known; the client is then still sending."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(40_000_000)

    body = refused(413, "TOO_LARGE", "The file is larger than the limit.").content

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            head = f"HTTP/1.1 413 X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 20):
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        base = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Client(base) as client, pytest.raises(Refused, match="larger than the limit"):
            client.upload(path)
