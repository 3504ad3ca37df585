"""Words without an end in every place that a stranger may fill: refused, and the log stays short."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from api_process import ApiProcess, wait_for
from api_samples import picture
from figures import Claim

from drishtiksha import logs

LONG, LONGER = b"x" * 30_000, b"x" * 1_048_576
LINE = logs.MAX_EXCEPTION + 6 * logs.MAX_VALUE
"""Characters that no line may pass."""


def asked(api: ApiProcess, request: bytes) -> int:
    """The status that a bare request is answered with; 0 when the server hung up without a word."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as client:
        try:
            client.sendall(request)
            return int(client.makefile("rb").readline().split()[1])
        except (ConnectionError, IndexError):  # hung up on in the middle of our words
            return 0


def post(path: bytes, body: bytes, fields: bytes = b"") -> bytes:
    length = str(len(body)).encode()
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\n%b\r\n%b" % (path, length, fields, body)


def get(path: bytes, fields: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path, fields)


def form(name: bytes, filename: bytes) -> bytes:
    said = b'--x\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n\r\n' % (name, filename)
    return said + picture("PNG") + b"\r\n--x--\r\n"


def test_words_without_an_end_are_refused_and_the_log_stays_short(
    start_api: Callable[..., ApiProcess], person: Callable[[ApiProcess], dict[str, str]], figures: dict[str, Any]
) -> None:
    api = start_api()
    token = "".join(f"{name}: {value}\r\n" for name, value in person(api).items()).encode()
    uploading = token + b"Content-Type: multipart/form-data; boundary=x\r\n"
    login = b'{"email": "%b@example.org", "password": "%b"}'
    tries = {
        "a long path": (get(b"/" + LONG), {404}),
        "a longer path": (get(b"/" + LONGER), {431, 0}),
        "a long query": (get(b"/api/v1/media?cursor=" + LONG, token), {400}),
        "a long field": (get(b"/", b"X-Request-ID: " + LONG + b"\r\n"), {200}),
        "a longer field": (get(b"/", b"X-Request-ID: " + LONGER + b"\r\n"), {431, 0}),
        "many fields": (get(b"/", b"a: b\r\n" * 200_000), {431, 0}),
        "a long token": (get(b"/api/v1/media", b"Authorization: Bearer " + LONG + b"\r\n"), {401}),
        "a longer file name": (post(b"/api/v1/media", form(b"file", LONGER), uploading), {400}),
        "a file name with lines": (
            post(b"/api/v1/media", form(b"file", b"a\x0b\x0c\x85b" * 100), uploading),
            {202, 400},
        ),
        "a longer name of a part": (post(b"/api/v1/media", form(LONGER, b"a.png"), uploading), {400}),
        "a long address": (post(b"/api/v1/auth/login", login % (LONG, LONG)), {400}),
        "a longer address": (post(b"/api/v1/auth/login", login % (LONGER, LONG)), {413}),
        "no HTTP": (LONGER, {400, 431, 0}),
    }
    answered = {what: asked(api, request) for what, (request, _) in tries.items()}
    assert {what: status for what, status in answered.items() if status not in tries[what][1]} == {}
    assert asked(api, get(b"/after-all")) == 404
    wait_for("the last line", lambda: any("/after-all" in line for line in api.lines()))
    told = [json.loads(line) for line in api.lines() if line.startswith("{")]
    longest = max(len(line) for line in api.lines())
    assert longest < LINE
    assert any(str(line.get("path", "")).endswith("characters)") for line in told)
    assert all("INTERNAL" not in str(line) and "exception" not in line for line in told)
    figures["words"] = Claim(
        f"{len(tries)} requests with up to a mebibyte of words where few belong",
        "each refused or answered, none 5xx; lines of the log bounded",
        f"{len(tries)} of {len(tries)}; the longest line has {longest:,} characters",
        True,
        "no cut in the log: red (30,000 characters)",
    )
