"""The token in a cookie: set for browsers, and counted only where a foreign page cannot use it."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

import api_samples as samples
import pytest

from drishtiksha_api.cookies import Cookies

AUTH = "/api/v1/auth"
OURS, APP = "http://testserver", "https://app.example.org"
ACCOUNT = {"email": "ada@example.org", "password": "correct horse", "firstName": "Ada", "lastName": "Lovelace"}


async def token_of(world: Any) -> str:
    return str((await world.person())["Authorization"].removeprefix("Bearer "))


async def test_signup_and_login_hand_out_a_cookie_that_scripts_cannot_read(world: Any) -> None:
    for path, status in (("signup", 201), ("login", 200)):
        answer = await world.client.post(f"{AUTH}/{path}", json=ACCOUNT)
        assert answer.status_code == status
        kept = SimpleCookie(answer.headers["set-cookie"])["authToken"]
        assert kept.value == answer.json()["data"]["token"]
        assert (kept["httponly"], kept["samesite"], kept["path"], kept["max-age"]) == (True, "lax", "/", "3600")
        assert (kept["domain"], kept["secure"]) == ("", "")  # host-only; and BASE_URL of these tests is http


def test_the_cookie_is_secure_where_the_api_is_reached_by_https() -> None:
    from fastapi.responses import Response

    answer = Response()
    Cookies("https://api.example.org", [], 60).hand_out(answer, "t")
    assert SimpleCookie(answer.headers["set-cookie"])["authToken"]["secure"] is True


async def test_logout_by_cookie_ends_the_token_and_clears_the_cookie(world: Any) -> None:
    cookie = {"Cookie": f"authToken={await token_of(world)}"}
    out = await world.client.post(f"{AUTH}/logout", headers={**cookie, "Origin": APP})
    assert out.status_code == 200
    assert SimpleCookie(out.headers["set-cookie"])["authToken"]["max-age"] == "0"
    assert (await world.client.get(f"{AUTH}/profile", headers=cookie)).json()["code"] == "TOKEN_INVALID"


SENDERS = [
    ({"Origin": APP}, 200),
    ({"Origin": APP.upper()}, 200),
    ({"Origin": OURS}, 200),
    ({"Referer": f"{APP}/media/1?x=y"}, 200),
    ({"Origin": "https://evil.example", "Referer": f"{APP}/"}, 401),
    ({"Origin": "null"}, 401),
    ({"Origin": f"{APP}.evil.example"}, 401),
    ({"Origin": "https://app.example.org:8443"}, 401),
    ({"Origin": "http://app.example.org"}, 401),
    ({"Origin": "https://[broken"}, 401),
    ({}, 401),
]


async def test_a_cookie_changes_something_only_for_a_page_of_ours(world: Any) -> None:
    token = await token_of(world)
    for name in ("authToken", "accessToken"):
        for sender, status in SENDERS:
            headers = {"Cookie": f"{name}={token}", **sender}
            answer = await world.client.put(f"{AUTH}/profile", headers=headers, json={"bio": "x"})
            assert answer.status_code == status, (name, sender)
            if status == 401:
                assert (answer.json()["code"], answer.json()["message"]) == (
                    "TOKEN_MISSING",
                    "Access token is required",
                )
                assert answer.json()["errors"][0]["code"] == "ORIGIN_NOT_ALLOWED"


async def test_a_cookie_is_enough_to_read_from_anywhere(world: Any) -> None:
    headers = {"Cookie": f"authToken={await token_of(world)}", "Origin": "https://evil.example"}
    for method in ("GET", "HEAD"):
        answer = await world.client.request(method, f"{AUTH}/profile", headers=headers)
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers  # so the foreign page never sees it


async def test_an_upload_by_cookie_from_a_foreign_page_is_refused_before_its_body_is_read(world: Any) -> None:
    token = await token_of(world)
    headers = {"Cookie": f"authToken={token}", "Origin": "https://evil.example"}
    assert (await world.upload(headers, samples.picture("PNG"))).status_code == 401
    assert world.stored_files() == []
    assert (await world.upload(headers | {"Origin": APP}, samples.picture("PNG"))).status_code == 202


@pytest.mark.parametrize("header", ["Bearer nonsense", "nonsense", "Bearer", "two words", "dk_live_key"])
async def test_a_bad_header_is_not_healed_by_a_good_cookie(world: Any, header: str) -> None:
    token = await token_of(world)
    headers = {"Cookie": f"authToken={token}"}
    assert (await world.client.get(f"{AUTH}/profile", headers={**headers, "Authorization": header})).status_code == 401
    assert (await world.client.get(f"{AUTH}/profile", headers={**headers, "Authorization": ""})).status_code == 200


async def test_a_stale_cookie_does_not_hide_a_good_one(world: Any) -> None:
    token = await token_of(world)
    for headers in (f"accessToken=stale; authToken={token}", f"accessToken={token}; authToken=stale"):
        assert (await world.client.get(f"{AUTH}/profile", headers={"Cookie": headers})).status_code == 200
    refused = await world.client.get(f"{AUTH}/profile", headers={"Cookie": "accessToken=stale; authToken=old"})
    assert (refused.status_code, refused.json()["code"]) == (401, "TOKEN_INVALID")
