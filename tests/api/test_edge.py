"""The envelope and the manners of every answer."""

from __future__ import annotations

from typing import Any

from drishtiksha_api.problems import CODES

ORIGIN = "https://app.example.org"
ERROR_KEYS = {"success", "statusCode", "code", "message", "errors", "requestId"}


async def test_unknown_routes_and_methods_answer_in_the_envelope(world: Any) -> None:
    for method, path, status, code in (
        ("GET", "/nope", 404, "NOT_FOUND"),
        ("GET", "/api/v1/nope/", 404, "NOT_FOUND"),
        ("PUT", "/api/v1/media", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/api/v1/auth/login", 405, "METHOD_NOT_ALLOWED"),
    ):
        refused = await world.client.request(method, path)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert refused.json().keys() == ERROR_KEYS
        assert refused.json()["success"] is False


async def test_malformed_json_says_so_and_shows_no_library(world: Any) -> None:
    for body in (b"{", b'{"email": NaN}', b"\xff", b"[" * 100_000):
        refused = await world.client.post("/api/v1/auth/login", content=body)
        wanted = (413, "TOO_LARGE") if len(body) > 65536 else (400, "MALFORMED_JSON")
        assert (refused.status_code, refused.json()["code"]) == wanted
    deep = await world.client.post("/api/v1/auth/login", content=b"[" * 60_000)
    assert deep.json()["code"] == "MALFORMED_JSON"
    lonely = await world.client.post("/api/v1/auth/login", content=b'{"email": "\\ud800", "password": "x"}')
    assert lonely.status_code == 400


async def test_a_bug_answers_500_without_a_word_about_it(world: Any, monkeypatch: Any) -> None:
    ada = await world.person()

    async def broken(*_args: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(world.api.rest.state.counts, "queue", broken)
    answer = await world.client.get("/api/v1/monitoring/queue-status", headers=ada)
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] == answer.json()["requestId"]


async def test_a_slash_at_the_end_makes_no_difference(world: Any) -> None:
    ada = await world.person()
    for path in ("/api/v1/media", "/api/v1/auth/profile", "/api/health", "/healthz"):
        bare = await world.client.get(path, headers=ada)
        slashed = await world.client.get(path + "/", headers=ada, follow_redirects=False)
        assert (bare.status_code, slashed.status_code) == (200, 200)
        assert bare.json() == slashed.json()


async def test_head_is_get_without_its_body(world: Any) -> None:
    ada = await world.person()
    for path in ("/", "/api/v1/media", "/healthz"):
        head = await world.client.head(path, headers=ada)
        get = await world.client.get(path, headers=ada)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-length"] == str(len(get.content))


async def test_a_request_id_is_taken_over_or_made(world: Any) -> None:
    given = await world.client.get("/", headers={"X-Request-ID": "abc-123"})
    assert given.headers["x-request-id"] == "abc-123"
    strange = await world.client.get("/", headers={"X-Request-ID": "a b"})
    assert len(strange.headers["x-request-id"]) == 32


async def test_health_speaks_the_sentence_that_clients_know(world: Any) -> None:
    for path in ("/", "/api/health"):
        answer = await world.client.get(path)
        assert answer.json()["message"] == "Drishtiksha API is alive and running!"
    assert (await world.client.get("/healthz")).status_code == 200


async def test_readiness_names_who_is_away(world: Any, monkeypatch: Any) -> None:
    assert (await world.client.get("/readyz")).json() == {"status": "ok", "missing": {}}

    async def away() -> bool:
        return False

    monkeypatch.setattr(world.around.bus, "ping", away)
    answer = await world.client.get("/readyz")
    assert (answer.status_code, list(answer.json()["missing"])) == (503, ["redis"])


async def test_only_our_own_front_ends_may_call_from_a_browser(world: Any) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "Authorization",
    }
    allowed = await world.client.options("/api/v1/media/x", headers=asked)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "PATCH" in allowed.headers["access-control-allow-methods"]
    stranger = await world.client.options("/api/v1/media/x", headers=asked | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers
    refused = await world.client.get("/api/v1/media", headers={"Origin": ORIGIN})
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    assert "X-Next-Cursor" in refused.headers["access-control-expose-headers"]


async def test_every_answer_wears_the_security_headers(world: Any) -> None:
    for path in ("/", "/nope", "/api/v1/media"):
        headers = (await world.client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


async def test_the_document_knows_every_code_and_which_routes_need_a_token(world: Any) -> None:
    document = (await world.client.get("/openapi.json")).json()
    assert document["components"]["schemas"]["Error"]["properties"]["code"]["enum"] == sorted(CODES)
    public = {
        (path, method)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "security" not in operation
    }
    open_paths = {path for path, _ in public}
    assert open_paths == {
        "/", "/api/health", "/healthz", "/readyz", "/api/v1/auth/signup", "/api/v1/auth/login",
    }  # fmt: skip
    by_link = {
        path
        for path, methods in document["paths"].items()
        if {"link": []} in methods.get("get", {}).get("security", [])
    }
    assert by_link == {
        "/api/v1/media/content/{media_id}", "/api/v1/media/content/{media_id}/artifacts/{artifact_id}",
    }  # fmt: skip
    for methods in document["paths"].values():
        for operation in methods.values():
            bad_values = operation["responses"].get("422", {}).get("description", "")
            assert set(bad_values.split()) <= {"UNDECODABLE", "IDEMPOTENCY_MISMATCH"}, "a bad value is a 400 here"
            assert "400" in operation["responses"]


async def test_every_route_that_needs_a_token_refuses_without_one(world: Any) -> None:
    document = (await world.client.get("/openapi.json")).json()
    asked = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "security" in operation:
                url = path.replace("{media_id}", "x").replace("{number}", "1")
                refused = await world.client.request(method, url)
                assert (refused.status_code, refused.json()["code"]) == (401, "TOKEN_MISSING"), path
                asked += 1
    assert asked >= 12


async def test_the_page_of_the_document_needs_nothing_from_elsewhere(world: Any) -> None:
    page = await world.client.get("/docs/")
    assert page.status_code == 200
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
        assert f'"/docs/{name}"' in page.text
        assert (await world.client.get(f"/docs/{name}")).status_code == 200
    assert "http" not in page.text
    assert (await world.client.get("/docs/README.md")).status_code == 404
