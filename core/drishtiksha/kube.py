"""The Kubernetes API as a dumb client: dictionaries in, dictionaries out, errors in our own words.

It calls, times out, tries again within bounds and translates the answer; it decides nothing. `resources.py` and the
operator's `jobs.py` stand on it. Why not the typed client: it drops fields it does not know, and a typed list of
some thousand Jobs blocks the loop for seconds.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from .domain.errors import DrishtikshaError
from .kubeconfig import Connection

Object = dict[str, Any]
"""A Kubernetes object as JSON tells it."""

PAGE = 500
"""Objects per page of a list: one page is parsed in a few milliseconds."""
TOKEN_AGE = 60.0
"""Seconds after which a token file is read again."""
LARGE = 512 * 1024
"""Bytes above which an answer is parsed off the loop."""

_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"


class KubeError(DrishtikshaError):
    """The Kubernetes API refused or could not be reached. `status` is its HTTP code (0: no answer), `reason` its word."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"Kubernetes answered {status} {reason}: {message}" if status else message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class KubeNotFound(KubeError):
    """404: the object, or its kind, is not there."""


class KubeConflict(KubeError):
    """409: it exists already (`already_exists`), or it has changed since we read it."""

    @property
    def already_exists(self) -> bool:
        return self.reason == "AlreadyExists"


class KubeGone(KubeError):
    """410: the page or resourceVersion we asked from is no longer kept; begin again."""


class KubeInvalid(KubeError):
    """400, 413, 415, 422: our object is wrong, and will be wrong next time too."""


class KubeForbidden(KubeError):
    """401, 403: we may not, or a quota or an admission rule says no."""


class KubeThrottled(KubeError):
    """429: too many requests, still so after our retries."""


class KubeUnavailable(KubeError):
    """No answer, a broken one, or 5xx, still so after our retries."""


_BY_STATUS: dict[int, type[KubeError]] = {
    400: KubeInvalid,
    401: KubeForbidden,
    403: KubeForbidden,
    404: KubeNotFound,
    409: KubeConflict,
    410: KubeGone,
    413: KubeInvalid,
    415: KubeInvalid,
    422: KubeInvalid,
    429: KubeThrottled,
}


@dataclass(frozen=True)
class _Request:
    """What one call asks for; sent again as it is."""

    method: str
    path: str
    query: Mapping[str, str] | None
    body: Object | None
    content_type: str
    accept: str


