"""The witness while a platform works: after every commit of any life, there is nothing to say."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from sqlalchemy import text
from stores import result

from drishtiksha.database.runs import Ended
from drishtiksha.domain.errors import DrishtikshaError, ErrorClass, Fenced, RunActive
from drishtiksha.domain.events import EventType

pytestmark = pytest.mark.long

MODELS = ("A", "B")


class Life:
    """Random verbs of all processes on one platform; `told` remembers them for a failing test."""

    def __init__(self, platform, seed: int) -> None:
        self.platform, self.stores = platform, platform.stores
        self.random = random.Random(seed)
        self.media: dict = {}
        self.told: list[str] = []
        self.user = None

    async def step(self) -> None:
        """One verb of somebody, whether its time has come or not."""
        if self.user is None:
            self.user = await self.stores.user()
        verbs = [self.upload, self.freeze, self.start, self.begin, self.store, self.failed, self.job_ended]
        verbs += [self.start, self.store, self.job_ended, self.conclude, self.cancel, self.carry_out, self.rerun]
        verbs += [self.start, self.store, self.conclude, self.remove, self.dispatch]
        if not self.media:
            verbs = [self.upload]
        verb = self.random.choice(verbs)
        self.told.append(verb.__name__)
        with suppress(Fenced, RunActive, DrishtikshaError, ValueError):
            await verb()

    async def upload(self) -> None:
        if len(self.media) > 2 and self.random.random() < 0.8:
            return
        new = await self.platform.upload(self.user)
        self.media[new.id] = new.run_id

    async def freeze(self) -> None:
        await self.platform.freeze_run(self.run(), *MODELS, budget=2)

    async def start(self) -> None:
        run = self.run()
        if await self.stores.runs.snapshot(run) is not None:  # its media may be erased
            await self.stores.start(run)

    async def begin(self) -> None:
        attempt, _ = await self.attempt()
        await self.stores.results.begin(attempt)

    async def store(self) -> None:
        attempt, model = await self.attempt()
        await self.stores.results.store(attempt, result(model))

    async def failed(self) -> None:
        attempt, _ = await self.attempt()
        error = self.random.choice([ErrorClass.BAD_MEDIA, ErrorClass.ML_UNAVAILABLE])
        await self.stores.results.failed(attempt, error, "it failed", None)

    async def job_ended(self) -> None:
        attempt, _ = await self.attempt()
        error = self.random.choice([None, ErrorClass.CRASHED, ErrorClass.DEADLINE])
        await self.stores.runs.attempt_ended(attempt, Ended(error, "Seen", "as seen", retry_in=0.0))

    async def conclude(self) -> None:
        unfrozen = ErrorClass.NO_DISCOVERY if self.random.random() < 0.05 else None
        await self.stores.runs.conclude(self.run(), unfrozen=unfrozen)

    async def cancel(self) -> None:
        if self.random.random() < 0.3:
            await self.stores.media.request_cancel(self.user, self.any_media())

    async def carry_out(self) -> None:
        if self.random.random() < 0.1:
            await self.stores.runs.carry_out_cancel(self.run())

    async def rerun(self) -> None:
        media = self.any_media()
        await self.stores.media.rerun(self.user, media)
        self.media[media] = (await self.stores.media.get(self.user, media)).media.latest_run_id

    async def remove(self) -> None:
        if self.random.random() < 0.3:
            media = self.any_media()
            await self.stores.media.remove(self.user, media)
            if self.random.random() < 0.8:  # some late callers still come
                del self.media[media]

    async def dispatch(self) -> None:
        """What the dispatcher does of one wish, with a crash between any two steps."""
        for wish in await self.stores.outbox.claim(2):
            if wish.kind == "erase":
                left = await self.stores.media.erasure(wish.key)
                for key in left.object_keys if left else ():
                    await self.platform.objects.delete(key)
                if self.random.random() < 0.5:
                    return
                await self.stores.media.erased(wish.key)
            if self.random.random() < 0.8:
                await self.stores.outbox.done(wish)

    def any_media(self):
        return self.random.choice(list(self.media))

    def run(self):
        return self.media[self.any_media()]

    async def attempt(self):
        """Any attempt of a run, current or not."""
        seen = await self.stores.runs.snapshot(self.run())
        all_of_them = [(t.id, a.model) for a in (seen.analyses if seen else ()) for t in a.attempts]
        if not all_of_them:
            raise ValueError("there is none")
        return self.random.choice(all_of_them)


async def test_it_is_clean_after_each_commit_of_any_life(empty) -> None:
    reached: set[str] = set()
    for seed in (1, 2, 3):
        life = Life(empty, seed)
        for _ in range(100):
            await life.step()
            report = await empty.audit()
            assert report.clean, (seed, life.told, [v.text for v in report.violations])
            async with empty.stores.database.engine.connect() as connection:
                reached |= set(await connection.scalars(text("SELECT DISTINCT type FROM events")))
    assert reached >= set(EventType) - {"ANALYSIS_RETRYING"}, "the lives were too short to show anything"
