"""One connection of a client, with an end to all waiting: uvicorn has no clock for heads, and its parser no bound.

`main` gives this protocol to all its servers. Bodies have their own clock in `pace.py`, since only their reader knows
when it waits. Clients that keep going are never cut; what is cut is said in one line of the log.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import Callable
from typing import Any, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = structlog.get_logger()

HEAD_SECONDS = 20.0
"""From a connection, or from a head's first byte, to the end of the head."""
MAX_HEAD = 32 * 1024
"""Bytes of a head, and at most one read of the socket more."""
REST_SECONDS = 30.0
"""A body that nobody wants any more, because its request has been answered, may go on so long; then we hang up."""
READ, ENOUGH = 32 * 1024, 16 * 1024
"""Bytes of one read of the socket (asyncio would take 256 KiB), and of a body that may wait before we stop reading."""
READ_MOST, READ_ALL = 96 * 1024, 2 * 1024 * 1024
"""Bytes of one read of a body while few are connected, and of one read of all of them together. Fewer reads cost less,
and above 128 KiB malloc asks the kernel for the memory of each."""
UNREAD_SECONDS, MIN_READ = 30.0, 64 * 1024
"""A client that we wait for must take so many bytes of its answer, or all there are, in each span of so many seconds."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol over httptools, which hangs up on who stalls. A WebSocket leaves it with its handshake."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._between = True  # no head is complete whose body is still to come
        self._head = 0  # bytes of the head that has begun
        self._waiting: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._parting = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._read(READ)
        self._wait(HEAD_SECONDS, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._between:
            if self._head == 0:
                self._wait(HEAD_SECONDS, self._head_is_late)
            self._head += len(data)
        super().data_received(data)
        if self._between and self._head > MAX_HEAD:
            self._refuse(431, "head is too large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._waiting is None:  # it came together with the end of the message before it
            self._head = 1
            self._wait(HEAD_SECONDS, self._head_is_late)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        self._between, self._head = False, 0
        if self._parting:
            return
        super().on_headers_complete()
        if self.cycle is not None:
            self.cycle.transport = cast(asyncio.Transport, _Gently(self))
        self._read(max(READ, min(READ_MOST, READ_ALL // max(1, len(self.connections)))))

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self._owes_an_answer() and len(self.cycle.body) > ENOUGH:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        self._read(READ)
        self._between, self._head = True, 0
        super().on_message_complete()
        if self._parting:
            self.transport.close()
        elif self._waiting is not None:  # for this rest; uvicorn has no clock running any more
            self._wait(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._between and self.cycle.response_complete and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._wait(REST_SECONDS, self._rest_is_late)

    def part(self) -> None:
        """Close after an answer. With a body still on its way the kernel would take the answer back (a reset), so we say
        that it was the last and read on for a while."""
        if self._between or not self.transport.can_write_eof():
            self.transport.close()
        elif not self._parting and not self.transport.is_closing():
            self._parting = True
            self.transport.write_eof()
            self.flow.resume_reading()
            self._wait(REST_SECONDS, self._rest_is_late)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()

    def _read(self, size: int) -> None:
        """The most bytes of one read of the socket from now on."""
        setattr(self.transport, "max_size", size)  # noqa: B010 - asyncio has no other way to say it

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(seconds, then)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _head_is_late(self) -> None:
        if self._owes_an_answer():  # and may have stopped reading because of it
            self._wait(HEAD_SECONDS, self._head_is_late)
        elif self._head == 0:
            self._hang_up("nothing was asked in time")
        else:
            self._refuse(408, "head came too slowly")

    def _rest_is_late(self) -> None:
        self._hang_up("a body went on long after its answer")

    def _watch(self) -> None:
        self._stop_watching()
        waiting = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self._look_what_was_read, waiting)

    def _stop_watching(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _look_what_was_read(self, before: int) -> None:
        if before - self.transport.get_write_buffer_size() < MIN_READ:
            self._tell("an answer was not read")
            self.transport.abort()
        else:
            self._watch()

    def _owes_an_answer(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _hang_up(self, why: str) -> None:
        self._tell(why)
        self._stop_waiting()
        self.transport.close()

    def _tell(self, why: str) -> None:
        log.info(f"hung up: {why}", client="{}:{}".format(*self.client) if self.client else "")

    def _refuse(self, status: int, why: str) -> None:
        """Answer in the transport's place, as uvicorn does for a head that cannot be parsed, and hang up."""
        if self.transport.is_closing():
            return
        if self._owes_an_answer():
            self._hang_up(f"the {why}")
            return
        phrase = http.HTTPStatus(status).phrase
        text = f"The request's {why}.".encode()
        head = f"HTTP/1.1 {status} {phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
        self.transport.write(f"{head}content-length: {len(text)}\r\nconnection: close\r\n\r\n".encode() + text)
        self._hang_up(f"the {why}")


class _Gently:
    """What an exchange of uvicorn's asks of a transport; its end goes through `Connection.part`."""

    def __init__(self, connection: Connection) -> None:
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing
        self.close = connection.part
