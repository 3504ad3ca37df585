"""The people of a soak: their accounts, their listeners, and what the platform has promised them.

`hands` acts for them and writes the promises down, `judge` asks whether they were kept.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
import socketio
from world import Person

ANSWER_SECONDS = 20.0
"""How long a person waits for an answer."""


@dataclass
class Promise:
    """One accepted media. Times as in `weather`."""

    media_id: str
    person: Customer
    filename: str
    accepted: float
    runs: int = 1
    """Runs that were answered with 202."""
    perhaps: int = 0
    """Reruns whose answer was lost."""
    cancels: int = 0
    """Cancellations that were answered with 202."""
    asked: list[float] = field(default_factory=list)
    """When somebody asked for a cancellation, in whatever way and with whatever answer."""
    deleted: Literal["no", "perhaps", "yes"] = "no"


class Ear:
    """A Socket.IO client that comes back with the last number it has heard, whatever happens to the connection."""

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url, self._token = base_url, token
        self.heard: list[dict[str, Any]] = []
        self.connections = 0
        self._client: socketio.Client | None = None

    @property
    def last(self) -> int:
        return int(self.heard[-1]["seq"]) if self.heard else 0

    def listen(self) -> bool:
        """Be connected, if that is possible now."""
        if self._client is not None and self._client.connected:
            return True
        self.hang_up()
        client = socketio.Client(reconnection=False, request_timeout=5)
        client.on("progress_update", self._hear)
        try:
            auth = {"token": self._token, "lastSeq": self.last}
            client.connect(self._base_url, auth=auth, wait_timeout=5, transports=["websocket"])
        except (socketio.exceptions.ConnectionError, OSError, ValueError):
            with contextlib.suppress(socketio.exceptions.SocketIOError, OSError):
                client.disconnect()
            return False
        self._client = client
        self.connections += 1
        return True

    def hang_up(self) -> None:
        if self._client is not None:
            with contextlib.suppress(socketio.exceptions.SocketIOError, OSError):
                self._client.disconnect()
            self._client = None

    def _hear(self, payload: dict[str, Any]) -> None:
        if payload.get("seq") is not None:
            self.heard.append(payload)


class Customer(Person):
    """An account. Answers are given back as they come; None when none came."""

    def __init__(self, base_url: str, number: int) -> None:
        self.base_url, self.number = base_url, number
        self.email = f"soak-{number}-{uuid.uuid4().hex[:10]}@example.org"
        self.http = httpx.Client(base_url=base_url + "/api/v1", timeout=ANSWER_SECONDS)
        self.token, self.id = "", ""
        self.ears: list[Ear] = []
        self.listening: set[int] = set()
        """Which ears are to be connected."""

    def sign_up(self) -> httpx.Response | None:
        new = {"email": self.email, "password": "correct horse", "firstName": "S", "lastName": str(self.number)}
        answer = self.ask("POST", "/auth/signup", json=new)
        if answer is not None and answer.status_code == 201:
            told = answer.json()["data"]
            self.token, self.id = told["token"], told["user"]["id"]
            self.http.headers["Authorization"] = f"Bearer {self.token}"
        return answer

    def ask(self, method: str, path: str, **words: Any) -> httpx.Response | None:
        try:
            return self.http.request(method, path, **words)
        except httpx.TransportError:
            return None

    def keep_listening(self) -> None:
        for number in self.listening:
            self.ears[number].listen()

    def close(self) -> None:
        for ear in self.ears:
            ear.hang_up()
        super().close()


@dataclass
class Company:
    """All of them, and all that was promised."""

    people: list[Customer] = field(default_factory=list)
    uploads: list[Promise | None] = field(default_factory=list)
    """By the number of the upload in the plan; None: it was not accepted."""
    unsure: dict[str, tuple[Customer, float]] = field(default_factory=dict)
    """Uploads whose answer was lost or no 202, by file name: nothing is there of them, or one media."""

    @property
    def promises(self) -> list[Promise]:
        return [promise for promise in self.uploads if promise is not None]

    def shift(self, seconds: float) -> None:
        """The rows were aged: so are our notes."""
        for promise in self.promises:
            promise.accepted -= seconds
            promise.asked = [at - seconds for at in promise.asked]
        self.unsure = {name: (person, at - seconds) for name, (person, at) in self.unsure.items()}

    def adopt(self, person: Customer, media_id: str, filename: str, accepted: float) -> None:
        """An upload without an answer has become a media: from now on it is a promise like any other."""
        self.uploads.append(Promise(media_id, person, filename, accepted))
        del self.unsure[filename]

    def close(self) -> None:
        for person in self.people:
            person.close()


def now() -> float:
    """Seconds of the machine's clock."""
    return time.time()
