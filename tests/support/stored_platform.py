"""A platform's rows beside a folder with its bytes, for those who move the bytes elsewhere."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from stores import PROBE, Stores

from drishtiksha.database.media import NewMedia
from drishtiksha.database.results import NewArtifact
from drishtiksha.database.runs import FrozenModel
from drishtiksha.database.session import new_id
from drishtiksha.database.stored import StoredRows
from drishtiksha.objects import Objects, keys
from drishtiksha.objects.local import LocalObjects


async def stream(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 400_000):
        yield data[at : at + 400_000]


@dataclass
class Platform:
    """Rows beside a folder of bytes. `kept`: every object that a live row names, by its key."""

    stores: Stores
    objects: LocalObjects
    url: str
    kept: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> StoredRows:
        return StoredRows(self.stores.database)

    async def upload(self, user, size: int = 1000) -> NewMedia:
        media_id = new_id()
        key = keys.original(str(media_id))
        stored = await self.objects.put(key, stream(os.urandom(size)))
        new = NewMedia(media_id, new_id(), user, "a.png", None, key, stored.size, stored.sha256, PROBE)
        await self.stores.media.accept(new)
        self.kept[key] = stored.sha256
        return new

    async def artifact(self, media: NewMedia) -> str:
        await self.stores.runs.freeze(media.run_id, [FrozenModel("A", "1", "service:main", "service", 3)])
        attempt = (await self.stores.start(media.run_id))["A"]
        assigned = await self.stores.results.begin(attempt)
        key = keys.artifact(str(media.id), str(assigned.analysis_id), 1, secrets.token_hex(4))
        stored = await self.objects.put(key, stream(b"a picture"))
        new = NewArtifact("map", "picture", key, "image/png", stored.size, stored.sha256)
        await self.stores.results.put_artifact(attempt, new, 32)
        self.kept[key] = stored.sha256
        return key


async def held(objects: Objects) -> dict[str, str]:
    """The sha256 of everything that a store has."""
    found = {}
    for key in [one.key async for one in objects.list(keys.MEDIA)]:
        digest = hashlib.sha256()
        async for block in objects.get(key):
            digest.update(block)
        found[key] = digest.hexdigest()
    return found
