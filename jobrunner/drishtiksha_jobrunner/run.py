"""The story of one attempt, top to bottom: get the assignment, fetch the bytes, ask the model, hand in the answer.

`main` calls it and leaves with its exit code. `door` and `model` are the two neighbours; everything else is a value.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from drishtiksha.domain.errors import EXIT_CODES, ErrorClass, Fenced

from .answer import Asked, encode, normalise
from .dialects import opened
from .door import Artifact, Assignment, Door
from .environment import Environment
from .faults import DeadlinePassed, DoorRefused, Fault, storable
from .journal import Redactor
from .model import Model
from .pictures import links
from .progress import Reporter
from .scratch import scratch
from .timing import Timing

log = logging.getLogger("drishtiksha.jobrunner")

_INTERNAL = EXIT_CODES[ErrorClass.INTERNAL]
_FENCED = EXIT_CODES[ErrorClass.CANCELLED]

# A peer whose machine is lost sends nothing, not even an end: the kernel asks after 30 s and gives up after 60 s.
_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


async def run(environment: Environment, timing: Timing | None = None) -> int:
    """Carry out the attempt that the environment's token stands for; returns the process's exit code.

    0: handed in (or another pod of this attempt had). 65, 69, 70, 76: failed, and the door knows. 70 also when the
    door cannot be told. 77: fenced.
    """
    timing = timing or Timing()
    async with _client(environment, environment.door_url, f"Bearer {environment.token}") as client:
        door = Door(client, timing)
        try:
            # Ask what to do. This starts the attempt, and its clock.
            told = await door.assignment()
            log.info("attempt started", extra={"attempt": told.attempt_id, "model": told.model, "media": told.media_id})

            # The rest happens before the deadline, with a heartbeat beside it.
            redact = Redactor(environment.secrets)
            attempt = Attempt(environment, timing, door, told, Reporter(door, timing, redact), redact)
            async with asyncio.timeout(told.seconds_left):
                return await _beside(attempt.reporter.keep_telling(), attempt.carry_out())
        except (DeadlinePassed, TimeoutError):
            log.warning("the attempt's deadline passed, nothing more is handed in")
            return _INTERNAL
        except Fenced:
            log.info("fenced: another attempt is current, or the run is over")
            return _FENCED
        except DoorRefused as refused:
            log.error("the door refused", extra={"status": refused.status, "said": refused.said})
            return _INTERNAL
        except Fault as fault:
            log.error("the attempt could not begin", extra={"reason": fault.for_log})
            return EXIT_CODES[fault.error_class]


@dataclass(frozen=True)
class Attempt:
    """One attempt and its neighbours."""

    environment: Environment
    timing: Timing
    door: Door
    told: Assignment
    reporter: Reporter
    redact: Redactor

    async def carry_out(self) -> int:
        """Examine and hand in; whatever fails on the way is classified and handed in instead."""
        try:
            with scratch(self.environment.scratch) as folder:
                result, artifacts = await self._examine(folder)
            listed = [artifact.name for artifact in artifacts if await self._handed_in(artifact)]
            self.reporter.last_word()
            accepted = await self.door.result(encode(result, listed))
            log.info("result handed in" if accepted else "this attempt already had a result")
            return 0
        except Fault as fault:
            failed = fault
        except DoorRefused as refused:
            log.error("the door refused", extra={"status": refused.status, "said": refused.said})
            failed = Fault(
                ErrorClass.INTERNAL, f"The internal door refused what the runner sent ({refused.status}).", refused.said
            )
        except (Fenced, DeadlinePassed):
            raise
        except Exception as error:
            log.exception("a fault of the runner itself")
            failed = Fault(ErrorClass.INTERNAL, f"The runner failed ({type(error).__name__}).")
        log.warning("attempt failed", extra={"class": failed.error_class.value, "reason": failed.for_log})
        self.reporter.last_word()
        said = failed.server_response
        return await self.door.failure(
            Fault(
                failed.error_class, storable(self.redact(failed.message)), storable(self.redact(said)) if said else None
            )
        )

    async def _examine(self, folder: Path) -> tuple[dict[str, object], list[Artifact]]:
        """Fetch the bytes, look whether the model is there, have it examine them, make its answer a result."""
        told, media = self.told, folder / "media"
        await self.door.media(told, media)
        log.info("media fetched", extra={"bytes": told.size})

        there = self.environment
        async with _client(there, there.server_url, key=there.server_key) as client:
            model = Model(client, self.door.clock, self.timing, self.redact)
            service = await model.look(told.model, there.node_name)
            dialect = service.dialect(there.dialect)
            began = time.monotonic()
            answer = await model.analyze(told, dialect, media, self.reporter.tell)
            took = time.monotonic() - began
            log.info("the model answered", extra={"seconds": round(took, 3)})
            # The pictures it only points to are fetched while it still has them, and only if it is the model's answer.
            fetched = await model.fetch(links(opened(answer, told.model, dialect).data))
        asked = Asked(told.model, told.model_version, told.media_id, there.polarity, took, service, dialect)
        return normalise(answer, asked, fetched)

    async def _handed_in(self, artifact: Artifact) -> bool:
        """Put one artifact; False when the door refuses it, for a picture must not cost the analysis."""
        try:
            await self.door.artifact(artifact)
        except DoorRefused as refused:
            log.warning("the door refused an artifact", extra={"artifact": artifact.name, "status": refused.status})
            return False
        return True


async def _beside(companion: Coroutine[None, None, None], story: Coroutine[None, None, int]) -> int:
    """Run the story with its companion; the companion's failure ends the story, the story's end the companion."""
    telling, telling_story = asyncio.ensure_future(companion), asyncio.ensure_future(story)
    try:
        await asyncio.wait({telling, telling_story}, return_when=asyncio.FIRST_COMPLETED)
        if telling_story.done():
            return telling_story.result()
        telling.result()
        raise AssertionError("the heartbeat ended without a reason")
    finally:
        telling.cancel()
        telling_story.cancel()
        await asyncio.gather(telling, telling_story, return_exceptions=True)


@asynccontextmanager
async def _client(
    environment: Environment, url: str, authorization: str = "", key: str = ""
) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client for one neighbour: no redirects, no proxies or settings from the environment."""
    headers = {"User-Agent": "drishtiksha-jobrunner/1", "Accept-Encoding": "gzip"}
    if authorization:
        headers["Authorization"] = authorization
    if key:
        headers["X-API-Key"] = key
    if environment.traceparent:
        headers["traceparent"] = environment.traceparent
    # Loading the certificates takes as long as all the rest of the start: only where they are needed.
    transport = httpx.AsyncHTTPTransport(
        verify=url.startswith("https:"),
        trust_env=False,
        socket_options=_KEEPALIVE,
        limits=httpx.Limits(max_connections=8),
    )
    async with httpx.AsyncClient(
        base_url=url, headers=headers, transport=transport, trust_env=False, follow_redirects=False
    ) as client:
        yield client
