"""Accounts and tokens: what proves who one is, and what ends it."""

from __future__ import annotations

import time
import uuid
from typing import Any

import jwt
import pytest

SECRET = "s" * 40
ACCOUNT = {"email": "ada@example.org", "password": "correct horse", "firstName": " Ada ", "lastName": "Lovelace"}
AUTH = "/api/v1/auth"


async def test_signup_login_and_profile_tell_the_same_user(world: Any) -> None:
    created = await world.client.post(f"{AUTH}/signup", json=ACCOUNT)
    assert created.status_code == 201
    assert created.json()["message"] == "User created successfully"
    user = created.json()["data"]["user"]
    assert user["firstName"] == "Ada"
    assert user.keys() == {
        "id", "email", "firstName", "lastName", "bio", "phone", "avatar", "role", "isActive", "createdAt", "updatedAt",
    }  # fmt: skip
    again = await world.client.post(f"{AUTH}/login", json={"email": "ADA@example.org", "password": "correct horse"})
    assert again.json()["message"] == "Login successful"
    for header in (f"Bearer {again.json()['data']['token']}", again.json()["data"]["token"]):
        profile = await world.client.get(f"{AUTH}/profile", headers={"Authorization": header})
        assert profile.json()["data"] == user
        assert profile.headers["cache-control"] == "no-store"


async def test_an_address_is_taken_in_any_case_of_letters(world: Any) -> None:
    await world.client.post(f"{AUTH}/signup", json=ACCOUNT)
    taken = await world.client.post(f"{AUTH}/signup", json={**ACCOUNT, "email": "ADA@EXAMPLE.org"})
    assert (taken.status_code, taken.json()["code"]) == (409, "EMAIL_TAKEN")
    assert taken.json()["message"] == "User with this email already exists"


BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"email": "no-address"}, "email"),
    ({"email": "a@" + "b" * 260 + ".org"}, "email"),
    ({"password": "short"}, "password"),
    ({"password": "x" * 1025}, "password"),
    ({"firstName": "   "}, "firstName"),
    ({"lastName": "x" * 101}, "lastName"),
    ({"lastName": None}, "lastName"),
]


async def test_a_bad_field_of_a_signup_is_named(world: Any) -> None:
    for change, field in BAD_FIELDS:
        refused = await world.client.post(f"{AUTH}/signup", json=ACCOUNT | change)
        assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION")
        assert refused.json()["message"] == "Validation failed"
        assert field in [error["field"] for error in refused.json()["errors"]]


async def test_a_wrong_password_and_an_unknown_account_get_one_answer(world: Any) -> None:
    await world.client.post(f"{AUTH}/signup", json=ACCOUNT)
    answers = []
    for email in ("ada@example.org", "nobody@example.org"):
        refused = await world.client.post(f"{AUTH}/login", json={"email": email, "password": "wrong one"})
        answers.append((refused.status_code, {**refused.json(), "requestId": ""}))
    assert answers[0] == answers[1]
    assert (answers[0][0], answers[0][1]["message"]) == (401, "Invalid email or password")


