"""The Kubernetes client against a small real HTTP server that answers as told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from drishtiksha import kube as k
from drishtiksha.domain.errors import BadSettings
from drishtiksha.kubeconfig import Connection, connect, from_file
from drishtiksha.resources import AnalysisSpec, MediaAnalyses, NotOurs

RUN = "0198f1c2-7d1b-7aa0-8000-00000000002a"
SPEC = AnalysisSpec(RUN, "0198f1c2-7d1b-7aa0-8000-00000000002b", "IMAGE", False)

Answer = Callable[[web.Request], Any]


class Server:
    """Gives the next prepared answer to each request, the last one for ever, and remembers what was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.seen: list[tuple[str, str, dict[str, str], dict[str, str], bytes]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append((request.method, request.path, dict(request.query), dict(request.headers), body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        said = answer(request)
        return await said if asyncio.iscoroutine(said) else said


def says(status: int, body: Any = None, **headers: str) -> Answer:
    return lambda _request: web.json_response(
        body if body is not None else {},
        status=status,
        headers={key.replace("_", "-"): v for key, v in headers.items()},
    )


def refuses(status: int, reason: str, **headers: str) -> Answer:
    return says(status, {"kind": "Status", "reason": reason, "message": f"because {reason}"}, **headers)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    double = Server()
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", double.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    double.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield double
    await runner.cleanup()


@pytest.fixture
async def kube(server: Server) -> AsyncIterator[k.Kube]:
    async with k.Kube(Connection(server.url, token="t0ken"), timeout=10, patience=0.2) as client:
        yield client


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (400, "BadRequest", k.KubeInvalid),
        (401, "Unauthorized", k.KubeForbidden),
        (403, "Forbidden", k.KubeForbidden),
        (404, "NotFound", k.KubeNotFound),
        (409, "AlreadyExists", k.KubeConflict),
        (410, "Expired", k.KubeGone),
        (422, "Invalid", k.KubeInvalid),
    ],
)
async def test_a_refusal_has_its_own_error_and_is_asked_once(
    server: Server, kube: k.Kube, status: int, reason: str, error: type[k.KubeError]
) -> None:
    server.answers = [refuses(status, reason)]
    with pytest.raises(error) as caught:
        await kube.create("/x", {"a": 1})
    assert (caught.value.status, caught.value.reason) == (status, reason)
    assert f"because {reason}" in str(caught.value)
    assert len(server.seen) == 1


async def test_a_busy_server_is_asked_again_after_the_time_it_names(server: Server, kube: k.Kube) -> None:
    server.answers = [refuses(429, "TooManyRequests", Retry_After="0"), refuses(503, "Down"), says(200, {"ok": 1})]
    assert await kube.get("/x") == {"ok": 1}
    assert len(server.seen) == 3


async def test_a_server_that_stays_busy_raises_after_three_tries(server: Server, kube: k.Kube) -> None:
    server.answers = [refuses(429, "TooManyRequests", Retry_After="0")]
    with pytest.raises(k.KubeThrottled):
        await kube.get("/x")
    assert len(server.seen) == 3


async def test_a_long_retry_after_is_handed_to_the_caller_at_once(server: Server, kube: k.Kube) -> None:
    server.answers = [refuses(429, "TooManyRequests", Retry_After="30")]
    with pytest.raises(k.KubeThrottled) as caught:
        await kube.get("/x")
    assert caught.value.retry_after == 30
    assert len(server.seen) == 1


async def test_a_stalled_answer_ends_as_unavailable(server: Server) -> None:
    async def stall(_request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.json_response({})

    server.answers = [stall]
    async with k.Kube(Connection(server.url), timeout=1.0, tries=2) as client:
        with pytest.raises(k.KubeUnavailable, match="in time"):
            await client.get("/x")
    assert len(server.seen) == 2


async def test_a_refused_connection_ends_as_unavailable() -> None:
    async with k.Kube(Connection("http://127.0.0.1:9"), timeout=10, tries=1) as client:
        with pytest.raises(k.KubeUnavailable, match="cannot be reached"):
            await client.get("/x")


async def test_an_answer_that_is_no_json_is_unavailable(server: Server, kube: k.Kube) -> None:
    server.answers = [lambda _request: web.Response(text="<html>")]
    with pytest.raises(k.KubeUnavailable, match="no JSON"):
        await kube.get("/x")


async def test_writes_carry_strict_validation_and_the_right_content_type(server: Server, kube: k.Kube) -> None:
    server.answers = [says(200, {})]
    await kube.create("/x", {"a": 1})
    await kube.merge("/x", {"a": 2})
    await kube.apply("/x", {"a": 3}, manager="me")
    assert all(query["fieldValidation"] == "Strict" for _, _, query, _, _ in server.seen)
    assert [headers["Content-Type"] for _, _, _, headers, _ in server.seen] == [
        "application/json",
        "application/merge-patch+json",
        "application/apply-patch+yaml",
    ]
    assert server.seen[2][2]["fieldManager"] == "me"
    assert server.seen[0][3]["Authorization"] == "Bearer t0ken"


async def test_a_list_is_followed_over_all_its_pages(server: Server, kube: k.Kube) -> None:
    server.answers = [
        says(200, {"metadata": {"continue": "next"}, "items": [{"n": 1}, {"n": 2}]}),
        says(200, {"metadata": {}, "items": [{"n": 3}]}),
    ]
    assert [item["n"] for item in await kube.list("/x", labels="a=b")] == [1, 2, 3]
    assert server.seen[0][2]["labelSelector"] == "a=b"
    assert server.seen[1][2]["continue"] == "next"


async def test_deleting_what_is_gone_is_no_error(server: Server, kube: k.Kube) -> None:
    server.answers = [refuses(404, "NotFound")]
    assert await kube.delete("/x", uid="u") is False
    assert json.loads(server.seen[0][4])["preconditions"] == {"uid": "u"}


async def test_a_rotated_token_file_is_read_again_when_the_old_token_is_refused(server: Server, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    def guard(request: web.Request) -> web.Response:
        if request.headers["Authorization"] == "Bearer new":
            return web.json_response({"in": True})
        token.write_text("new")
        return web.json_response({"reason": "Unauthorized"}, status=401)

    server.answers = [guard]
    async with k.Kube(Connection(server.url, token_file=token)) as client:
        assert await client.get("/x") == {"in": True}


async def test_creating_the_resource_twice_is_success_when_it_names_our_run(server: Server, kube: k.Kube) -> None:
    server.answers = [refuses(409, "AlreadyExists"), says(200, {"spec": {"runId": RUN}})]
    assert (await MediaAnalyses(kube, "ns").create(SPEC, 1))["spec"]["runId"] == RUN


async def test_a_foreign_object_under_our_name_is_refused(server: Server, kube: k.Kube) -> None:
    server.answers = [refuses(409, "AlreadyExists"), says(200, {"spec": {"runId": "another"}})]
    with pytest.raises(NotOurs):
        await MediaAnalyses(kube, "ns").create(SPEC, 1)


async def test_releasing_takes_off_our_finalizer_only_and_once(server: Server, kube: k.Kube) -> None:
    server.answers = [says(200, {})]
    analyses = MediaAnalyses(kube, "ns")
    held = {"metadata": {"name": f"ma-{RUN}", "resourceVersion": "7", "finalizers": ["other/x", "drishtiksha.io/run"]}}
    assert await analyses.release(held) is True
    assert json.loads(server.seen[0][4])["metadata"] == {"resourceVersion": "7", "finalizers": ["other/x"]}
    held["metadata"]["finalizers"] = ["other/x"]
    assert await analyses.release(held) is False
    assert len(server.seen) == 1


def test_a_kubeconfig_gives_server_identity_and_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tok").write_text("abc\n")
    (tmp_path / "config").write_text(
        """
current-context: c
contexts: [{name: c, context: {cluster: k, user: u, namespace: drishtiksha}}]
clusters: [{name: k, cluster: {server: "http://127.0.0.1:1/"}}]
users: [{name: u, user: {tokenFile: tok}}]
"""
    )
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    found = connect()
    assert (found.server, found.namespace, found.bearer()) == ("http://127.0.0.1:1", "drishtiksha", "abc")


@pytest.mark.parametrize("text", ["", "[]", "current-context: nobody", "a: [", "current-context: c\ncontexts: 5"])
def test_a_broken_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(BadSettings, match="config is not a usable kubeconfig"):
        from_file(tmp_path / "config")
