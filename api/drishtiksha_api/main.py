"""`drishtiksha-api serve` and `drishtiksha-api door`: settings in, servers up, and down again without losing an answer."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence

import structlog
import uvicorn
from starlette.types import ASGIApp

from drishtiksha import kubeconfig, logs, settings
from drishtiksha.domain.errors import BadSettings

from .connection import Connection

log = structlog.get_logger()

_GRACE = {"serve": 3, "door": 30}
"""Seconds that requests under way may still take after SIGTERM; long-polling clients would hold the api for ever."""


_DESCRIPTORS = 65_536
"""So many a process takes if it may; what they cost, they cost only when they are open."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Exit 2 for a bad setting, with a sentence that names it."""
    parser = argparse.ArgumentParser(prog="drishtiksha-api", description="The public api, or the internal door.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="REST, Socket.IO and the dispatcher on PORT, metrics on DRISHTIKSHA_METRICS_PORT")
    commands.add_parser("door", help="the runners' door on DRISHTIKSHA_DOOR_PORT; never expose it outside the cluster")
    command = parser.parse_args(arguments).command
    _keep_memory_small()
    _take_descriptors()
    logs.configure("api" if command == "serve" else "door")
    try:
        for sentence in settings.check_names():
            log.warning(sentence)
        asyncio.run(_serve() if command == "serve" else _door())
    except BadSettings as error:
        print(f"drishtiksha-api: {error}", file=sys.stderr)
        sys.exit(2)


def _keep_memory_small() -> None:
    """Give buffers back to the system when they are freed: glibc otherwise keeps them, in one heap per thread.

    Measured after eighteen uploads of 20 MB, six at a time: 203 MiB stayed resident without it, 142 MiB with it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        arena_max, mmap_threshold = -8, -3
        mallopt(arena_max, 2)
        mallopt(mmap_threshold, 128 * 1024)


def _take_descriptors() -> None:
    """As many descriptors as we may have, within reason: the usual soft limit of 1,024 is spent by as many idle sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _serve() -> None:
    from drishtiksha.database.media import Quota
    from drishtiksha.kube import Kube
    from drishtiksha.resources import MediaAnalyses

    from . import metrics
    from .app import Options, build
    from .neighbours import open_neighbours
    from .tokens import Tokens

    http, auth, ml = settings.load(settings.Http), settings.load(settings.Auth), settings.load(settings.ML)
    cluster, redis = settings.load(settings.Kubernetes), settings.load(settings.Redis)
    listen = settings.load(settings.Metrics)
    options = Options(
        base_url=http.base_url,
        frontend_urls=http.frontend_urls,
        max_upload_bytes=http.max_upload_bytes,
        quota=Quota(http.quota_bytes, http.quota_media),
        ml_url=ml.url,
        ml_api_key=ml.api_key.get_secret_value() if ml.api_key else None,
        ml_channel=redis.ml_channel,
        trusted_proxies=http.trusted_proxies,
        keep_events=settings.load(settings.Retention).events,
    )
    tokens = Tokens(auth.jwt_secret.get_secret_value(), auth.jwt_lifetime)
    around = open_neighbours("api")
    async with Kube(kubeconfig.connect(), agent="drishtiksha-api") as kube:
        api = build(around, MediaAnalyses(kube, cluster.namespace), tokens, options)
        async with _side_server(metrics.build(around, api.gauges), listen.host, listen.port), api.background():
            await _run(api.asgi, http.host, http.port, _GRACE["serve"], api.waiters.close)
    await around.close()


async def _door() -> None:
    from . import metrics
    from .door.app import build
    from .neighbours import open_neighbours
    from .readiness import say_who_is_missing

    door, listen = settings.load(settings.Door), settings.load(settings.Metrics)
    around = open_neighbours("door")
    async with _side_server(metrics.build(around, None), listen.host, listen.port):
        waiting = asyncio.create_task(say_who_is_missing(around))
        await _run(build(around), door.host, door.port, _GRACE["door"], lambda: None)
        waiting.cancel()
    await around.close()


async def _run(app: ASGIApp, host: str, port: int, grace: int, dismiss: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; then dismiss who only waits, finish what is under way, and return, so that the rest
    can be closed too."""
    server = _server(app, host, port, grace)

    def stop() -> None:
        dismiss()
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await server.serve()


@contextlib.asynccontextmanager
async def _side_server(app: ASGIApp, host: str, port: int) -> AsyncIterator[None]:
    """A second server on another port for the time of the block."""
    server = _server(app, host, port, 1)
    task = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await task


def _server(app: ASGIApp, host: str, port: int, grace: int) -> uvicorn.Server:
    """A server that leaves the signals to us: uvicorn's own handling ends the process before anything is closed."""
    server = uvicorn.Server(_config(app, host, port, grace))
    setattr(server, "capture_signals", contextlib.nullcontext)  # noqa: B010 - a method is replaced on purpose
    return server


def _config(app: ASGIApp, host: str, port: int, grace: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Connection,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        ws_max_size=128 * 1024,
        timeout_graceful_shutdown=grace,
    )


if __name__ == "__main__":
    main()
