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
from drishtiksha.database.media import MediaStore, Quota
from drishtiksha.database.media_search import Library
from drishtiksha.database.outbox import Outbox
from drishtiksha.database.results import Results
from drishtiksha.database.users import Users
from drishtiksha.resources import MediaAnalyses

from . import envelope, sockets
from .crossorigin import CrossOrigin
from .dispatcher import Dispatcher
from .documentation import document
from .edge import Edge
from .intake.probe import Prober
from .intake.upload import Intake
from .janitor import Janitor
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
from .ticks import Ticks
from .tokens import Tokens
from .waiters import Waiters


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


@dataclass(frozen=True)
class Api:
    """What `main` runs: the application for the public port, its numbers for the metrics port, its background work."""

    asgi: ASGIApp
    rest: FastAPI
    gauges: GaugeCache
    dispatcher: Dispatcher
    janitor: Janitor
    relay: Relay
    waiters: Waiters
    _around: Neighbours
    _ml_channel: str

    @asynccontextmanager
    async def background(self) -> AsyncIterator[None]:
        """The dispatcher, the janitor and the relay run for the time of the block."""
        bus = self._around.bus
        work = (
            say_who_is_missing(self._around),
            self.dispatcher.run(),
            self.janitor.run(),
            self.relay.hear(bus, self._ml_channel),
            self.relay.look(bus),
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
    links = Links(around.keys, options.base_url, around.url_lifetime)
    doorkeeper, waiters = Doorkeeper(tokens, users), Waiters()
    dispatcher = Dispatcher(Outbox(database), store, resources, around.objects)

    rest = FastAPI(title="Drishtiksha", version="1", redirect_slashes=False, docs_url=None, redoc_url=None)
    state: dict[str, Any] = {
        "neighbours": around,
        "users": users,
        "media": store,
        "library": Library(database),
        "frames": Frames(database),
        "events": events,
        "waiters": waiters,
        "counts": counts,
        "tokens": tokens,
        "passwords": Passwords(),
        "doorkeeper": doorkeeper,
        "links": links,
        "intake": Intake(around.objects, Prober(), options.max_upload_bytes),
        "quota": options.quota,
        "dispatcher": dispatcher,
        "ml_status": MLStatus(around.bus, options.ml_url, options.ml_api_key),
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
    sockets.Sockets(sio, doorkeeper, relay)
    dressed: ASGIApp = Edge(CrossOrigin(rest, options.frontend_urls))
    asgi = Pollers(Polls(socketio.ASGIApp(sio, other_asgi_app=dressed), sio))
    janitor = Janitor(database, store, around.objects)
    return Api(asgi, rest, GaugeCache(counts), dispatcher, janitor, relay, waiters, around, options.ml_channel)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _emitter(sio: socketio.AsyncServer) -> Any:
    async def emit(name: str, to: str, payload: dict[str, Any]) -> None:
        await sio.emit(name, payload, to=to)

    return emit