async def test_an_unknown_account_costs_the_same_hash_as_a_known_one(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    passwords = world.api.rest.state.passwords
    verify = passwords._hash.verify_and_update
    monkeypatch.setattr(passwords._hash, "verify_and_update", lambda *a: (hashed.append(a), verify(*a))[1])
    await world.client.post(f"{AUTH}/login", json={"email": "nobody@example.org", "password": "wrong one"})
    assert len(hashed) == 1


async def test_a_token_that_was_logged_out_is_dead(world: Any) -> None:
    ada = await world.person()
    out = await world.client.post(f"{AUTH}/logout", headers=ada)
    assert (out.status_code, out.json()["data"], out.json()["message"]) == (200, None, "Logout successful")
    refused = await world.client.get(f"{AUTH}/profile", headers=ada)
    assert (refused.status_code, refused.json()["code"], refused.json()["message"]) == (
        401,
        "TOKEN_INVALID",
        "Invalid token",
    )


async def test_a_new_password_ends_every_token_but_the_one_that_made_it(world: Any) -> None:
    ada = await world.person()
    login = {"email": world.people[0], "password": "correct horse"}
    other = (await world.client.post(f"{AUTH}/login", json=login)).json()["data"]["token"]
    change = {"currentPassword": "correct horse", "newPassword": "battery staple"}
    assert (await world.client.put(f"{AUTH}/profile/password", headers=ada, json=change)).status_code == 200
    assert (await world.client.get(f"{AUTH}/profile", headers=ada)).status_code == 200
    assert (await world.client.get(f"{AUTH}/profile", headers={"Authorization": other})).status_code == 401
    assert (await world.client.post(f"{AUTH}/login", json=login)).status_code == 401
    assert (await world.client.post(f"{AUTH}/login", json=login | {"password": "battery staple"})).status_code == 200


async def test_the_current_password_is_needed_for_a_new_one(world: Any) -> None:
    ada = await world.person()
    wrong = {"currentPassword": "guess", "newPassword": "battery staple"}
    refused = await world.client.put(f"{AUTH}/profile/password", headers=ada, json=wrong)
    assert (refused.status_code, refused.json()["code"]) == (401, "WRONG_PASSWORD")
    assert refused.json()["message"] == "Current password is incorrect"
    differ = {"currentPassword": "correct horse", "newPassword": "battery staple", "confirmPassword": "x"}
    assert (await world.client.put(f"{AUTH}/profile/password", headers=ada, json=differ)).status_code == 400


async def test_a_profile_changes_only_where_it_may(world: Any) -> None:
    ada = await world.person()
    url = f"{AUTH}/profile"
    changed = await world.client.put(url, headers=ada, json={"bio": "engines", "firstName": "Augusta"})
    assert (changed.json()["data"]["bio"], changed.json()["data"]["firstName"]) == ("engines", "Augusta")
    cleared = await world.client.put(url, headers=ada, json={"bio": None})
    assert cleared.json()["data"]["bio"] is None
    for bad in ({}, {"role": "ADMIN"}, {"firstName": None}, {"bio": "x" * 501}, {"isActive": True}, [], "x"):
        refused = await world.client.put(url, headers=ada, json=bad)
        assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION"), bad
    assert (await world.client.get(url, headers=ada)).json()["data"]["role"] == "USER"


def forged(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    user = str(uuid.uuid4())
    claims = {
        "sub": user, "userId": user, "email": "a@b.c", "role": "USER", "gen": 0, "iat": now, "exp": now + 3600,
        "jti": str(uuid.uuid4()), "iss": "drishtiksha", "aud": "drishtiksha",
    }  # fmt: skip
    return {key: value for key, value in (claims | changes).items() if value is not None}


BAD_TOKENS = [
    ("nonsense", "TOKEN_INVALID"),
    ("dk_live_key", "TOKEN_INVALID"),
    (jwt.encode(forged(), SECRET, "HS256"), "TOKEN_INVALID"),  # well signed, but no session
    (jwt.encode(forged(), "t" * 40, "HS256"), "TOKEN_INVALID"),
    (jwt.encode(forged(), SECRET, "HS384"), "TOKEN_INVALID"),
    (jwt.encode(forged(), None, "none"), "TOKEN_INVALID"),
    (jwt.encode(forged(exp=1), SECRET, "HS256"), "TOKEN_EXPIRED"),
    *[(jwt.encode(forged(**{c: None}), SECRET, "HS256"), "TOKEN_INVALID") for c in ("exp", "iat", "jti", "gen", "aud")],
    (jwt.encode(forged(aud="other"), SECRET, "HS256"), "TOKEN_INVALID"),
    (jwt.encode(forged(userId=str(uuid.uuid4())), SECRET, "HS256"), "TOKEN_INVALID"),
    ("two words", "TOKEN_INVALID"),
]


async def test_a_token_that_is_not_ours_in_every_claim_is_refused(world: Any) -> None:
    for token, code in BAD_TOKENS:
        refused = await world.client.get(f"{AUTH}/profile", headers={"Authorization": f"Bearer {token}"})
        assert (refused.status_code, refused.json()["code"]) == (401, code)


async def test_no_token_is_said_in_the_words_that_clients_compare(world: Any) -> None:
    for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer "}):
        refused = await world.client.get(f"{AUTH}/profile", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "TOKEN_MISSING")
        assert refused.json()["message"] == "Access token is required"
        assert refused.headers["www-authenticate"] == "Bearer"


async def test_an_avatar_is_a_web_address_that_is_kept_and_never_fetched(world: Any) -> None:
    ada = await world.person()
    url = f"{AUTH}/profile/avatar"
    for good in ("https://pics.example.org/ada.png?s=80", "http://127.0.0.1:1/x", "HTTPS://é.example"):
        answer = await world.client.put(url, headers=ada, json={"avatar": good})
        assert (answer.status_code, answer.json()["data"]["avatar"]) == (200, good)
    bad = (
        "javascript:alert(1)",
        "ftp://x",
        "https://",
        "https:///x",
        "http://user@host/",
        "https://a b",
        "x" * 2049,
        7,
        None,
    )
    for value in bad:
        refused = await world.client.put(url, headers=ada, json={"avatar": value})
        assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION"), value
    assert (await world.client.put(url, headers=ada, json={})).status_code == 400
    for _ in range(2):
        removed = await world.client.delete(url, headers=ada)
        assert (removed.status_code, removed.json()["data"]["avatar"]) == (200, None)
