"""The seam to Kubernetes: each request of our client, with all its tries."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Any

from drishtiksha.kube import Kube, KubeError, KubeForbidden, KubeUnavailable

from .wire import Fault, twice, wire

_under_way: ContextVar[Fault | None] = ContextVar("under_way", default=None)
_PLACE = re.compile(r"^/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/[^/]+)?/")


class SeamKube(Kube):
    """The platform's client. `_send` is one call, `_once` one of its tries."""

    async def _send(self, request: Any) -> bytes:
        kind = wire.get().meet("kubernetes", operation(request.method, request.path))
        if kind is None:
            return await super()._send(request)
        mark = _under_way.set(Fault(kind))
        try:
            return await super()._send(request)
        finally:
            _under_way.reset(mark)

    async def _once(self, request: Any) -> bytes:
        fault = _under_way.get()
        if fault is None:
            return await super()._once(request)
        first = fault.next_try() == 1
        match fault.kind:
            case "away":
                raise _unreachable()
            case "before" if first:
                raise _unreachable()
            case "error":
                raise KubeUnavailable(500, "InternalError", "etcdserver: leader changed (injected)")
            case "denied":
                verb = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}[request.method]
                raise KubeForbidden(403, "Forbidden", f'User "x" cannot {verb} resource "y" (injected)')
            case "lost" if first:
                await super()._once(request)
                raise _silent()
            case "unanswered":
                if first:
                    await super()._once(request)
                raise _silent()
            case "slow" if first:
                wire.get().later(super()._once(request))
                raise _silent()
            case "repeated" if first:
                return await twice(super()._once(request), super()._once(request))  # type: ignore[no-any-return]
        return await super()._once(request)


def operation(method: str, path: str) -> str:
    """`POST jobs`, `PATCH mediaanalyses/*/status`: a request without its names."""
    words = _PLACE.sub("", path).split("/")
    return f"{method} {'/'.join('*' if place == 1 else word for place, word in enumerate(words))}"


def _unreachable() -> KubeError:
    return KubeUnavailable(0, "Unreachable", "The Kubernetes API cannot be reached (injected).")


def _silent() -> KubeError:
    return KubeUnavailable(0, "Timeout", "The Kubernetes API did not answer in time (injected).")
