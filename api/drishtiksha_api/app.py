"""The public api put together: REST, Socket.IO around it, and the work in its background.

`build` only connects what was made elsewhere; nothing here waits for a neighbour.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.types import ASGIApp

from drishtiksha.database.counts import Counts
from drishtiksha.database.events import Events
from drishtiksha.database.frames import Frames
from drishtiksha.database.health import HealthHistory
from drishtiksha.database.idempotency import Claims
from drishtiksha.database.media import MediaStore, Quota
from drishtiksha.database.media_search import Library
from drishtiksha.database.outbox import Outbox
from drishtiksha.database.results import Results
from drishtiksha.database.users import Users
from drishtiksha.resources import MediaAnalyses

from . import envelope, sockets
from .addresses import Networks
from .cookies import Cookies
from .crossorigin import CrossOrigin
from .dispatcher import Dispatcher
from .documentation import document
from .edge import Edge
from .healthwatch import HealthWatch
from .intake.probe import Prober
from .intake.upload import Intake
from .janitor import KEPT_EVENTS, Janitor
from .lean_socketio import socketio
from .links import Links
from .metrics import GaugeCache
from .mlstatus import MLStatus
from .neighbours import Neighbours
from .passwords import Passwords
from .pollers import Pollers
from .polls import Polls
from .principal import Doorkeeper
from .readiness import say_who_is_missing
from .relay import Relay
from .routes import auth, content, docs, health, library, media, monitoring
from .routes import events as media_events
from .routes import frames as media_frames
from .sockets import Sockets
from .throttle import Throttle
from .ticks import Ticks
from .tokens import Tokens
from .waiters import Waiters

_TRIES, _TRIES_SECONDS = 10, 600
"""Passwords that may be tried for one account from one address in a moving window of so many seconds."""


@dataclass(frozen=True)
class Options:
    """The api's own settings as plain values. Sizes in bytes, the upload limit included."""

    base_url: str
    frontend_urls: list[str]
    max_upload_bytes: int
    quota: Quota
    ml_url: str | None
    ml_api_key: str | None
    ml_channel: str
    trusted_proxies: Networks = ()
    keep_events: float = KEPT_EVENTS


@dataclass(frozen=True)
class Api:
    """What `main` runs: the application for the public port, its numbers for the metrics port, its background work."""

    asgi: ASGIApp
    rest: FastAPI
    gauges: GaugeCache
    dispatcher: Dispatcher
    janitor: Janitor
    relay: Relay
    sockets: Sockets
    watch: HealthWatch
    waiters: Waiters
    _around: Neighbours
    _ml_channel: str

    @asynccontextmanager
    async def background(self) -> AsyncIterator[None]:
        """The dispatcher, the janitor, the relay and the watch run for the time of the block."""
        bus = self._around.bus
        work = (
            say_who_is_missing(self._around),
            self.dispatcher.run(),
            self.janitor.run(),
            self.relay.hear(bus, self._ml_channel),
            self.relay.look(bus),
            self.sockets.part_with_the_expired(),
            self.watch.run(),
        )
        tasks = [asyncio.create_task(one) for one in work]
        try:
            yield
        finally:
            self.relay.close()
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task


def build(around: Neighbours, resources: MediaAnalyses, tokens: Tokens, options: Options) -> Api:
    """Connect everything."""
    database = around.database
    users, store, events, counts = Users(database), MediaStore(database), Events(database), Counts(database)
    claims = Claims(database)
    links = Links(around.keys, options.base_url, around.url_lifetime)
    history = HealthHistory(database)
    ml_status = MLStatus(around.bus, options.ml_url, options.ml_api_key, history)
    doorkeeper, waiters = Doorkeeper(tokens, users), Waiters()
    dispatcher = Dispatcher(Outbox(database), store, resources, around.objects)

    rest = FastAPI(title="Drishtiksha", version="1", redirect_slashes=False, docs_url=None, redoc_url=None)
    state: dict[str, Any] = {
        "neighbours": around,
        "users": users,
        "media": store,
        "claims": claims,
        "library": Library(database),
        "frames": Frames(database),
        "events": events,
        "waiters": waiters,
        "counts": counts,
        "tokens": tokens,
        "passwords": Passwords(),
        "doorkeeper": doorkeeper,
        "cookies": Cookies(options.base_url, options.frontend_urls, tokens.lifetime.total_seconds()),
        "throttle": Throttle(around.bus, tokens.key_for("tries"), amount=_TRIES, seconds=_TRIES_SECONDS),
        "trusted_proxies": options.trusted_proxies,
        "links": links,
        "intake": Intake(around.objects, Prober(), options.max_upload_bytes),
        "quota": options.quota,
        "dispatcher": dispatcher,
        "ml_status": ml_status,
        "health_history": history,
    }
    for name, value in state.items():
        setattr(rest.state, name, value)
    for module in (
        health,
        docs,
        auth,
        content,
        monitoring,
        library,
        media_frames,
        media_events,
        media,
    ):  # content before media: its paths are the longer ones
        rest.include_router(module.router)
    envelope.install(rest)
    document(rest)

    sio = sockets.server([*options.frontend_urls, _origin(options.base_url)])
    ticks = Ticks(Results(database).owner)
    relay = Relay(events, store, links, _emitter(sio), sockets.taker(sio), ticks, waiters)
    connected = Sockets(sio, doorkeeper, relay)
    dressed: ASGIApp = Edge(CrossOrigin(rest, options.frontend_urls))
    asgi = Pollers(Polls(socketio.ASGIApp(sio, other_asgi_app=dressed), sio))
    return Api(
        asgi=asgi,
        rest=rest,
        gauges=GaugeCache(counts),
        dispatcher=dispatcher,
        janitor=Janitor(database, store, around.objects, keep_events=options.keep_events),
        relay=relay,
        sockets=connected,
        waiters=waiters,
        watch=HealthWatch(ml_status, history),
        _around=around,
        _ml_channel=options.ml_channel,
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _emitter(sio: socketio.AsyncServer) -> Any:
    async def emit(name: str, to: str, payload: dict[str, Any]) -> None:
        await sio.emit(name, payload, to=to)

    return emit
