"""Readers of what passes a `FaultProxy`: one knows PostgreSQL's messages, one waits for a few bytes of a request.

Both can do what no cable can: let the server carry a request out, and lose its reply.
"""

from __future__ import annotations

import struct
import threading
from collections import Counter, deque
from collections.abc import Callable
from enum import Enum

_SSL, _GSS, _CANCEL = 80877103, 80877104, 80877102
"""Codes of the requests that may stand in the place of a StartupMessage (PostgreSQL, "Message Formats")."""


class Fault(Enum):
    """What happens to one statement and its connection."""

    BEFORE = "cut before the server has it"
    WITHIN = "cut in the middle of it"
    REPLY_LOST = "executed, and its reply dropped"
    REPLY_CUT = "executed, and cut before the end of its reply"


Plan = Callable[[str], Fault | None]
"""Asked for each statement, by its text, before the server gets it."""


class Statements:
    """What passed all connections of one proxy, counted; its `wire` is the proxy's. `plan` may be exchanged at any time."""

    def __init__(self, plan: Plan = lambda _: None) -> None:
        self.plan = plan
        self.ambiguous = 0
        """COMMITs that the server carried out and whose client was never told."""
        self.faults: Counter[Fault] = Counter()
        self.said: deque[str] = deque(maxlen=1000)
        """The newest statements."""
        self.lock = threading.Lock()

    def wire(self) -> PostgresWire:
        """The reader of one new connection."""
        return PostgresWire(self)


class PostgresWire:
    """One connection of a client that speaks protocol 3 without TLS.

    A unit is what the server answers with one ReadyForQuery: a simple query, or extended messages up to Sync.
    """

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._from_client, self._from_server = bytearray(), bytearray()
        self._started = False
        self._bare_replies = 0
        """One-byte answers to requests for encryption that are still to come."""
        self._held = bytearray()
        """The beginning of a unit that is not complete."""
        self._parsed: dict[bytes, str] = {}
        self._portals: dict[bytes, str] = {}
        self._text = ""
        self._units: deque[Fault | None] = deque([None])
        """Units that the server has not answered; the first is the start of the connection."""

    def client_said(self, data: bytes) -> tuple[bytes, bool]:
        self._from_client += data
        on = bytearray()
        while (message := self._next_of_client()) is not None:
            kind, raw = message
            if kind == b"":
                on += raw
                continue
            self._held += raw
            self._note(kind, raw)
            if kind in (b"Q", b"S", b"F"):
                fault = self._decide()
                if fault is Fault.BEFORE:
                    return bytes(on), True
                if fault is Fault.WITHIN:
                    return bytes(on + self._held[: len(self._held) // 2]), True
                self._units.append(fault)
                self._text = ""
            if kind not in (b"P", b"B", b"D", b"E", b"C"):
                on += self._held
                self._held.clear()
        return bytes(on), False

    def server_said(self, data: bytes) -> tuple[bytes, bool]:
        on = bytearray()
        while self._bare_replies and data:
            on += data[:1]
            data, self._bare_replies = data[1:], self._bare_replies - 1
        self._from_server += data
        while (raw := _message(self._from_server)) is not None:
            fault = self._units[0] if self._units else None
            if fault is not None and raw[:1] == b"C" and raw[5:] == b"COMMIT\0":  # no ROLLBACK instead of it
                with self._statements.lock:
                    self._statements.ambiguous += 1
            if fault is None or (fault is Fault.REPLY_CUT and raw[:1] != b"Z"):
                on += raw
            if raw[:1] == b"Z" and self._units:
                self._units.popleft()
                if fault is not None:
                    return bytes(on), True
        return bytes(on), False

    def _decide(self) -> Fault | None:
        with self._statements.lock:
            fault = self._statements.plan(self._text)
            if fault is not None:
                self._statements.faults[fault] += 1
        return fault

    def _note(self, kind: bytes, raw: bytes) -> None:
        """Keep the text of the statement that a message is about."""
        body = raw[5:]
        if kind == b"Q":
            self._text = _plain(body.partition(b"\0")[0])
            self._statements.said.append(self._text)
        elif kind == b"P":
            name, _, rest = body.partition(b"\0")
            self._parsed[name] = _plain(rest.partition(b"\0")[0])
        elif kind == b"B":
            portal, _, rest = body.partition(b"\0")
            self._portals[portal] = self._parsed.get(rest.partition(b"\0")[0], "")
        elif kind == b"E":
            text = self._portals.get(body.partition(b"\0")[0], "")
            self._text = self._text if self._text == "COMMIT" else text
            self._statements.said.append(text)

    def _next_of_client(self) -> tuple[bytes, bytes] | None:
        if self._started:
            raw = _message(self._from_client)
            return None if raw is None else (raw[:1], raw)
        if len(self._from_client) < 8:
            return None
        size, code = struct.unpack("!II", self._from_client[:8])
        if len(self._from_client) < size:
            return None
        raw = bytes(self._from_client[:size])
        del self._from_client[:size]
        if code in (_SSL, _GSS):
            self._bare_replies += 1
        else:
            self._started = code != _CANCEL
        return b"", raw


class ReplyLost:
    """The reply to a request that holds `words` never arrives: the server has executed it, and both are cut off.

    `times` such replies are lost, over all connections of the proxy whose `wire` this is.
    """

    def __init__(self, words: bytes, times: int = 1) -> None:
        self.words, self.times = words, times
        self.lost = 0

    def wire(self) -> _OneReply:
        """The reader of one new connection."""
        return _OneReply(self)


class _OneReply:
    def __init__(self, wanted: ReplyLost) -> None:
        self._wanted = wanted
        self._tail = b""
        self._armed = False

    def client_said(self, data: bytes) -> tuple[bytes, bool]:
        seen = self._tail + data
        if self._wanted.lost < self._wanted.times and self._wanted.words in seen:
            self._armed = True
            seen = b""
        self._tail = seen[-len(self._wanted.words) :]
        return data, False

    def server_said(self, data: bytes) -> tuple[bytes, bool]:
        if not self._armed:
            return data, False
        self._armed = False
        self._wanted.lost += 1
        return b"", True


def _message(buffer: bytearray) -> bytes | None:
    """Take the first complete message: a letter, its length, its body."""
    if len(buffer) < 5:
        return None
    size = 1 + struct.unpack("!I", buffer[1:5])[0]
    if len(buffer) < size:
        return None
    raw = bytes(buffer[:size])
    del buffer[:size]
    return raw


def _plain(text: bytes) -> str:
    """A statement on one line; all ways to say COMMIT are one."""
    said = " ".join(text.decode("utf-8", "replace").split()).rstrip(";")
    return (
        "COMMIT" if said.upper() in ("COMMIT", "END", "COMMIT WORK", "COMMIT TRANSACTION", "END TRANSACTION") else said
    )
