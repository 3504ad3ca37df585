"""One analysis from request to answer, without HTTP words: a place in the queue, a worker, an outcome.

`app.py` is the door above it, `pool.py` the hands below it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from drishtiksha.domain.media import MediaType

from .bundles.served import Bundles
from .home import Home
from .intake import Refused, Upload
from .pool import Failed, Pool
from .progress import Publisher
from .settings import ModelService
from .shelf import Shelf

log = structlog.get_logger()

Tell = Callable[[dict[str, Any]], None]

_STATUS = {"BAD_MEDIA": 422, "UNSUPPORTED": 415, "DEADLINE": 504, "CRASHED": 500, "INTERNAL": 500}


class Service:
    """The running service. Use as an async context manager: it owns the workers and a private temporary folder."""

    def __init__(self, settings: ModelService) -> None:
        self.settings = settings
        self._home = Home()
        own = {"TRUST_ANCHORS": settings.trust_anchors, "WEIGHTS": settings.weights}
        self.pool = Pool(settings.workers, settings.active_models, self.folder, own)
        self.answers: Counter[tuple[str, str]] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        """Spent on analyses, by model, waiting included."""
        self.in_flight = 0
        self.shelf = Shelf()
        self._began = time.monotonic()
        self._publisher: Publisher | None = None
        self._bundles: Bundles | None = None
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Service:
        if self.settings.redis_url is not None:
            self._publisher = Publisher(self.settings.redis_url.get_secret_value(), self.settings.progress_channel)
        if self.settings.bundles is None:
            self.pool.start()
            return self
        self._bundles = Bundles(self.settings.bundles, self.folder, self.pool)
        await self._bundles.start()
        self._watching = asyncio.create_task(self._bundles.watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self.pool.close()
        if self._publisher is not None:
            await self._publisher.close()
        self._home.close()

    @property
    def folder(self) -> Path:
        """Where uploads lie while they are examined; private to this process."""
        return self._home.path

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    @property
    def models(self) -> list[dict[str, Any]]:
        """Every detector as a worker has listed it, and the bundles that could not even be given to one."""
        listed = self.pool.models or []
        return listed if self._bundles is None else self._bundles.told(listed)

    def publish(self, upload: Upload) -> Tell:
        """Progress of this upload to Redis, when there is one and the caller named the media."""
        publisher, media_id = self._publisher, upload.fields.get("mediaId", "")
        if publisher is None or not media_id:
            return lambda _progress: None
        user_id = upload.fields.get("userId", "")
        return lambda progress: publisher.tell(media_id, user_id, progress)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place among those that run or wait. Raises Refused 503 when all are taken: a full house is no failure."""
        if self.in_flight >= self.settings.workers + self.settings.waiting:
            raise Refused(503, "All places are taken; ask again later.", retry_after=5)
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def known(self, model: str) -> None:
        """Wait shortly for the detectors to be loaded; Refused 503 while they load, 404 or 503 when there is no such."""
        if not await self.loaded(10.0):
            raise Refused(503, "The detectors are still being loaded.", retry_after=5)
        entry = next((m for m in self.models if m["name"] == model), None)
        if entry is None:
            raise Refused(404, f"There is no model named {model!r}.")
        if not entry["loaded"]:
            raise Refused(503, f"{model} is not loaded: {entry['reason']}", retry_after=60)

    async def loaded(self, seconds: float) -> bool:
        """Whether the detectors are loaded within this time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.pool.ready.wait()
        return self.pool.ready.is_set()

    async def analyze(
        self, model: str, upload: Upload, deadline: float, tell: Tell, only: MediaType | None = None
    ) -> dict[str, Any]:
        """Examine an upload; the JSON answer of dialect 3. Raises Refused. `deadline` on the loop's clock.

        `only`: the one kind of media that was asked for; None: whatever it is.
        """
        began = time.monotonic()
        outcome = "GIVEN_UP"
        try:
            data = await self.pool.examine(model, upload.path, upload.name, deadline, tell, only)
            outcome = str(data["finding"])
        except Failed as error:
            outcome = error.kind
            detail: object = {"code": error.kind, "message": str(error)}
            raise Refused(_STATUS[error.kind], detail) from None
        finally:
            spent = time.monotonic() - began
            self.answers[model, outcome] += 1
            self.seconds[model] += spent
            log.info("analysis ended", model=model, outcome=outcome, bytes=upload.size, seconds=round(spent, 3),
                     media_id=upload.fields.get("mediaId"))  # fmt: skip
        data["media_sha256"] = upload.sha256
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"success": True, "model_used": model, "timestamp": now, "data": data}
