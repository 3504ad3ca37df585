"""Carries the outbox's wishes out: creates the resource of a run, erases what is left of a deleted media.

Runs in every replica of the api; a claim keeps the others away for a minute. No transaction is open during a call,
and each step may be repeated.
"""

from __future__ import annotations

import asyncio
import random

import structlog

from drishtiksha.database.media import Erasure, MediaStore
from drishtiksha.database.outbox import Outbox, Wish
from drishtiksha.domain.errors import DrishtikshaError, Unavailable
from drishtiksha.kube import KubeError, KubeInvalid
from drishtiksha.objects import Objects, keys
from drishtiksha.resources import AnalysisSpec, MediaAnalyses, NotOurs

log = structlog.get_logger()

BATCH = 20
IDLE_SECONDS = 5.0
"""Between two looks for wishes that another replica wrote; our own routes poke."""
GIVE_UP_SECONDS = 24 * 3600.0
"""A create that fails for so long is given up, and the operator concludes the run."""
TOMBSTONE_SECONDS = 120.0
"""A tombstone stays at least so long, so that whatever was under way meets it."""
_LONGEST_BACKOFF = 60.0


class Dispatcher:
    """One loop. `poke` wakes it at once."""

    def __init__(self, outbox: Outbox, media: MediaStore, resources: MediaAnalyses, objects: Objects) -> None:
        self._outbox = outbox
        self._media = media
        self._resources = resources
        self._objects = objects
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """A wish was just committed."""
        self._poked.set()

    async def run(self) -> None:
        """Until cancelled. A database that is away is waited for."""
        while True:
            self._poked.clear()
            try:
                busy = await self.once()
            except Unavailable as error:
                log.warning("the dispatcher waits for the database", error=str(error))
                busy = False
            except Exception:
                log.exception("the dispatcher stumbled; it goes on")
                busy = False
            if not busy:
                try:
                    async with asyncio.timeout(IDLE_SECONDS * random.uniform(0.8, 1.2)):
                        await self._poked.wait()
                except TimeoutError:
                    pass

    async def once(self) -> bool:
        """Carry out what is due; False when nothing was."""
        due = await self._outbox.next_due()
        if due is None:
            return False
        wishes = await self._outbox.claim(BATCH)
        await asyncio.gather(*(self._carry_out(wish) for wish in wishes))
        return bool(wishes)

    async def _carry_out(self, wish: Wish) -> None:
        structlog.contextvars.bind_contextvars(wish=wish.kind, key=str(wish.key))
        try:
            if wish.kind == "create":
                await self._create(wish)
            else:
                await self._erase(wish)
        except (KubeInvalid, NotOurs) as error:
            if wish.kind != "create":
                raise
            log.warning("the cluster rejects a resource", error=str(error))
            await self._outbox.rejected(wish, str(error))
        except (KubeError, DrishtikshaError, OSError) as error:
            await self._again(wish, error)

    async def _again(self, wish: Wish, error: Exception) -> None:
        if wish.kind == "create" and wish.age > GIVE_UP_SECONDS:
            await self._outbox.rejected(wish, f"the cluster did not take it for a day: {error}")
            return
        asked = getattr(error, "retry_after", None) or 0.0
        delay = max(asked, min(_LONGEST_BACKOFF, 2.0 ** min(wish.tries, 10)) * random.uniform(0.5, 1.0))
        log.warning("a wish is tried again later", tries=wish.tries, delay=round(delay, 1), error=str(error)[:300])
        await self._outbox.later(wish, delay, str(error)[:1000])

    async def _create(self, wish: Wish) -> None:
        facts = await self._media.resource_facts(wish.key)
        if facts is not None:  # otherwise the run ended or its media was deleted: nothing to wish for
            spec = AnalysisSpec(
                run_id=str(facts.run_id),
                media_id=str(facts.media_id),
                media_type=facts.media_type,
                has_audio=facts.has_audio,
                models=facts.models,
            )
            await self._resources.create(spec, facts.run_number)
            log.info("resource created", run=str(facts.run_id))
        await self._outbox.done(wish)

    async def _erase(self, wish: Wish) -> None:
        left = await self._media.erasure(wish.key)
        if left is None:
            await self._outbox.done(wish)
            return
        # The bytes first: they need not wait for a cluster that is away.
        await self._delete_objects(str(wish.key), left)
        for run_id in left.run_ids:
            await self._resources.delete(run_id)
        if left.age < TOMBSTONE_SECONDS:
            await self._outbox.later(wish, TOMBSTONE_SECONDS - left.age + 1.0, None)
            return
        for run_id in left.run_ids:
            if await self._resources.get(run_id) is not None:
                await self._outbox.later(wish, 10.0, "the resource is still being deleted")
                return
        await self._media.erased(wish.key)
        await self._outbox.done(wish)
        log.info("media erased", media=str(wish.key))

    async def _delete_objects(self, media_id: str, left: Erasure) -> None:
        """All bytes under the media's prefix, and those that its rows name."""
        found = [stat.key async for stat in self._objects.list(keys.media_prefix(media_id))]
        for key in {*found, *left.object_keys}:
            await self._objects.delete(key)
