"""Who may do what: made from the list of routes, so that a new route is in it, or fails.

Each route is public by name, or asks for a token before anything else; of what belongs to somebody else one learns as
much as of what does not exist.
"""

from __future__ import annotations

import itertools
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import api_samples as samples
import httpx
import jwt
import pytest
from fastapi.routing import APIRoute

from drishtiksha_api.principal import recognised

SECRET = "s" * 40
PUBLIC = {
    "GET /", "GET /api/health", "GET /healthz", "GET /readyz", "GET /docs", "GET /docs/start.js", "GET /docs/{name}",
    "POST /api/v1/auth/signup", "POST /api/v1/auth/login",
}  # fmt: skip
BY_LINK = {"GET /api/v1/media/content/{media_id}", "GET /api/v1/media/content/{media_id}/artifacts/{artifact_id}"}
"""These take a signed link or the owner's token; test_content.py tries the links."""
BODIES = {"PATCH": {"description": "x"}}
OWN_ANSWERS = {"DELETE /api/v1/media/{media_id}"}
"""What an owner may do once only, so it is tried last."""


def routes_of(router: Any) -> Iterator[APIRoute]:
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from routes_of(route.original_router)


def named(world: Any) -> dict[str, APIRoute]:
    return {f"{method} {route.path}": route for route in routes_of(world.api.rest) for method in route.methods}


def asks_for_a_token(route: APIRoute) -> bool:
    waiting = list(route.dependant.dependencies)
    while waiting:
        one = waiting.pop()
        if one.call is recognised:
            return True
        waiting += one.dependencies
    return False


async def sent(world: Any, name: str, ids: dict[str, str], headers: dict[str, str]) -> httpx.Response:
    method, path = name.split(" ")
    filled = re.sub(r"{(\w+)}", lambda found: ids[found[1]], path)
    answer: httpx.Response = await world.client.request(method, filled, headers=headers, json=BODIES.get(method))
    return answer


def told(answer: httpx.Response) -> tuple[Any, ...]:
    """All that a client can see of a refusal, but for the id of its request."""
    own = ("x-request-id", "content-length")
    headers = {name: value for name, value in answer.headers.items() if name not in own}
    return answer.status_code, headers, {**answer.json(), "requestId": ""}


async def test_a_route_is_public_by_name_or_asks_for_a_token(world: Any) -> None:
    for name, route in named(world).items():
        assert asks_for_a_token(route) != (name in PUBLIC | BY_LINK), (
            f"{name} has no policy: ask for Caller, or name it"
        )
    assert named(world).keys() >= PUBLIC | BY_LINK


BAD_TOKENS = {
    "": "TOKEN_MISSING",
    "Bearer nonsense": "TOKEN_INVALID",
    "expired": "TOKEN_EXPIRED",
    "revoked": "TOKEN_INVALID",
}


async def test_without_a_good_token_every_other_route_says_so_and_nothing_else(world: Any) -> None:
    ada, gone = await world.person(), await world.person()
    media = (await world.upload(ada, samples.picture("PNG"))).json()["data"]
    await world.client.post("/api/v1/auth/logout", headers=gone)
    claims = jwt.decode(ada["Authorization"].removeprefix("Bearer "), options={"verify_signature": False})
    expired = jwt.encode({**claims, "exp": int(time.time()) - 1}, SECRET, "HS256")
    headers = {"expired": f"Bearer {expired}", "revoked": gone["Authorization"]}
    ids = {"media_id": media["id"], "artifact_id": media["id"], "number": "1"}
    for name in sorted(named(world).keys() - PUBLIC):
        for token, code in BAD_TOKENS.items():
            refused = await sent(world, name, ids, {"Authorization": headers.get(token, token)})
            assert (refused.status_code, refused.json()["code"]) == (401, code), (name, token)
            assert refused.headers["cache-control"] == "no-store"
            assert "data" not in refused.json()
    assert (await world.client.get(f"/api/v1/media/{media['id']}", headers=ada)).status_code == 200


async def test_of_somebody_else_s_things_one_learns_as_much_as_of_none(world: Any) -> None:
    ada, eve = await world.person(), await world.person()
    media = (await world.upload(ada, samples.picture("PNG"))).json()["data"]
    gone = (await world.upload(ada, samples.picture("JPEG"), "b.jpg")).json()["data"]
    await world.client.delete(f"/api/v1/media/{gone['id']}", headers=ada)
    hers = {"media_id": media["id"], "artifact_id": str(uuid.uuid4()), "number": "1"}
    nobody_s = [str(uuid.uuid4()), gone["id"], "1", media["id"].upper()[:-1], "é"]
    with_ids = sorted(name for name, route in named(world).items() if "{media_id}" in route.path)
    assert len(with_ids) >= 9
    for name in with_ids:
        unknown = told(await sent(world, name, {**hers, "media_id": str(uuid.uuid4())}, eve))
        assert unknown[0] == 404, name
        assert unknown[2]["message"] == "Media not found or you do not have permission."
        assert told(await sent(world, name, hers, eve)) == unknown, f"{name}: a stranger learns that it is there"
        for other in nobody_s:
            assert told(await sent(world, name, {**hers, "media_id": other}, eve)) == unknown, (name, other)
    for name in sorted(with_ids, key=lambda name: name in OWN_ANSWERS):
        if "artifact" not in name and "/cancel" not in name:
            own = await sent(world, name, hers, ada)
            assert own.status_code != 404, f"{name}: its owner is refused, so this test shows nothing"


@pytest.mark.parametrize(("scheme", "spaces"), itertools.product(("Bearer", "bearer", "BEARER"), (" ", "   ")))
async def test_the_word_before_a_token_is_read_in_any_case(world: Any, scheme: str, spaces: str) -> None:
    ada = await world.person()
    header = scheme + spaces + ada["Authorization"].removeprefix("Bearer ")
    assert (await world.client.get("/api/v1/auth/profile", headers={"Authorization": header})).status_code == 200
