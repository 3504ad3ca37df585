"""Socket.IO: who may connect, and from where on she is told. What is told is the relay's business."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from typing import Any

import structlog

from drishtiksha.domain.errors import DrishtikshaError

from .lean_socketio import NOOP, Packet, socketio
from .principal import Doorkeeper, Principal
from .problems import Problem
from .relay import Relay, Taken

log = structlog.get_logger()

PATH = "/socket.io/"
MAX_MESSAGE = 64 * 1024
"""Bytes of one request of a polling client, or one message of a WebSocket."""
STRANGER_SECONDS = 30.0
"""A connection that nobody is recognised on, by then and whenever we look again, is closed."""
MAX_SOCKETS = 20
"""Sockets of one user on one replica."""
LOOK_SECONDS = 2.0
"""Between two looks at the tokens of the open sockets: a dead one's is closed within five seconds."""
_NO_TOKEN = "Authentication error: No token provided."  # noqa: S105 - a sentence that clients compare
_BAD_TOKEN = "Authentication error: Invalid token."  # noqa: S105


def server(origins: list[str]) -> socketio.AsyncServer:
    """The Socket.IO server for browsers of these origins. Client messages are ignored, and small."""
    made = socketio.AsyncServer(
        async_mode="asgi",
        cors_allowed_origins=origins,
        max_http_buffer_size=MAX_MESSAGE,
        ping_interval=25,
        ping_timeout=20,
        logger=False,
        engineio_logger=False,
    )
    _let_go_of_pollers(made)
    _part_with_strangers(made)
    return made


def _let_go_of_pollers(sio: socketio.AsyncServer) -> None:
    """Answer the waiting request of a polling client that says goodbye; it would hold its process for 45 s."""
    closed = sio.eio.handlers["disconnect"]

    async def goodbye(sid: str, reason: str) -> None:
        with suppress(KeyError):  # already gone
            if sio.eio.transport(sid) == "polling":
                await sio.eio.send_packet(sid, Packet(NOOP))
        await closed(sid, reason)

    sio.eio.on("disconnect", goodbye)


def taker(sio: socketio.AsyncServer) -> Taken:
    """Waits until a socket has taken what was emitted to it: the server's own queues have no end."""

    async def taken(sid: str) -> None:
        waiting = sio.eio.sockets.get(sio.manager.eio_sid_from_sid(sid, "/"))
        if waiting is not None:
            await waiting.queue.join()

    return taken


def _part_with_strangers(sio: socketio.AsyncServer) -> None:
    """Close what only keeps a connection: Socket.IO would answer its pings for ever, recognised or refused."""
    opened, parting = sio.eio.handlers["connect"], set()

    async def greet(eio_sid: str, environ: dict[str, Any]) -> Any:
        asyncio.get_running_loop().call_later(STRANGER_SECONDS, look, eio_sid)
        return await opened(eio_sid, environ)

    def look(eio_sid: str) -> None:
        if eio_sid not in sio.eio.sockets:
            return
        if sio.manager.sid_from_eio_sid(eio_sid, "/") is None:
            task = asyncio.create_task(sio.eio.disconnect(eio_sid))
            parting.add(task)
            task.add_done_callback(parting.discard)
        else:
            asyncio.get_running_loop().call_later(STRANGER_SECONDS, look, eio_sid)

    sio.eio.on("connect", greet)


class Sockets:
    """The handshake, and the end of a connection whose token has died."""

    def __init__(self, sio: socketio.AsyncServer, doorkeeper: Doorkeeper, relay: Relay) -> None:
        self._sio = sio
        self._doorkeeper = doorkeeper
        self._relay = relay
        self._callers: dict[str, Principal] = {}
        self._welcomes: set[asyncio.Task[None]] = set()
        sio.on("connect", self._connect)
        sio.on("disconnect", self._disconnect)

    async def _connect(self, sid: str, _environ: dict[str, Any], auth: Any = None) -> None:
        said = auth if isinstance(auth, dict) else {}
        token = said.get("token")
        if not isinstance(token, str) or not token.strip():
            raise socketio.exceptions.ConnectionRefusedError(_NO_TOKEN)
        try:
            caller = await self._doorkeeper.recognise(token.strip().removeprefix("Bearer "))
        except Problem:
            raise socketio.exceptions.ConnectionRefusedError(_BAD_TOKEN) from None
        except DrishtikshaError:
            raise socketio.exceptions.ConnectionRefusedError("The service is temporarily unavailable.") from None
        if sum(one.user_id == caller.user_id for one in self._callers.values()) >= MAX_SOCKETS:
            raise socketio.exceptions.ConnectionRefusedError("Too many connections.")
        self._callers[sid] = caller
        # The client learns that it is connected after this handler returned; only then may anything be told.
        welcome = asyncio.create_task(self._welcome(sid, caller.user_id, _seq(said.get("lastSeq"))))
        self._welcomes.add(welcome)
        welcome.add_done_callback(self._welcomes.discard)

    async def _welcome(self, sid: str, user_id: uuid.UUID, last_seq: int | None) -> None:
        await asyncio.sleep(0)
        try:
            await self._relay.add(user_id, sid, last_seq)
        except DrishtikshaError:
            await self._sio.disconnect(sid)  # the client comes again, with its lastSeq
            return
        if sid not in self._callers:  # it left meanwhile
            self._relay.remove(user_id, sid)
            return
        await self._sio.enter_room(sid, str(user_id))

    async def _disconnect(self, sid: str, *_reason: Any) -> None:
        caller = self._callers.pop(sid, None)
        if caller is not None:
            self._relay.remove(caller.user_id, sid)

    async def part_with_the_expired(self) -> None:
        """Close every socket whose token has died, soon after it did, until cancelled.

        Postgres says which tokens live; while it is away only those end whose time has passed.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                for sid, code in (await self._expired()).items():
                    log.info("a token died; its socket is closed", code=code)
                    await self._sio.emit("auth_expired", {"code": code}, to=sid)
                    await self._sio.disconnect(sid)
            except Exception:
                log.exception("a socket of a dead token could not be closed; the next look tries again")

    async def _expired(self) -> dict[str, str]:
        """The sockets of dead tokens, each with why."""
        callers, now = dict(self._callers), time.time()
        dead = {sid: "TOKEN_EXPIRED" for sid, caller in callers.items() if caller.expires <= now}
        try:
            alive = await self._doorkeeper.alive({caller.session_id for caller in callers.values()})
        except DrishtikshaError:
            return dead
        revoked = {sid: "TOKEN_INVALID" for sid, caller in callers.items() if caller.session_id not in alive}
        return revoked | dead


def _seq(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isdigit() and len(value) < 19:
        value = int(value)
    return value if isinstance(value, int) and 0 <= value < 2**63 else None
