"""A platform's rows and bytes in every state that a healthy one knows, copied for each test that plants a fault."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from stores import PROBE, Stores, open_stores, result

from drishtiksha.audit.audit import Places, Report, verify
from drishtiksha.audit.limits import Limits
from drishtiksha.database.media import NewMedia
from drishtiksha.database.results import NewArtifact
from drishtiksha.database.runs import Ended, FrozenModel
from drishtiksha.database.session import new_id
from drishtiksha.database.tables import Base
from drishtiksha.domain.errors import ErrorClass
from drishtiksha.objects import keys
from drishtiksha.objects.local import LocalObjects

_numbers = itertools.count(1)
TABLES = (*Base.metadata.tables, "alembic_version")


@dataclass
class Platform:
    """Stores over one database beside one object store, and the audit of both."""

    stores: Stores
    objects: LocalObjects
    url: str

    async def put(self, key: str, content: bytes) -> tuple[int, str]:
        """Store bytes; their size and sha256."""

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        put = await self.objects.put(key, chunks())
        return put.size, put.sha256

    async def upload(self, user, name: str = "a.png") -> NewMedia:
        media_id = new_id()
        key = keys.original(str(media_id))
        size, sha256 = await self.put(key, name.encode() * 100)
        new = NewMedia(media_id, new_id(), user, name, "mine", key, size, sha256, PROBE)
        await self.stores.media.accept(new)
        return new

    async def freeze(self, media: NewMedia, *models: str, budget: int = 3) -> None:
        await self.freeze_run(media.run_id, *models, budget=budget)

    async def freeze_run(self, run_id, *models: str, budget: int = 3) -> None:
        chosen = [FrozenModel(m, "1.0", "service:main", "service", budget) for m in models]
        await self.stores.runs.freeze(run_id, chosen)

    async def artifact(self, media: NewMedia, analysis, attempt, name: str) -> None:
        key = keys.artifact(str(media.id), str(analysis), 1, secrets.token_hex(4))
        size, sha256 = await self.put(key, name.encode())
        new = NewArtifact(name, "picture", key, "image/png", size, sha256)
        await self.stores.results.put_artifact(attempt, new, 32)

    async def finish(self, attempt, model: str, **more: object) -> None:
        await self.stores.results.begin(attempt)
        await self.stores.results.store(attempt, result(model, **more))
        await self.stores.runs.attempt_ended(attempt, Ended(None, "Completed", ""))

    async def audit(self, limits: Limits = Limits(), *, deep: bool = False, patience: float = 0.0) -> Report:
        places = Places(self.stores.database, objects=self.objects)
        return await verify(places, limits, deep=deep, patience=patience)

    async def populate(self) -> None:
        """Media named after their state; two owners."""
        ada, bob = await self.stores.user("ada"), await self.stores.user("bob")
        runs = self.stores.runs

        # Analyzed by three models, one of them at its second attempt, with a picture and an unlisted one; then again.
        media = await self.upload(ada, "analyzed")
        await self.freeze(media, "A", "B", "C")
        started = await self.stores.start(media.run_id)
        await self.artifact(media, (await self._analysis(media, "A")), started["A"], "map")
        await self.artifact(media, (await self._analysis(media, "A")), started["A"], "draft")
        score = {"probability_fake": 0.75, "finding": "SUSPICIOUS", "calibration": {"kind": "empirical"}}
        frames = [{"number": 0, "score": 0.75, "prediction": "FAKE", "timestamp": 0.0}]
        await self.finish(started["A"], "A", artifacts=["map"], frames=frames, **score)
        await self.finish(started["B"], "B", **{**score, "probability_fake": 0.9})
        await self.stores.results.begin(started["C"])
        await self.stores.results.failed(started["C"], ErrorClass.ML_UNAVAILABLE, "away", None)
        await runs.attempt_ended(started["C"], Ended(ErrorClass.CRASHED, "Error", "exit 69", retry_in=0.0))
        await self.finish((await self.stores.start(media.run_id))["C"], "C")
        await runs.conclude(media.run_id)

        again = await self.upload(ada, "rerun")
        await self.freeze(again, "A")
        await self.finish((await self.stores.start(again.run_id))["A"], "A")
        await runs.conclude(again.run_id)
        await self.stores.media.rerun(ada, again.id)

        # Partly, not at all, by nobody, and cancelled.
        for name, models in (("partial", "AB"), ("failed", "B")):
            media = await self.upload(bob, name)
            await self.freeze(media, *models)
            started = await self.stores.start(media.run_id)
            for model in models:
                if model == "A":
                    await self.finish(started["A"], "A")
                else:
                    await self.stores.results.begin(started["B"])
                    await self.stores.results.failed(started["B"], ErrorClass.BAD_MEDIA, "broken", None)
                    await runs.attempt_ended(started["B"], Ended(ErrorClass.BAD_MEDIA, "Error", "exit 65"))
            await runs.conclude(media.run_id)
        media = await self.upload(bob, "nobody")
        await runs.conclude(media.run_id, unfrozen=ErrorClass.NO_COMPATIBLE_MODEL, message="none")
        media = await self.upload(bob, "cancelled")
        await self.freeze(media, "A", "B")
        await self.stores.media.request_cancel(bob, media.id)
        await runs.carry_out_cancel(media.run_id)
        await runs.conclude(media.run_id)

        # On their way.
        await self.upload(ada, "queued")
        media = await self.upload(ada, "processing")
        await self.freeze(media, "A", "B")
        started = await self.stores.start(media.run_id)
        await self.stores.results.begin(started["A"])
        media = await self.upload(ada, "retrying")
        await self.freeze(media, "A")
        started = await self.stores.start(media.run_id)
        await self.stores.results.begin(started["A"])
        await runs.attempt_ended(started["A"], Ended(ErrorClass.CRASHED, "Error", "gone", retry_in=600.0))

        # Deleted while it worked, and deleted and erased.
        media = await self.upload(ada, "deleted")
        await self.freeze(media, "A")
        await self.stores.results.begin((await self.stores.start(media.run_id))["A"])
        await self.stores.media.remove(ada, media.id)
        media = await self.upload(ada, "erased")
        await self.stores.media.remove(ada, media.id)
        for wish in await self.stores.outbox.claim(100):
            if wish.key in (media.id, media.run_id):
                await self.stores.outbox.done(wish)
        await self.objects.delete(media.object_key)
        await self.stores.media.erased(media.id)

    async def _analysis(self, media: NewMedia, model: str):
        seen = await self.stores.runs.snapshot(media.run_id)
        assert seen is not None
        return next(a.id for a in seen.analyses if a.model == model)


@pytest.fixture(scope="module")
def populated(
    postgres_server: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The URL of a database in every healthy state, its rows saved beside them, and the folder of its bytes."""
    name = f"populated_{next(_numbers)}_{secrets.token_hex(4)}"
    folder = tmp_path_factory.mktemp("objects")
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template} STRATEGY FILE_COPY".encode())
    url = f"{postgres_server.rsplit('/', 1)[0]}/{name}"

    async def populate() -> None:
        platform = Platform(open_stores(url), LocalObjects(folder), url)
        await platform.populate()
        await platform.stores.database.close()

    asyncio.run(populate())
    with psycopg.connect(url) as connection:
        connection.execute(b"CREATE SCHEMA saved")
        connection.execute("".join(f"CREATE TABLE saved.{t} AS TABLE {t};" for t in TABLES).encode())
    yield url, folder
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
async def platform(populated: tuple[str, Path]) -> AsyncIterator[Platform]:
    """The populated platform, its rows as they were at first. The bytes are shared: do not touch them."""
    url, folder = populated
    opened = Platform(open_stores(url), LocalObjects(folder), url)
    yield opened
    await opened.stores.database.close()
    with psycopg.connect(url) as connection:
        connection.execute(b"SET session_replication_role = replica")
        connection.execute(
            "".join(f"DELETE FROM {t}; INSERT INTO {t} SELECT * FROM saved.{t};" for t in TABLES).encode()
        )


@pytest.fixture
async def empty(database_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    """A platform that nobody has used yet."""
    opened = Platform(open_stores(database_url), LocalObjects(tmp_path), database_url)
    yield opened
    await opened.stores.database.close()


@pytest.fixture
def plant(platform: Platform) -> Callable[..., None]:
    """Run statements as no program of ours may: past every trigger and foreign key."""

    def run(*statements: str) -> None:
        with psycopg.connect(platform.url) as connection:
            connection.execute(b"SET session_replication_role = replica")
            for statement in statements:
                changed = connection.execute(statement.encode())
                assert changed.rowcount != 0, f"nothing was planted by: {statement}"

    return run
