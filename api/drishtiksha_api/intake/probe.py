"""Asks a sandboxed child what a file is, and turns its answer into the domain's `Probe`.

The child's word is data from a process that met hostile bytes: it is checked before it is believed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from drishtiksha.domain.errors import Unavailable
from drishtiksha.domain.media import FILE_TYPES, AudioFacts, ImageFacts, MediaType, Probe, VideoFacts

log = structlog.get_logger()

WALL_SECONDS = 30.0
MAX_ANSWER = 64 * 1024


class NotMedia(Exception):
    """The child refused the file. `undecodable`: it begins like one of our types, but does not decode."""

    def __init__(self, *, undecodable: bool) -> None:
        super().__init__("the file is not a media that can be examined")
        self.undecodable = undecodable


class Prober:
    """Starts one child per file, a few at a time."""

    def __init__(self, concurrency: int = 2, wall_seconds: float = WALL_SECONDS) -> None:
        self._places = asyncio.Semaphore(concurrency)
        self._wall = wall_seconds

    async def probe(self, path: Path) -> Probe:
        """What the file at `path` is. Raises NotMedia, or Unavailable("objects") when it cannot be looked at."""
        async with self._places:
            answer = await self._ask(path)
        return _believed(answer)

    async def _ask(self, path: Path) -> bytes:
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except OSError as error:
            raise Unavailable("objects", "The stored file cannot be read.") from error
        with file:
            try:
                child = await asyncio.create_subprocess_exec(
                    sys.executable, "-I", "-m", "drishtiksha_api.intake.child",
                    stdin=file, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                    env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}, cwd="/",
                )  # fmt: skip
            except OSError as error:  # no process or no memory to be had now: the file may be well
                raise Unavailable("objects", "The stored file cannot be examined now.") from error
        assert child.stdout is not None
        try:
            async with asyncio.timeout(self._wall):
                answer = await _read_to_end(child.stdout)
                await child.wait()
        except TimeoutError:  # its processor time ends it first, where it is given any: the file may be well
            log.warning("a file could not be looked at in time; the machine is too busy")
            raise Unavailable("objects", "The stored file cannot be examined now.") from None
        finally:
            if child.returncode is None:
                with suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        if child.returncode != 0:
            log.warning("the probe of a file died; refused", code=child.returncode)
            return b""
        return answer


async def _read_to_end(stream: asyncio.StreamReader) -> bytes:
    held = b""
    while len(held) <= MAX_ANSWER and (chunk := await stream.read(MAX_ANSWER)):
        held += chunk
    return held[:MAX_ANSWER]


def _believed(answer: bytes) -> Probe:
    """The child's JSON as a Probe; anything but a well-formed answer means that the file does not decode."""
    try:
        said = json.loads(answer)
        if "refused" in said:
            raise NotMedia(undecodable=said["refused"] != "UNSUPPORTED")
        probe: dict[str, Any] = said["probe"]
        return Probe(
            mimetype=FILE_TYPES[probe["mimetype"]].mimetype,
            media_type=MediaType(probe["media_type"]),
            has_audio=bool(probe["has_audio"]),
            video=VideoFacts(**probe["video"]) if probe["video"] else None,
            image=ImageFacts(**probe["image"]) if probe["image"] else None,
            audio=AudioFacts(**probe["audio"]) if probe["audio"] else None,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise NotMedia(undecodable=True) from error
