"""What a process writes down: no secret, and no word of a stranger that could pass for a line of ours.

Secrets of the process and of its users are canaries; every way to bring them near a log line is taken, faults included.
Stands beside `test_hostile_words.py`, which asks how long a line may become.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable

import httpx
import pytest
from api_process import ApiProcess, wait_for
from api_samples import picture
from canaries import search, word

FORGED = '{"event": "forged", "level": "critical"}'
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What moves a cursor, ends a line, or turns the direction of what is read."""
SECRETS = {"JWT_SECRET": "jwt", "DRISHTIKSHA_SIGNING_KEYS": "signing", "SERVER_API_KEY": "ml"}


@pytest.fixture(scope="module")
def canaries() -> dict[str, str]:
    names = (*SECRETS.values(), "password", "wrong", "token", "cookie", "link", "key", "body", "filename", "postgres")
    return {name: word(name) for name in names}


@pytest.fixture(scope="module")
def asked(start_api: Callable[..., ApiProcess], canaries: dict[str, str]) -> ApiProcess:
    """An api that was asked everything below, and has written it down."""
    settings = {name: (canaries[kind] * 2)[:64] for name, kind in SECRETS.items()}
    settings["DRISHTIKSHA_SIGNING_KEYS"] = "k1:" + settings["DRISHTIKSHA_SIGNING_KEYS"]
    api = start_api(settings={**settings, "SERVER_URL": "http://127.0.0.1:9", "DRISHTIKSHA_ENV": "production"})
    with httpx.Client(base_url=f"{api.url}/api/v1", timeout=60) as http:
        _live(http, canaries)
        _forge(http, api)
    wait_for("the last line", lambda: any("/after-all" in line for line in api.lines()))
    return api


def _live(http: httpx.Client, canaries: dict[str, str]) -> None:
    """A whole life of a user, with everything going wrong that can."""
    mail = f"{time.time_ns()}@example.org"
    new = {"email": mail, "password": canaries["password"], "firstName": "A", "lastName": "L"}
    token = http.post("/auth/signup", json=new).json()["data"]["token"]
    http.cookies.clear()
    assert http.post("/auth/signup", json={**new, "password": canaries["wrong"]}).status_code == 409
    assert http.post("/auth/login", json={"email": mail, "password": canaries["wrong"]}).status_code == 401
    ada = {"Authorization": f"Bearer {token}"}
    key = {"Idempotency-Key": canaries["key"]}
    files = {"file": (canaries["filename"] + ".png", picture("PNG"))}
    media = http.post("/media", headers=ada | key, files=files).json()["data"]
    assert http.post("/media", headers=ada, files={"file": (canaries["filename"], b"x" * 99)}).status_code == 415
    link = media["url"].partition("/api/v1")[2]
    canaries["link"] = link.partition("signature=")[2]
    assert http.get(link).status_code == 200
    assert http.get(link[:-3]).status_code == 401
    assert http.get("/monitoring/server-status", headers=ada).status_code == 503
    for bad in (
        f"Bearer {canaries['token']}",
        canaries["token"],
        f"Basic {canaries['token']}",
        f"a {canaries['token']}",
    ):
        assert http.get("/media", headers={"Authorization": bad}).status_code == 401
    assert http.get("/media", headers={"Cookie": f"authToken={canaries['cookie']}"}).status_code == 401
    broken = f'{{"email": "{canaries["body"]}"'.encode()
    assert http.post("/auth/login", content=broken, headers={"Content-Type": "application/json"}).status_code == 400
    change = {"currentPassword": canaries["wrong"], "newPassword": canaries["password"]}
    assert http.put("/auth/profile/password", headers=ada, json=change).status_code == 401
    canaries["token of a user"] = token.rpartition(".")[2]
    assert http.delete(f"/media/{media['id']}", headers=ada).status_code == 200


def _forge(http: httpx.Client, api: ApiProcess) -> None:
    """Words that end a line, colour it, or turn it round, wherever a stranger's words may come near the log."""
    words = [
        "%0A" + FORGED.replace(" ", "%20"),
        "%0D%0Aforged",
        "%1B%5B31mred",
        "%C2%9B31m",
        "%E2%80%A8forged",
        "%E2%80%AEdegrof",
    ]
    for said in words:
        assert httpx.get(f"{api.url}/{said}", timeout=60).status_code == 404
        assert http.get(f"/media/{said}").status_code == 401
        assert http.get("/media", params={"cursor": FORGED}).status_code == 401
    for field in ("X-Request-ID", "traceparent", "User-Agent", "Referer", "X-Forwarded-For"):
        for value in ("a\u2028\u202e{forged}", "a\x1b[31m{forged}", "a\x9b31m{forged}"):
            with socket.create_connection(("127.0.0.1", api.port), timeout=60) as client:
                client.sendall(f"GET / HTTP/1.1\r\nHost: x\r\n{field}: {value}\r\nConnection: close\r\n\r\n".encode())
                assert client.makefile("rb").readline().split()[1] in (b"200", b"400")
    assert httpx.get(f"{api.url}/after-all", timeout=60).status_code == 404


def test_no_secret_of_the_process_or_of_a_user_is_ever_written_down(
    asked: ApiProcess, canaries: dict[str, str]
) -> None:
    said = "\n".join(asked.lines()).encode()
    assert len(asked.lines()) > 20
    assert search([("log", said)], canaries) == {name: set() for name in canaries}


def test_no_word_of_a_stranger_passes_for_a_line_of_ours(asked: ApiProcess) -> None:
    lines = asked.log.read_bytes().decode().split("\n")[:-1]
    told = [json.loads(line) for line in lines]
    assert all(one["process"] == "api" and one["event"] != "forged" for one in told)
    assert any("forged" in one.get("path", "") for one in told), "the words did come near"
    assert [line for line in lines if UNSEEN.search(line)] == []
