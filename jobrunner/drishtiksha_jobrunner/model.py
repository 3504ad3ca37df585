"""The ML service's client: looks whether the model is there, has it examine the media, brings back its raw answer.

It waits where the service asks to wait, gives up where the contract says so, and never lets the service decide how
much memory or time the runner spends. `dialects` says how to ask, `service` reads `/stats`, `body` reads bytes,
`answer` reads the answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import httpx

from drishtiksha.domain.errors import ErrorClass

from . import body
from .addresses import of_filename, of_url
from .dialects import Question, file_name, question
from .door import Assignment
from .faults import Busy, Fault, classify, storable
from .journal import Redactor
from .pictures import TOO_LARGE, TOO_MANY, Fetched, Link
from .service import Presence, Service, read
from .timing import Clock, Timing, pause, retry_after

log = logging.getLogger("drishtiksha.jobrunner.model")

T = TypeVar("T")

LINES = "application/x-ndjson"
_NEVER_MADE = (httpx.ConnectError, httpx.ConnectTimeout)
_MAX_STATS = 4 * 1024 * 1024
_MAX_ERROR = 64 * 1024


class Model:
    """The models of one service, for one attempt. The client carries the service's address and key."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock, timing: Timing, redact: Redactor) -> None:
        self._client = client
        self._clock = clock
        self._timing = timing
        self._redact = redact

    async def look(self, model: str, node_name: str = "") -> Service:
        """Ask `/stats` until the model is loaded; a service that only just started may take its time.

        Raises Fault: ML_CONTRACT when the model is not served, ML_UNAVAILABLE when it is listed but not loaded, or the
        service is away.
        """
        while True:
            seen = read(await self._patiently(self._stats), model, node_name)
            if seen.presence is Presence.LOADED:
                return seen
            # A reason is the service's last word on it; without one it may only have started.
            starting = seen.why_not is None and seen.uptime is not None and seen.uptime < self._timing.starting
            if not starting or self._timing.look_again + self._timing.last_word >= self._clock.left():
                break
            log.info("the service is starting and has not loaded the model yet", extra={"uptime": seen.uptime})
            await asyncio.sleep(self._timing.look_again)
        if seen.presence is Presence.UNKNOWN:
            raise body.contract(f"The ML service does not list the model {model}.")
        raise Fault(ErrorClass.ML_UNAVAILABLE, f"The ML service has not loaded the model {model}.", seen.why_not)

    async def analyze(
        self, told: Assignment, dialect: int, media: Path, on_progress: Callable[[object], None]
    ) -> dict[str, object]:
        """Have the media examined; returns the JSON answer as it came. `on_progress` gets each progress object."""
        asked = question(dialect, told)
        return await self._patiently(lambda: self._analyze(told, asked, media, on_progress), breaks=False)

    async def fetch(self, links: Sequence[Link]) -> list[Fetched]:
        """Fetch the pictures that an answer points to: each once, now, all together. One that fails says why."""
        seconds = min(self._timing.picture_patience, self._clock.left() / 4)  # what is left is for handing in
        most = body.MAX_PICTURES
        fetched = await asyncio.gather(*(self._fetch(link, seconds) for link in links[:most]))
        return [*fetched, *(Fetched(link, None, TOO_MANY) for link in links[most:])]

    async def _fetch(self, link: Link, seconds: float) -> Fetched:
        server = str(self._client.base_url).rstrip("/")
        try:
            address = of_filename(server, link.where) if link.file else of_url(server, link.where)
        except ValueError as error:
            return Fetched(link, None, str(error))
        headers = {"Accept": "image/png, image/jpeg, image/webp"}
        try:
            async with asyncio.timeout(seconds):
                request = self._client.build_request("GET", address, headers=headers, timeout=seconds)
                response = await self._client.send(request, stream=True)
                try:
                    if response.status_code != 200:
                        return Fetched(link, None, f"the ML service answered {response.status_code}")
                    content = b"".join([piece async for piece in _pieces(response, body.MAX_PICTURE)])
                finally:
                    await response.aclose()
        except Fault:
            return Fetched(link, None, f"{TOO_LARGE}, or broken")
        except TimeoutError:
            return Fetched(link, None, "it did not come in time")
        except (httpx.HTTPError, httpx.InvalidURL):
            return Fetched(link, None, "the connection to the ML service failed")
        return Fetched(link, content)

    async def _stats(self) -> dict[str, object]:
        timeout = httpx.Timeout(self._timing.stats_read, connect=self._timing.connect)
        # The analysis gets a connection of its own: if that breaks, it was not for having been idle.
        headers = {"Accept": "application/json", "Connection": "close"}
        request = self._client.build_request("GET", "/stats", headers=headers, timeout=timeout)
        async with self._answer(request) as response:
            return body.parse(await body.whole(_pieces(response, _MAX_STATS)))

    async def _analyze(
        self, told: Assignment, asked: Question, media: Path, on_progress: Callable[[object], None]
    ) -> dict[str, object]:
        # A model may think for as long as the attempt lives; a dead peer is found by TCP keepalive.
        timeout = httpx.Timeout(max(1.0, self._clock.left()), connect=self._timing.connect, write=self._timing.ml_write)
        with media.open("rb") as file:
            request = self._client.build_request(
                "POST",
                asked.path,
                data=asked.fields,
                files={asked.file_field: (file_name(told), file, told.mimetype)},
                headers={"Accept": f"{LINES}, application/json;q=0.9"},
                timeout=timeout,
            )
            async with self._answer(request) as response:
                if response.headers.get("content-type", "").split(";", 1)[0].strip().lower() != LINES:
                    return body.parse(await body.whole(_pieces(response, None)))
                # Ticks may come for as long as the analysis runs: each line has its own limit.
                async for line in body.lines(_pieces(response, None)):
                    said = body.parse(line)
                    if isinstance(result := said.get("result"), dict):
                        return result
                    if isinstance(error := said.get("error"), dict):
                        raise self._read_error(_status(error), error.get("detail"), None)
                    on_progress(said.get("progress"))
        raise body.contract("The ML service's lines ended without a result.")

    @asynccontextmanager
    async def _answer(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        """Send; yields a response whose body is still to be read, or raises what the error means."""
        response = await self._client.send(request, stream=True)
        try:
            if not response.is_success:
                raw = await _start(response)
                try:
                    said = json.loads(raw)
                except (ValueError, RecursionError):
                    said = None
                detail = said.get("detail") if isinstance(said, dict) else None
                asked = retry_after(response.headers.get("retry-after"), self._timing.retry_after_max)
                raise self._read_error(response.status_code, detail, asked, raw.decode("utf-8", "replace"))
            yield response
        finally:
            await response.aclose()

    def _read_error(self, status: int, detail: object, asked: float | None, raw: str | None = None) -> Fault | Busy:
        """What an error answer means, in one sentence with the service's own words beside it."""
        said = storable(self._redact(raw if raw is not None else json.dumps(detail)))
        error_class = classify(status, detail)
        if error_class is None:
            return Busy(status, asked, said)
        words = detail.get("message") if isinstance(detail, dict) else detail
        because = f": {self._redact(words)}" if isinstance(words, str) and words.strip() else "."
        what = {
            ErrorClass.BAD_MEDIA: f"The model cannot examine this file ({status})",
            ErrorClass.ML_UNAVAILABLE: f"The ML service failed ({status})",
        }.get(error_class, f"The ML service refused the request ({status})")
        return Fault(error_class, storable(what + because, 1000), said or None, for_log=f"{what}.")

    async def _patiently(self, ask: Callable[[], Awaitable[T]], *, breaks: bool = True) -> T:
        """Ask until there is an answer: through "come again later" while the deadline allows, through refused
        connections for a short while. Raises Fault ML_UNAVAILABLE when patience or time is over.

        `breaks`: a connection that broke after it was made is asked again as well. An analysis is not: this very file
        may have killed the service, and whether it may do so once more is the operator's decision.
        """
        began, tries, waits = time.monotonic(), 0, 0
        while True:
            try:
                return await ask()
            except Busy as busy:
                seconds = pause(waits, self._timing.busy_pause, self._timing.busy_pause_max)
                if busy.retry_after is not None:
                    # A little more than asked, and not all at once: many pods were told the same.
                    seconds = busy.retry_after * (1 + pause(0, 0.1, 0.1)) + pause(0, self._timing.ml_pause, 1.0)
                if seconds + self._timing.last_word >= self._clock.left():
                    raise Fault(
                        ErrorClass.ML_UNAVAILABLE,
                        "The ML service stayed busy until the attempt's time was over.",
                        busy.said,
                    ) from None
                log.info("the ML service is busy, waiting", extra={"seconds": round(seconds, 1)})
                await asyncio.sleep(seconds)
                began, tries, waits = time.monotonic(), 0, waits + 1
            except httpx.TransportError as error:
                seconds = pause(tries, self._timing.ml_pause, self._timing.ml_pause_max)
                over = time.monotonic() - began + seconds > self._timing.ml_patience
                over = over or not (breaks or isinstance(error, _NEVER_MADE))
                if over or seconds + self._timing.last_word >= self._clock.left():
                    said = f"The connection to the ML service failed ({type(error).__name__})."
                    raise Fault(ErrorClass.ML_UNAVAILABLE, said) from None
                log.info("the ML service cannot be reached, asking again", extra={"error": type(error).__name__})
                await asyncio.sleep(seconds)
                tries += 1


def _pieces(response: httpx.Response, limit: int | None) -> AsyncIterator[bytes]:
    return body.unpacked(response.aiter_raw(), response.headers.get("content-encoding", ""), limit)


async def _start(response: httpx.Response) -> bytes:
    """The first 64 KiB of an error's body; an error whose body cannot be read is still that error."""
    read = bytearray()
    try:
        async for piece in _pieces(response, _MAX_ERROR):
            read += piece
    except (httpx.TransportError, Fault):
        pass
    return bytes(read)


def _status(error: dict[str, object]) -> int:
    status = error.get("status")
    return status if isinstance(status, int) and 400 <= status <= 599 else 500
