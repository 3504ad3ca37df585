"""The node's thin client of the Kubernetes API: dictionaries in, dictionaries out, a timeout on every call.

It knows no resource. `registration`, `node` and `report` call it with paths. Unlike the platform's own client
(`drishtiksha.kube`) it watches, and it can be cut off and mended, which is how a node plays being lost (`faults`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from drishtiksha.kubeconfig import Connection

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
CALL_SECONDS = 15.0
"""Limit of one plain call."""
WATCH_SILENCE_SECONDS = 400.0
"""A watch without any byte for longer is taken for dead (the server ends each after 300 s and sends bookmarks)."""


class ApiError(Exception):
    """The API server answered with an error: `status` is the HTTP code, `message` its sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class ApiUnreachable(Exception):
    """The API server did not answer in time, or not at all."""


class KubeClient:
    """One session with the API server. Close it when done."""

    def __init__(self, connection: Connection) -> None:
        self._server = connection.server
        self._online = asyncio.Event()
        self._online.set()
        self._watches: set[aiohttp.ClientResponse] = set()
        self._session = aiohttp.ClientSession(
            headers={"Accept": "application/json", "User-Agent": "drishtiksha-node"} | _authorization(connection),
            connector=aiohttp.TCPConnector(ssl=connection.ssl_context() or True, limit=16),
            timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
        )

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    def cut(self) -> None:
        """Hear and say nothing from now on: calls wait, watches end."""
        self._online.clear()
        for response in tuple(self._watches):
            response.close()

    def mend(self) -> None:
        """Be heard again."""
        self._online.set()

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        """Read one object or a list. Raises ApiError, ApiUnreachable."""
        return await self._call("GET", path, params=params)

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST one object. Raises ApiError (409: it is there), ApiUnreachable."""
        return await self._call("POST", path, body=body)

    async def patch(self, path: str, body: Mapping[str, Any], kind: str = STRATEGIC) -> dict[str, Any]:
        """PATCH one object. Raises ApiError, ApiUnreachable."""
        return await self._call("PATCH", path, body=body, content_type=kind)

    async def delete(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """DELETE one object with options. Raises ApiError, ApiUnreachable."""
        return await self._call("DELETE", path, body=body)

    async def watch(self, path: str, **params: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of one watch until the server ends it. Raises ApiError (410 too), ApiUnreachable."""
        await self._online.wait()
        try:
            async with self._session.get(
                self._server + path,
                params={**params, "watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": "300"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CALL_SECONDS, sock_read=WATCH_SILENCE_SECONDS),
            ) as response:
                await _raise_for(response)
                self._watches.add(response)
                try:
                    async for line in _lines(response):
                        event = json.loads(line)
                        if event.get("type") == "ERROR":
                            status = event.get("object", {})
                            raise ApiError(int(status.get("code", 500)), str(status.get("message", "")))
                        yield event
                finally:
                    self._watches.discard(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiUnreachable(f"the watch of {path} broke: {error!r}") from error

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        await self._online.wait()
        try:
            async with self._session.request(
                method,
                self._server + path,
                params=params,
                data=None if body is None else json.dumps(body),
                headers=None if body is None else {"Content-Type": content_type},
            ) as response:
                await _raise_for(response)
                return dict(json.loads(await response.read()))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiUnreachable(f"{method} {path}: {error!r}") from error


def _authorization(connection: Connection) -> dict[str, str]:
    token = connection.bearer()
    return {"Authorization": f"Bearer {token}"} if token else {}


async def _raise_for(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = (await response.read())[:8192].decode(errors="replace")
    try:
        message = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        message = text.strip()
    raise ApiError(response.status, message)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Split a stream at newlines; an object may be longer than aiohttp's own line limit."""
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
