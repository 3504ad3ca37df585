"""Which bytes the rows need: read page by page by the command that moves them to another object store."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from .session import Database
from .tables import Analysis, Artifact, Media


@dataclass(frozen=True)
class Bytes:
    """An object that a row of a live media names. `listed` false: an artifact that no result lists, or not yet."""

    media_id: uuid.UUID
    key: str
    size: int
    sha256: str
    listed: bool = True


class StoredRows:
    """All bytes of all media that are not deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def total(self) -> tuple[int, int]:
        """How many objects there are, and how many bytes they have."""

        async def read(session: AsyncSession) -> tuple[int, int]:
            media = select(func.count(), func.coalesce(func.sum(Media.size), 0)).where(Media.deleted_at.is_(None))
            artifacts = (
                select(func.count(), func.coalesce(func.sum(Artifact.size), 0))
                .join(Analysis, Analysis.id == Artifact.analysis_id)
                .join(Media, Media.id == Analysis.media_id)
                .where(Media.deleted_at.is_(None))
            )
            sums = [(await session.execute(query)).one().tuple() for query in (media, artifacts)]
            return sum(int(count) for count, _ in sums), sum(int(size) for _, size in sums)

        return await self._database.transaction(read)

    async def page(self, after: uuid.UUID | None, limit: int = 200) -> list[Bytes]:
        """The bytes of the next `limit` media by id, each original before its artifacts; empty at the end."""

        async def read(session: AsyncSession) -> list[Bytes]:
            query = select(Media.id, Media.object_key, Media.size, Media.sha256).where(Media.deleted_at.is_(None))
            if after is not None:
                query = query.where(Media.id > after)
            media = (await session.execute(query.order_by(Media.id).limit(limit))).all()
            artifacts = (
                select(Analysis.media_id, Artifact.key, Artifact.size, Artifact.sha256, Artifact.listed)
                .join(Analysis, Analysis.id == Artifact.analysis_id)
                .where(Analysis.media_id.in_([row.id for row in media]))
                .order_by(Analysis.media_id, Artifact.key)
            )
            found = [Bytes(*row) for row in media]
            found += [Bytes(*row) for row in (await session.execute(artifacts)).all()]
            return sorted(found, key=lambda one: one.media_id)

        return await self._database.transaction(read)

    async def needs(self, found: Bytes) -> bool:
        """Whether a row still names these bytes: their media may have been deleted meanwhile."""

        async def read(session: AsyncSession) -> bool:
            live = select(Media.object_key).where(Media.id == found.media_id, Media.deleted_at.is_(None))
            original = (await session.execute(live)).scalar_one_or_none()
            if original is None or original == found.key:
                return original is not None
            return (await session.execute(select(Artifact.id).where(Artifact.key == found.key))).first() is not None

        return await self._database.transaction(read)
