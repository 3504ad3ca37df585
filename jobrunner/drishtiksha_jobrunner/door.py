"""The internal door's client: one method per route of the runner protocol (docs/runner-protocol.md).

It repeats what may be repeated until the attempt's clock has run down, and turns the door's words into ours:
409 is `Fenced`, another 4xx `DoorRefused`, no time left `DeadlinePassed`. `run` tells the story with it.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import logging
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import httpx

from drishtiksha.domain.errors import EXIT_CODES, ErrorClass, Fenced

from .faults import DeadlinePassed, DoorRefused, Fault
from .timing import Clock, Timing, pause, retry_after

log = logging.getLogger("drishtiksha.jobrunner.door")

_ATTEMPT = "/internal/v1/attempt"
_DOWNLOADS = 3
"""So often the bytes may arrive complete and yet be others than were promised."""
_AGAIN = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Assignment:
    """What this attempt has to examine. `size` in bytes."""

    attempt_id: str
    number: int
    model: str
    model_version: str
    media_id: str
    user_id: str
    media_type: str
    mimetype: str
    size: int
    sha256: str
    seconds_left: float


@dataclass(frozen=True)
class Artifact:
    """A file that goes with the result."""

    name: str
    kind: str
    mimetype: str
    content: bytes


class Door:
    """Speaks for one attempt. The client carries the door's address and the attempt's token."""

    def __init__(self, client: httpx.AsyncClient, timing: Timing) -> None:
        self._client = client
        self._timing = timing
        self._timeout = httpx.Timeout(timing.door_read, connect=timing.connect)
        self.clock = Clock(timing.before_assignment)
        self._patience: Clock | None = None
        """Runs while the door cannot store artifacts."""

    async def assignment(self) -> Assignment:
        """Ask what to do. The first call starts the attempt; the clock runs from here."""
        answer = await self._json("GET", _ATTEMPT)
        try:
            media, analysis = answer["media"], answer["analysis"]
            told = Assignment(
                attempt_id=str(answer["attempt"]["id"]),
                number=int(answer["attempt"]["number"]),
                model=str(analysis["model"]),
                model_version=str(analysis["modelVersion"]),
                media_id=str(media["id"]),
                user_id=str(media["userId"]),
                media_type=str(media["type"]),
                mimetype=str(media["mimetype"]),
                size=int(media["size"]),
                sha256=str(media["sha256"]),
                seconds_left=float(answer["secondsLeft"]),
            )
        except (KeyError, TypeError, ValueError):
            raise Fault(ErrorClass.INTERNAL, "The door's assignment is not what the protocol says.") from None
        self.clock = Clock(told.seconds_left)
        return told

    async def media(self, told: Assignment, path: Path) -> None:
        """Stream the original bytes into `path`, resuming where a connection was cut; size and sha256 are compared.

        Raises Fault INTERNAL when they differ after three complete downloads, or the disk is full.
        """
        for _ in range(_DOWNLOADS):
            try:
                if await self._download(told, path):
                    return
            except OSError as error:
                raise Fault(
                    ErrorClass.INTERNAL, f"The media could not be written to scratch ({error.strerror})."
                ) from None
            log.warning("the downloaded bytes are not the promised ones, fetching them again")
        raise Fault(
            ErrorClass.INTERNAL,
            f"The media's bytes differ from their recorded size or sha256 ({_DOWNLOADS} downloads).",
        )

    async def progress(self, event: str | None, message: str = "", data: dict[str, object] | None = None) -> None:
        """Pass progress on, or with no event just say that we live. Never fails the attempt, unless it is fenced."""
        content = b"" if event is None else _dump({"event": event, "message": message, "data": data or {}})
        try:
            async with asyncio.timeout(self._timing.heartbeat_timeout):
                response = await self._client.post(
                    f"{_ATTEMPT}/progress", content=content, headers=_JSON if content else {}, timeout=self._timeout
                )
        except (httpx.TransportError, TimeoutError) as error:
            log.info("the door did not take a heartbeat", extra={"error": type(error).__name__})
            return
        if response.status_code == 409:
            raise Fenced("This attempt may no longer write.")
        if response.is_error:
            log.info("the door did not take progress", extra={"status": response.status_code})

    async def artifact(self, artifact: Artifact) -> None:
        """Hand in one file before the result that lists it. A door that cannot store it for long refuses it, too."""
        await self._call(
            "PUT",
            f"{_ATTEMPT}/artifacts/{artifact.name}",
            artifact.content,
            {
                "Content-Type": artifact.mimetype,
                "X-Kind": artifact.kind,
                "X-Content-SHA256": hashlib.sha256(artifact.content).hexdigest(),
            },
            needed=False,
        )
        self._patience = None

    async def result(self, body: bytes) -> bool:
        """Hand in the result's JSON. False: this attempt already had one, which is as good (a lost answer, a twin)."""
        packed = gzip.compress(body, 5, mtime=0)
        answer = await self._json("PUT", f"{_ATTEMPT}/result", packed, _JSON | {"Content-Encoding": "gzip"})
        return answer.get("accepted") is True

    async def failure(self, fault: Fault) -> int:
        """Hand in why the attempt failed; the exit code of its class comes back."""
        body: dict[str, object] = {"class": fault.error_class.value, "message": fault.message}
        if fault.server_response:
            body["serverResponse"] = fault.server_response
        await self._call("PUT", f"{_ATTEMPT}/failure", _dump(body), _JSON)
        return EXIT_CODES[fault.error_class]

    async def _json(self, method: str, path: str, content: bytes = b"", headers: dict[str, str] | None = None) -> dict:
        response = await self._call(method, path, content, headers)
        try:
            answer = json.loads(response.content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Fault(ErrorClass.INTERNAL, "The door answered something that is no JSON object.")
        return answer

    async def _call(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        needed: bool = True,
    ) -> httpx.Response:
        """One request, repeated through 5xx, 429 and broken connections until the clock has run down.

        Not `needed`: through 5xx only while there is patience; then it counts as refused.
        """
        tries = 0
        while True:
            try:
                async with asyncio.timeout(self.clock.left()):
                    response = await self._client.request(
                        method, path, content=content or None, headers=headers, timeout=self._timeout
                    )
            except httpx.TransportError as error:
                await self._wait(tries, None, type(error).__name__)
            except TimeoutError:
                raise DeadlinePassed from None
            else:
                if response.is_success:
                    return response
                if response.status_code >= 500 and not needed and not self._is_patient():
                    raise DoorRefused(response.status_code, response.text[:2000])
                await self._refused(response, response.text, tries)
            tries += 1

    def _is_patient(self) -> bool:
        if self._patience is None:
            self._patience = Clock(min(self._timing.artifact_patience, self.clock.left() / 2))
        return self._patience.left() > 0

    async def _download(self, told: Assignment, path: Path) -> bool:
        """One complete set of bytes in `path`, over as many connections as it takes. False: not the promised ones."""
        digest, have, tries = hashlib.sha256(), 0, 0
        with path.open("wb", buffering=0) as file:
            while True:
                headers = {"Accept-Encoding": "identity"}
                if have:
                    headers["Range"] = f"bytes={have}-"
                before = have
                try:
                    async with self._client.stream(
                        "GET", f"{_ATTEMPT}/media", headers=headers, timeout=self._timeout
                    ) as response:
                        if response.status_code == 416:
                            return False
                        if not response.is_success:
                            await response.aread()
                            await self._refused(response, response.text, tries)
                            tries += 1
                            continue
                        # A door that does not know ranges, or sends another one, starts from the beginning.
                        if have and not _continues(response, have):
                            if response.status_code == 206:
                                return False
                            digest, have, before = hashlib.sha256(), 0, 0
                            file.seek(0)
                            file.truncate()
                        async for chunk in response.aiter_raw():
                            have += len(chunk)
                            if have > told.size:
                                return False
                            digest.update(chunk)
                            _write(file, chunk)
                    break
                except httpx.TransportError as error:
                    # As long as bytes come, the door is well: begin counting anew.
                    tries = 0 if have > before else tries + 1
                    await self._wait(tries, None, type(error).__name__)
        return have == told.size and digest.hexdigest() == told.sha256.lower()

    async def _refused(self, response: httpx.Response, said: str, tries: int) -> None:
        """Read an error: return after a pause when asking again may help, else raise what it means."""
        if response.status_code == 409:
            raise Fenced("This attempt may no longer write.")
        if response.status_code < 500 and response.status_code not in _AGAIN:
            raise DoorRefused(response.status_code, said[:2000])
        await self._wait(tries, response.headers.get("retry-after"), str(response.status_code))

    async def _wait(self, tries: int, asked: str | None, why: str) -> None:
        seconds = pause(tries, self._timing.door_pause, self._timing.door_pause_max)
        told = retry_after(asked, self._timing.door_pause_max)
        if told is not None:
            seconds += told
        log.info("the door is away or busy, asking again", extra={"why": why, "seconds": round(seconds, 2)})
        if seconds >= self.clock.left():
            await asyncio.sleep(self.clock.left())
            raise DeadlinePassed
        await asyncio.sleep(seconds)


_JSON = {"Content-Type": "application/json"}


def _write(file: FileIO, chunk: bytes) -> None:
    """All of it, now: a buffer that cannot be written would fail once more when it is closed."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def _continues(response: httpx.Response, have: int) -> bool:
    return response.status_code == 206 and response.headers.get("content-range", "").startswith(f"bytes {have}-")
