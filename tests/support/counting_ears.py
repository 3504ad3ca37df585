"""Socket.IO clients that lose their connection again and again, and count to the last event what they were told.

Each comes back with the number of the last event it knows, as the clients of our documentation do.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import socketio
from socketio.exceptions import SocketIOError

PATIENCE = 10.0
"""Seconds for one connection to be made."""


@dataclass
class Owner:
    """A user: her token, her media, and the number of the last event that was written for her."""

    id: uuid.UUID
    token: str
    media: set[str] = field(default_factory=set)
    last_seq: int = 0


@dataclass
class Ear:
    """One client of an owner. `heard`: the last number; None before the first, where no `lastSeq` is sent."""

    url: str
    owner: Owner
    transport: str
    seed: int
    heard: int | None = 0
    delivered: int = 0
    ticks: int = 0
    connections: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    """missing, doubled or out of order, foreign: how often."""
    _task: asyncio.Task[None] | None = None
    _client: socketio.AsyncClient | None = None

    def start(self) -> None:
        """Listen, and come back after every end, until `stop`."""
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def leave(self) -> None:
        """Say goodbye by itself; it comes back."""
        if self._client is not None:
            await self._client.disconnect()

    @property
    def complete(self) -> bool:
        return self.heard == self.owner.last_seq

    async def _listen(self) -> None:
        pause = random.Random(self.seed)
        while True:
            client = self._client = socketio.AsyncClient(reconnection=False)
            ended = asyncio.Event()
            client.on("*", lambda name, said, client=client: self._hear(name, said) if client is self._client else None)
            client.on("disconnect", lambda *_: ended.set())  # noqa: B023
            said: dict[str, Any] = {"token": self.owner.token}
            if self.heard is not None:
                said["lastSeq"] = self.heard
            try:
                await client.connect(self.url, auth=said, transports=[self.transport], wait_timeout=PATIENCE)
                self.connections += 1
                await self._until_it_ends(client, ended)
            except (SocketIOError, aiohttp.ClientError, OSError, ValueError):
                await asyncio.sleep(pause.uniform(0.05, 0.3))
            finally:
                with contextlib.suppress(SocketIOError, aiohttp.ClientError, OSError, TimeoutError):
                    async with asyncio.timeout(PATIENCE):
                        await client.shutdown()

    async def _until_it_ends(self, client: socketio.AsyncClient, ended: asyncio.Event) -> None:
        """Either it says so, or its reader is dead: half an answer to a poll kills it without a word."""
        waiting = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait([waiting, client.eio.read_loop_task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    def _hear(self, name: str, payload: dict[str, Any]) -> None:
        if name == "events_gap":
            self.wrong["missing and told so"] += 1
            return
        of_others = payload.get("userId", str(self.owner.id)) != str(self.owner.id)
        if of_others or payload.get("mediaId", payload.get("id")) not in self.owner.media:
            self.wrong["foreign"] += 1
        if "seq" not in payload:
            self.ticks += 1
            return
        seq = payload["seq"]
        if self.heard is not None and seq > self.heard + 1:
            self.wrong[f"missing over {self.transport}"] += seq - self.heard - 1
        if self.heard is not None and seq <= self.heard:
            self.wrong[f"doubled or out of order over {self.transport}"] += 1
        self.delivered += 1
        self.heard = seq
