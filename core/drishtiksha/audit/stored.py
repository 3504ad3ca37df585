"""Checks of the rows against the object store: bytes that must be there, bytes that nobody needs, and their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ..database.audit_facts import MediaFacts
from ..objects import ObjectMissing, Objects, ObjectStat, keys
from . import catalogue as c
from .catalogue import Check, Violation
from .limits import Limits


@dataclass(frozen=True)
class Needed:
    """Bytes that a row of a live media names."""

    check: Check
    kind: str
    id: UUID
    media_id: UUID
    key: str
    size: int
    sha256: str

    def broken(self, check: Check, text: str) -> Violation:
        """The violation of these bytes' row."""
        return check.broken(self.kind, self.id, f"{self.key}: {text}", media=self.media_id)


@dataclass
class Store:
    """One listing of the store, and what rows say about it, gathered while the rows go by."""

    listing: dict[str, ObjectStat]
    needed: list[Needed] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def of_media(self, media: MediaFacts) -> Iterator[Violation]:
        """Remember what this media needs; keys that lie with another media are wrong at once."""
        rows = [Needed(c.MEDIA_BYTES, "media", media.id, media.id, media.object_key, media.size, media.sha256)]
        for run in media.runs:
            for analysis in run.analyses:
                for a in analysis.artifacts:
                    self.known.add(a.key)
                    if a.listed:
                        rows.append(Needed(c.ARTIFACT_BYTES, "artifact", a.id, media.id, a.key, a.size, a.sha256))
        self.known.add(media.object_key)
        for row in rows:
            owner = keys.owner(row.key)
            if owner is not None and owner != str(media.id):
                yield row.broken(c.BYTES_PLACE, f"it belongs to media {owner}.")
        if media.deleted_at is None:
            self.needed += rows

    async def missing(self, objects: Objects) -> AsyncIterator[Violation]:
        """Bytes that are not there, or not of their size; what the listing did not show is asked for once more."""
        for row in self.needed:
            found = self.listing.get(row.key) or await objects.stat(row.key)
            if found is None:
                yield row.broken(row.check, "there are no such bytes.")
            elif found.size != row.size:
                yield row.broken(row.check, f"there are {found.size} bytes, the row says {row.size}.")

    def orphans(self, now: datetime, limits: Limits) -> Iterator[Violation]:
        """Bytes without a row, once they are older than the janitor lets them grow."""
        for key, found in self.listing.items():
            age = (now - found.modified).total_seconds()
            if key not in self.known and age > limits.orphan_age:
                text = f"{found.size} bytes, {age / 3600:.0f} hours old, that no row names."
                yield c.ORPHAN_BYTES.broken("object", key, text)

    async def hashed(self, objects: Objects) -> AsyncIterator[Violation]:
        """Read every byte that a row needs, and compare its sha256. Missing bytes are told by `missing`."""
        for row in self.needed:
            digest = hashlib.sha256()
            try:
                async for block in objects.get(row.key):
                    digest.update(block)
            except ObjectMissing:
                continue
            if digest.hexdigest() != row.sha256:
                yield row.broken(c.BYTES_SHA256, f"its sha256 is {digest.hexdigest()}, the row says {row.sha256}.")


async def read_store(objects: Objects) -> Store:
    """One listing of everything that belongs to media. Raises Unavailable."""
    return Store({found.key: found async for found in objects.list(keys.MEDIA)})