class Kube:
    """A connection to one API server, used as an async context manager.

    `timeout` is the whole of one request in seconds, `tries` the requests per call, `patience` the longest
    Retry-After that is waited for inside a call. Every write of ours may be repeated (names are made before the
    write), so a lost answer is tried again like a lost request.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        timeout: float = 15.0,
        tries: int = 3,
        patience: float = 5.0,
        agent: str = "drishtiksha",
    ) -> None:
        self.connection = connection
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(5.0, timeout))
        self._tries = max(1, tries)
        self._patience = patience
        self._agent = agent
        self._session: aiohttp.ClientSession | None = None
        self._token: str | None = None
        self._token_read = float("-inf")

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self.connection.ssl_context() or True, limit=32)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, trust_env=False, headers={"User-Agent": self._agent}
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Object:
        """One object. Raises KubeNotFound."""
        return await self._call("GET", path, query)

    async def pages(
        self,
        path: str,
        *,
        labels: str | None = None,
        fields: str | None = None,
        metadata_only: bool = False,
        page: int = PAGE,
    ) -> AsyncIterator[list[Object]]:
        """All objects of a collection, page by page, each page consistent. Raises KubeGone when a page expired."""
        query = {"limit": str(page)}
        if labels:
            query["labelSelector"] = labels
        if fields:
            query["fieldSelector"] = fields
        accept = f"{_METADATA_ONLY},application/json" if metadata_only else "application/json"
        while True:
            answer = await self._call("GET", path, query, accept=accept)
            yield list(answer.get("items") or [])
            token = (answer.get("metadata") or {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def list(self, path: str, *, labels: str | None = None, fields: str | None = None) -> list[Object]:
        """All objects of a collection that fits in memory; select well."""
        return [item async for page in self.pages(path, labels=labels, fields=fields) for item in page]

    async def create(self, path: str, body: Object) -> Object:
        """POST with strict field validation. Raises KubeConflict (`already_exists`), KubeInvalid, KubeForbidden."""
        return await self._call("POST", path, {"fieldValidation": "Strict"}, body)

    async def merge(self, path: str, body: Object) -> Object:
        """JSON merge patch; with `metadata.resourceVersion` in the body a change since then is KubeConflict."""
        return await self._call("PATCH", path, {"fieldValidation": "Strict"}, body, content_type=_MERGE)

    async def apply(self, path: str, body: Object, *, manager: str) -> Object:
        """Server-side apply as the field manager `manager`, taking the fields over where another had them."""
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        return await self._call("PATCH", path, query, body, content_type=_APPLY)

    async def delete(self, path: str, *, uid: str | None = None, propagation: str = "Background") -> bool:
        """True when the object was there. With `uid` only that incarnation is deleted (else KubeConflict)."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._call("DELETE", path, None, body)
        except KubeNotFound:
            return False
        return True

    async def text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """A plain answer, as the log of a pod is one."""
        return (await self._send(_Request("GET", path, query, None, "", "*/*"))).decode("utf-8", "replace")

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        raw = await self._send(_Request(method, path, query, body, content_type, accept))
        try:
            answer = await asyncio.to_thread(json.loads, raw) if len(raw) > LARGE else json.loads(raw)
        except ValueError as error:
            raise KubeUnavailable(0, "Unreadable", f"The Kubernetes API sent no JSON for {method} {path}.") from error
        if not isinstance(answer, dict):
            raise KubeUnavailable(0, "Unreadable", f"The Kubernetes API sent no object for {method} {path}.")
        return answer

    async def _send(self, request: _Request) -> bytes:
        """One call with its tries. Only what may heal by itself is tried again: no answer, 429, 5xx, a stale token."""
        for attempt in range(1, self._tries + 1):
            try:
                return await self._once(request)
            except (KubeThrottled, KubeUnavailable) as error:
                wait = error.retry_after if error.retry_after is not None else 0.2 * 2 ** (attempt - 1)
                if attempt == self._tries or (error.retry_after or 0.0) > self._patience:
                    raise
                await asyncio.sleep(wait * random.uniform(1.0, 1.3))
            except KubeForbidden as error:
                if error.status != 401 or self.connection.token_file is None or attempt == self._tries:
                    raise
                self._token_read = float("-inf")
        raise AssertionError("the last try returns or raises")

    async def _once(self, request: _Request) -> bytes:
        if self._session is None:
            raise RuntimeError("Kube is used outside its `async with`")
        headers = {"Accept": request.accept}
        token = await self._bearer()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data: bytes | None = None
        if request.body is not None:
            data = json.dumps(request.body, separators=(",", ":"), allow_nan=False).encode()
            headers["Content-Type"] = request.content_type
        url = self.connection.server + request.path
        try:
            async with self._session.request(
                request.method, url, params=request.query, data=data, headers=headers, allow_redirects=False
            ) as response:
                raw = await response.read()
                if 200 <= response.status < 300:
                    return raw
                raise _translated(response.status, response.headers.get("Retry-After"), raw)
        except TimeoutError as error:
            text = f"The Kubernetes API did not answer {request.method} {request.path} in time."
            raise KubeUnavailable(0, "Timeout", text) from error
        except aiohttp.ClientError as error:
            text = f"The Kubernetes API at {self.connection.server} cannot be reached ({type(error).__name__})."
            raise KubeUnavailable(0, "Unreachable", text) from error

    async def _bearer(self) -> str | None:
        """The token, at most a minute old where it lives in a file."""
        if time.monotonic() - self._token_read > TOKEN_AGE:
            try:
                self._token = await asyncio.to_thread(self.connection.bearer)
            except OSError as error:
                text = f"The token file {self.connection.token_file} cannot be read ({error.strerror})."
                raise KubeUnavailable(0, "NoToken", text) from error
            self._token_read = time.monotonic()
        return self._token


def _translated(status: int, retry_after: str | None, raw: bytes) -> KubeError:
    """An answer that is no success, as an error of ours; the server's `Status` object gives reason and message."""
    reason, message = "", ""
    try:
        said = json.loads(raw)
        reason, message = str(said.get("reason") or ""), str(said.get("message") or "")
    except (ValueError, AttributeError):
        message = raw[:200].decode("utf-8", "replace")
    try:
        wait = max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        wait = None
    kind = _BY_STATUS.get(status, KubeUnavailable if status >= 500 else KubeInvalid)
    return kind(status, reason or "Unknown", message or "no message", wait)
