"""Watches: what has changed since a version, as a stream of lines; and what may befall an event on its way.

`server` opens one per request. An object that comes into the selection is ADDED, one that leaves it DELETED, as the API tells it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from .faults import Fault, Schedule
from .kinds import Kind, Object, Refusal
from .selectors import Match
from .store import Change, Store

INITIAL_END = "k8s.io/initial-events-end"

Send = Callable[[bytes], Awaitable[None]]


@dataclass
class Asked:
    """What a client wants to follow. `since` None: what is there comes first, as ADDED."""

    kind: Kind
    namespace: str
    selected: Match
    since: int | None
    initial_end: bool
    """A bookmark says where the initial objects end."""
    seconds: float


@dataclass
class Watch:
    """One stream. `bookmark_every`: seconds of silence after which a bookmark tells the version."""

    store: Store
    asked: Asked
    weather: Callable[[], Schedule]
    bookmark_every: float = 60.0
    _waiting: asyncio.Queue[Change] = field(default_factory=asyncio.Queue)
    _held: bytes | None = None
    """An event that is told after the next one."""
    _deaf: Schedule | None = None

    async def run(self, send: Send, sever: Callable[[], None]) -> None:
        """Stream until the time is over, the client goes, or a fault ends it."""
        self.store.followers.append(self._waiting.put_nowait)
        try:
            async with asyncio.timeout(self.asked.seconds):
                if await self._begin(send):
                    await self._follow(send, sever)
        except TimeoutError:
            pass
        finally:
            self.store.followers.remove(self._waiting.put_nowait)

    async def _begin(self, send: Send) -> bool:
        asked = self.asked
        if asked.since is None:
            revision = self.store.revision
            for body in self.store.all(asked.kind, asked.namespace, asked.selected):
                await send(_line("ADDED", body))
            if asked.initial_end:
                await send(_line("BOOKMARK", self._bookmark(revision, {INITIAL_END: "true"})))
            return True
        try:
            missed = self.store.since(asked.since)
        except Refusal as refusal:
            await send(_line("ERROR", refusal.to_object()))
            return False
        for change in missed:  # nothing can have come in between: nobody was awaited
            self._waiting.put_nowait(change)
        return True

    async def _follow(self, send: Send, sever: Callable[[], None]) -> None:
        while True:
            try:
                async with asyncio.timeout(0.3 if self._held else self.bookmark_every):
                    change = await self._waiting.get()
            except TimeoutError:
                if self._held is not None:
                    await self._flush(send)
                elif self._hears():
                    await send(_line("BOOKMARK", self._bookmark(self.store.revision, {})))
                continue
            event = self._event(change)
            if event is None or not self._hears():
                continue
            if not await self._deliver(change, event, send, sever):
                return

    async def _deliver(self, change: Change, event: bytes, send: Send, sever: Callable[[], None]) -> bool:
        """Tell one event, or whatever befalls it; False when the stream is over."""
        weather = self.weather()
        fault = weather.at_event(self.asked.kind.plural)
        kind = fault.kind if fault is not None else ""
        if kind == "deaf":
            self._deaf = weather
        elif kind == "reorder" and self._held is None:
            self._held = event
        elif kind in ("end", "sever", "gone"):
            if kind == "sever":
                sever()
            elif kind == "gone":
                await send(_line("ERROR", Refusal(410, "Expired", "too old resource version").to_object()))
            return False
        elif kind != "drop":
            await self._tell(change, event, fault, send)
        return True

    async def _tell(self, change: Change, event: bytes, fault: Fault | None, send: Send) -> None:
        if fault is not None and fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        await send(event)
        await self._flush(send)
        if fault is not None and fault.kind == "repeat":
            await send(event)
        if fault is not None and fault.kind == "again" and change.old is not None:
            await send(_line("MODIFIED", change.old))

    async def _flush(self, send: Send) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            await send(held)

    def _hears(self) -> bool:
        return self._deaf is None or self._deaf.cleared

    def _event(self, change: Change) -> bytes | None:
        asked = self.asked
        if (change.kind, change.namespace) != (asked.kind, asked.namespace):
            return None
        before = change.old is not None and asked.selected(change.old)
        now = change.new is not None and asked.selected(change.new)
        if now and change.new is not None:
            return _line("MODIFIED" if before else "ADDED", change.new)
        if before and change.old is not None:
            last = change.old
            return _line("DELETED", {**last, "metadata": {**last["metadata"], "resourceVersion": str(change.revision)}})
        return None

    def _bookmark(self, revision: int, annotations: dict[str, str]) -> Object:
        metadata: Object = {"resourceVersion": str(revision)}
        if annotations:
            metadata["annotations"] = annotations
        return {"kind": self.asked.kind.name, "apiVersion": self.asked.kind.api_version, "metadata": metadata}


def _line(type: str, body: Object) -> bytes:
    return json.dumps({"type": type, "object": body}, separators=(",", ":")).encode() + b"\n"
