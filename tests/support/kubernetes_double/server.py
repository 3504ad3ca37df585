"""The double as a server: real sockets, HTTP as the API server speaks it, faults as the schedule says.

    async with KubernetesDouble(folder) as double:
        async with Kube(from_file(double.kubeconfig("drishtiksha-operator"))) as kube: …

The faults strike everybody but `admin`, whose calls are the test's own hands.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import yaml
from aiohttp import web

from . import calls, discovery
from .calls import Call
from .controllers import Controllers
from .faults import AFTER, BEFORE, Fault, Schedule
from .kinds import Object, Refusal
from .rights import ADMIN, IDENTITIES, forbidden, may
from .store import Store
from .watching import Asked, Watch

NAMESPACE = "drishtiksha"
BEHIND = 12
"""Revisions by which a stale read is behind."""
LONGEST_WATCH = 1800.0


class KubernetesDouble:
    """One API server with its controllers, on a free port. `folder` gets the kubeconfigs."""

    def __init__(self, folder: Path, *, namespaces: tuple[str, ...] = (NAMESPACE,), seed: int = 0) -> None:
        self.folder = folder
        self.store = Store(frozenset(namespaces))
        self.controllers = Controllers(self.store, seed)
        self.weather = Schedule()
        self.largest_page: int | None = None
        """The most objects that a page of a list holds, whatever its client asks for."""
        self.heard: list[Call] = []
        """Every call about an object, as it came in."""
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._late: set[asyncio.Task[None]] = set()
        app = web.Application(client_max_size=4 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._start(self.controllers.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.cleanup()

    def kubeconfig(self, name: str = ADMIN) -> Path:
        """The kubeconfig of an identity: admin, drishtiksha-api, drishtiksha-operator."""
        if name not in IDENTITIES:
            raise ValueError(f"the double does not know {name}")
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.yaml"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "double", "cluster": {"server": self.url}}],
            "users": [{"name": name, "user": {"token": name}}],
            "contexts": [{"name": "double", "context": {"cluster": "double", "user": name, "namespace": NAMESPACE}}],
            "current-context": "double",
        }
        path.write_text(yaml.safe_dump(config))
        return path

    # -- one request --------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        user = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            if user not in IDENTITIES:
                raise Refusal(401, "Unauthorized", "Unauthorized")
            if (document := discovery.answer(request.path)) is not None:
                return _json(200, document)
            body = await request.read()
            if request.path == discovery.REVIEWS:
                return _json(201, discovery.review(user, body))
            call = calls.read(
                request.method, request.path, dict(request.query), user=user, body=body,
                accept=request.headers.get("Accept", ""), content_type=request.headers.get("Content-Type", ""),
            )  # fmt: skip
            if call is None:
                raise Refusal(404, "NotFound", "the server could not find the requested resource")
            if not may(user, call.kind.group, call.resource, call.verb):
                raise forbidden(user, call.kind.group, call.resource, call.verb, call.namespace, call.name)
            self.heard.append(call)
            if self.largest_page is not None and "limit" in call.query:
                limit = min(self.largest_page, int(call.query["limit"]))
                call = replace(call, query={**call.query, "limit": str(limit)})
            fault = None if user == ADMIN else self.weather.at_request(call.verb, call.kind.plural)
            if fault is not None and fault.kind in BEFORE:
                return self._before(request, call, fault)
            if call.verb == "watch":
                return await self._watch(request, call)
            return await self._carry_out(request, call, fault)
        except calls.NotServed:
            return web.Response(status=404, text="404 page not found\n")
        except Refusal as refusal:
            return _json(refusal.code, refusal.to_object())

    def _before(self, request: web.Request, call: Call, fault: Fault) -> web.Response:
        """The call is not carried out, or not now."""
        if fault.kind == "throttle":
            told = Refusal(429, "TooManyRequests", "too many requests, please try again later", retryAfterSeconds=0)
            return _json(429, told.to_object(), {"Retry-After": f"{fault.seconds:g}"})
        if fault.kind == "refuse":
            return _json(503, Refusal(503, "ServiceUnavailable", "the double is not ready").to_object())
        if fault.kind == "late":
            late = self._start(self._much_later(call, fault.seconds))
            self._late.add(late)
            late.add_done_callback(self._late.discard)
        return _cut(request)

    async def _much_later(self, call: Call, seconds: float) -> None:
        """A write that was under way when its client gave up arrives after all."""
        await asyncio.sleep(seconds)
        with contextlib.suppress(Refusal):
            calls.carry_out(self.store, call)

    async def _carry_out(self, request: web.Request, call: Call, fault: Fault | None) -> web.StreamResponse:
        kind = fault.kind if fault is not None else ""
        if kind == "expire" and call.query.get("continue"):
            raise Refusal(
                410, "Expired", "The provided continue parameter is too old to display a consistent list result."
            )
        status, body = calls.carry_out(self.store, call, behind=BEHIND if kind == "stale" else 0)
        if fault is None or kind not in AFTER:
            return _json(status, body)
        if kind == "lose":
            return _json(500, Refusal(500, "InternalError", "etcdserver: request timed out").to_object())
        if kind == "cut-after":
            return _cut(request)
        if kind == "torn":
            return await _torn(request, status, body)
        await asyncio.sleep(fault.seconds)
        return _json(status, body)

    async def _watch(self, request: web.Request, call: Call) -> web.StreamResponse:
        query = call.query
        asked = calls.matching(call.kind, query.get("labelSelector"), query.get("fieldSelector"))
        initial = query.get("sendInitialEvents") == "true"
        if initial and query.get("resourceVersionMatch") != "NotOlderThan":
            told = "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise Refusal(422, "Invalid", told)
        version = query.get("resourceVersion", "")
        since = None if initial or version in ("", "0") else int(version)
        seconds = float(query.get("timeoutSeconds") or LONGEST_WATCH)
        bookmarks = since is None and query.get("allowWatchBookmarks") == "true"
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        weather = Schedule if call.user == ADMIN else lambda: self.weather
        watch = Watch(self.store, Asked(call.kind, call.namespace, asked, since, bookmarks, seconds), weather)
        with contextlib.suppress(ConnectionError):
            await watch.run(response.write, lambda: _sever(request))
        return response

    async def quiet(self) -> None:
        """Wait until no write is under way any more that its client has given up."""
        while self._late:
            await asyncio.gather(*self._late, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _json(status: int, body: Object, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers=headers, dumps=_dumps)


def _dumps(body: object) -> str:
    return json.dumps(body, separators=(",", ":"))


def _sever(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _cut(request: web.Request) -> web.Response:
    """No answer: the connection is gone when somebody tries to write it."""
    _sever(request)
    return web.Response(status=500)


async def _torn(request: web.Request, status: int, body: Object) -> web.StreamResponse:
    """Half of the answer, then the connection is gone."""
    raw = _dumps(body).encode()
    response = web.StreamResponse(
        status=status, headers={"Content-Type": "application/json", "Content-Length": str(len(raw))}
    )
    await response.prepare(request)
    await response.write(raw[: len(raw) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
