"""The endpoint behind `kubectl logs`: /containerLogs/<namespace>/<pod>/<container>, over TLS, for the API server alone.

Only a client with a certificate of the platform's own CA and the name of the API server's kubelet client is answered.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from .container import previous_log
from .status import Life

CLIENT_NAME = "kubelet-client"
"""Common name of the certificate with which the API server comes (`pki`)."""
_CHUNK = 64 * 1024
_FOLLOW_SECONDS = 0.25
_UNKNOWN = ("timestamps", "sinceTime", "sinceSeconds")
"""Options that need a time for each line, which a plain log file does not have."""

Find = Callable[[str, str, str], tuple[Path, Life] | None]
"""namespace, pod, container → its log file and its pod; None when this node knows no such container."""


def tls(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """TLS with our certificate; a client's certificate is checked where it shows one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def application(find: Find) -> web.Application:
    """The routes: logs, and /healthz for whoever wants to know that the node is up."""
    logs = web.Application()
    logs.router.add_get("/healthz", _healthz)
    logs.router.add_get("/containerLogs/{namespace}/{pod}/{container}", lambda request: _logs(request, find))
    return logs


async def _healthz(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _logs(request: web.Request, find: Find) -> web.StreamResponse:
    _refuse_strangers(request)
    namespace, pod, container = (request.match_info[name] for name in ("namespace", "pod", "container"))
    query = request.query
    if asked := next((name for name in _UNKNOWN if query.get(name) not in (None, "", "false")), None):
        raise web.HTTPBadRequest(
            text=f"a process node keeps no time for the lines of a log: {asked} cannot be answered"
        )
    found = find(namespace, pod, container)
    if found is None:
        raise web.HTTPNotFound(text=f'container "{container}" of pod "{namespace}/{pod}" is not on this node')
    log, life = found
    log = previous_log(log) if query.get("previous") == "true" else log
    if not log.exists():
        raise web.HTTPBadRequest(text=f'container "{container}" in pod "{pod}" has no log yet')
    limit = int(query["limitBytes"]) if query.get("limitBytes") else None
    tail = int(query["tailLines"]) if query.get("tailLines") else None
    follow = query.get("follow") == "true"

    answer = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    await answer.prepare(request)
    with log.open("rb") as file:
        if tail is not None:
            _seek_tail(file.fileno(), tail)
        while limit is None or limit > 0:
            was_running = not life.ended
            if os.fstat(file.fileno()).st_size < os.lseek(file.fileno(), 0, os.SEEK_CUR):
                os.lseek(file.fileno(), 0, os.SEEK_SET)  # it was begun anew
            chunk = os.read(file.fileno(), _CHUNK if limit is None else min(_CHUNK, limit))
            if chunk:
                await answer.write(chunk)
                limit = None if limit is None else limit - len(chunk)
            elif not follow or not was_running:
                break
            else:
                await asyncio.sleep(_FOLLOW_SECONDS)
    await answer.write_eof()
    return answer


def _refuse_strangers(request: web.Request) -> None:
    certificate = request.get_extra_info("peercert") or {}
    names = {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}
    if CLIENT_NAME not in names:
        raise web.HTTPUnauthorized(text="only the API server may ask for logs")


def _seek_tail(file: int, lines: int) -> None:
    """Move to the start of the last so many lines, reading from the end."""
    position = os.lseek(file, 0, os.SEEK_END)
    if lines <= 0 or position == 0:
        return
    # The newline at the very end closes the last line and begins none.
    wanted, end = lines, position - 1
    while end > 0:
        start = max(0, end - _CHUNK)
        block = os.pread(file, end - start, start)
        for offset in range(len(block) - 1, -1, -1):
            if block[offset : offset + 1] == b"\n":
                wanted -= 1
                if wanted == 0:
                    os.lseek(file, start + offset + 1, os.SEEK_SET)
                    return
        end = start
    os.lseek(file, 0, os.SEEK_SET)
