"""What a careful client asks: why a value is wrong, what a path allows, and what a preflight may do."""

from __future__ import annotations

from typing import Any

import pytest
from api_samples import picture
from pydantic import TypeAdapter, ValidationError

from drishtiksha_api.sentences import finding

ORIGIN = "https://app.example.org"


async def test_a_bad_value_is_named_in_our_own_words(world: Any) -> None:
    new = {"email": "no address", "password": "short", "firstName": " "}
    refused = await world.client.post("/api/v1/auth/signup", json=new)
    assert (refused.status_code, refused.json()["message"]) == (400, "Validation failed")
    assert refused.json()["errors"] == [
        {"field": "email", "code": "BAD_FORMAT", "message": "The value does not have the form that is expected here."},
        {"field": "password", "code": "TOO_SHORT", "message": "The text is too short; the least is 6."},
        {"field": "firstName", "code": "TOO_SHORT", "message": "The text is too short; the least is 1."},
        {"field": "lastName", "code": "REQUIRED", "message": "This field is required."},
    ]


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("limit=abc", "WRONG_TYPE", "A whole number is expected."),
        ("limit=0", "TOO_SMALL", "The value must be at least 1."),
        ("limit=101", "TOO_LARGE", "The value must be at most 100."),
        ("mediaType=DOCUMENT", "NOT_ALLOWED", "Allowed are 'VIDEO', 'AUDIO' or 'IMAGE'."),
    ],
)
async def test_a_bad_query_parameter_says_what_is_allowed(world: Any, query: str, code: str, message: str) -> None:
    refused = await world.client.get(f"/api/v1/media?{query}&unknown=1", headers=await world.person())
    (error,) = refused.json()["errors"]
    assert (refused.status_code, error["code"], error["message"]) == (400, code, message)


async def test_an_unknown_field_is_named_and_a_missing_one_has_no_field(world: Any) -> None:
    ada = await world.person()
    refused = await world.client.put("/api/v1/auth/profile", headers=ada, json={"role": "ADMIN"})
    (error,) = refused.json()["errors"]
    assert (error["field"], error["code"]) == ("role", "UNKNOWN_FIELD")
    nothing = await world.client.put("/api/v1/auth/profile", headers=ada, json={})
    assert nothing.json()["errors"] == [{"code": "INVALID", "message": "At least one field is needed."}]


def test_words_of_the_library_never_pass() -> None:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(dict[str, tuple[bytes, float]]).validate_python({"a": ("\ud800", "x")})
    for error in raised.value.errors():
        found = finding(error)
        assert found["code"] == "INVALID"
        assert found["message"] == "The value is not valid."
    without_limits = finding({"type": "string_too_long", "loc": ("body", "x"), "msg": "String should …"})
    assert without_limits == {"field": "x", "code": "TOO_LONG", "message": "The value is not valid."}


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/media", "GET, POST, HEAD, OPTIONS"),
        ("/api/v1/media/01890000-0000-7000-8000-000000000000/", "GET, PATCH, DELETE, HEAD, OPTIONS"),
        ("/api/v1/auth/login", "POST, OPTIONS"),
    ],
)
async def test_a_method_that_is_not_allowed_learns_all_that_are(world: Any, path: str, allowed: str) -> None:
    refused = await world.client.request("PROPFIND", path)
    assert (refused.status_code, refused.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert refused.headers["allow"] == allowed
    asked = await world.client.options(path)
    assert (asked.status_code, asked.content, asked.headers["allow"]) == (204, b"", allowed)
    assert (await world.client.options("/api/v1/nope")).status_code == 404


async def test_a_preflight_has_no_body_and_a_strange_origin_learns_nothing(world: Any) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "PATCH"}
    told = await world.client.options("/api/v1/media/x", headers=asked)
    assert (told.status_code, told.content) == (204, b"")
    assert told.headers["access-control-allow-origin"] == ORIGIN
    stranger = await world.client.options("/api/v1/media/x", headers=asked | {"Origin": "https://evil.example"})
    assert (stranger.status_code, stranger.content) == (204, b"")
    assert [name for name in stranger.headers if name.startswith("access-control-")] == []


async def test_a_star_matches_the_version_that_is_there(world: Any) -> None:
    url = (await world.upload(await world.person(), picture("PNG"))).json()["data"]["url"]
    known = await world.client.get(url, headers={"If-None-Match": "*"})
    assert (known.status_code, known.content) == (304, b"")


async def test_a_browser_that_opens_a_link_may_play_what_it_finds(world: Any) -> None:
    url = (await world.upload(await world.person(), picture("PNG"))).json()["data"]["url"]
    policy = (await world.client.get(url)).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "media-src 'self'" in policy
    assert "script-src" not in policy
