"""Media as their owners see and change them: accept, read, describe, rerun, cancel, delete, erase. Called by the api."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from ..domain import events as told
from ..domain.errors import NotActive, NotFound, QuotaExceeded, RunActive
from ..domain.events import Event, EventType
from ..domain.media import MediaType, Probe
from ..domain.status import TERMINAL_RUN, RunStatus
from . import events, tables
from .children import Depth
from .events import Announcement
from .idempotency import Claim, Made
from .media_views import WITH_FACTS, MediaView, frames_of, of_owner, runs_where
from .outbox import wish
from .runs import OPEN_ATTEMPT, OPEN_RUN
from .session import Database, new_id
from .tables import Analysis, Artifact, Attempt, Media, Outbox, Run, User

NOT_FOUND = "Media not found or you do not have permission."


@dataclass(frozen=True)
class NewMedia:
    """An upload whose bytes are durable under `object_key`. All ids are made before the write."""

    id: uuid.UUID
    run_id: uuid.UUID
    user_id: uuid.UUID
    filename: str
    description: str | None
    object_key: str
    size: int
    sha256: str
    probe: Probe
    traceparent: str | None = None


@dataclass(frozen=True)
class Quota:
    """Limits per user; None: no limit."""

    total_bytes: int | None = None
    media: int | None = None


@dataclass(frozen=True)
class ResourceFacts:
    """What the MediaAnalysis resource of a run has to say."""

    run_id: uuid.UUID
    run_number: int
    media_id: uuid.UUID
    media_type: MediaType
    has_audio: bool
    models: tuple[str, ...] | None
    traceparent: str | None


@dataclass(frozen=True)
class Erasure:
    """What is left of a deleted media. `age`: seconds since the tombstone."""

    run_ids: tuple[uuid.UUID, ...]
    object_keys: tuple[str, ...]
    age: float


class MediaStore:
    """One row per accepted upload, one per run."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(
        self, new: NewMedia, quota: Quota = Quota(), *, repeat: Claim | None = None, fingerprint: str = ""
    ) -> Announcement:
        """Media, metadata, run 1, event and outbox row in one transaction: after it, 202 is true.

        With `repeat`, the client's key for this request remembers it, in the same transaction. Raises QuotaExceeded,
        InFlight. Run again after a lost answer, it finds its own row.
        """

        async def write(session: AsyncSession) -> Announcement:
            if await session.get(Media, new.id) is not None:
                return await _last(session, new.user_id)
            if quota != Quota():
                await _check_quota(session, new, quota)
            values = {
                "id": new.id, "user_id": new.user_id, "filename": new.filename, "description": new.description,
                "object_key": new.object_key, "mimetype": new.probe.mimetype, "size": new.size, "sha256": new.sha256,
                "media_type": new.probe.media_type, "has_audio": new.probe.has_audio, "status": RunStatus.QUEUED,
                "latest_run_id": new.run_id, "latest_run_number": 1,
            }  # fmt: skip
            await session.execute(insert(Media).values(**values))
            await _insert_metadata(session, new.id, new.probe)
            await _insert_run(session, new.run_id, new.id, 1, {"traceparent": new.traceparent})
            if repeat is not None:
                await repeat.fulfil(session, Made(fingerprint, new.id, new.run_id))
            return await events.append(session, new.user_id, new.id, new.run_id, [told.run_queued(1)])

        return await self._database.transaction(write)

    async def get(self, user_id: uuid.UUID, media_id: uuid.UUID) -> MediaView:
        """One media with all its runs and, evenly spaced, at most MAX_FRAMES_SHOWN frames per analysis. Raises NotFound."""

        async def read(session: AsyncSession) -> MediaView:
            media = (await session.scalars(of_owner(user_id).where(Media.id == media_id))).one_or_none()
            if media is None:
                raise NotFound(NOT_FOUND)
            runs, children = await runs_where(session, Run.media_id == media_id, Depth.FULL)
            with_frames = [a for r in runs for a in r.analyses if a.frames_total]
            return MediaView(media, runs, children, {a.id: await frames_of(session, a) for a in with_frames})

        return await self._database.transaction(read)

    async def latest(self, media_id: uuid.UUID) -> MediaView | None:
        """One media with its latest run, as a list shows it, whoever owns it; None when deleted. For the relay."""

        async def read(session: AsyncSession) -> MediaView | None:
            query = select(Media).where(Media.id == media_id, Media.deleted_at.is_(None)).options(*WITH_FACTS)
            media = (await session.scalars(query)).one_or_none()
            if media is None:
                return None
            return MediaView(media, *await runs_where(session, Run.id == media.latest_run_id, Depth.LIST))

        return await self._database.transaction(read)

    async def content(self, media_id: uuid.UUID) -> Media | None:
        """The row behind a signed link; None when unknown or deleted."""

        async def read(session: AsyncSession) -> Media | None:
            return (
                await session.scalars(select(Media).where(Media.id == media_id, Media.deleted_at.is_(None)))
            ).one_or_none()

        return await self._database.transaction(read)

    async def artifact(self, artifact_id: uuid.UUID) -> Artifact | None:
        """The row behind a signed link to an artifact; None when unknown, unlisted or of a deleted media."""

        async def read(session: AsyncSession) -> Artifact | None:
            query = (
                select(Artifact)
                .join(Analysis, Analysis.id == Artifact.analysis_id)
                .join(Media, Media.id == Analysis.media_id)
                .where(Artifact.id == artifact_id, Artifact.listed, Media.deleted_at.is_(None))
            )
            return (await session.scalars(query)).one_or_none()

        return await self._database.transaction(read)

    async def describe(self, user_id: uuid.UUID, media_id: uuid.UUID, changes: dict[str, Any]) -> None:
        """Change `description` or `filename`. Raises NotFound."""
        if not changes.keys() <= {"description", "filename"}:
            raise ValueError("only description and filename can be changed")

        async def write(session: AsyncSession) -> None:
            changed = (
                update(Media)
                .where(Media.id == media_id, Media.user_id == user_id, Media.deleted_at.is_(None))
                .values(**changes, updated_at=func.now())
                .returning(Media.id)
            )
            if (await session.execute(changed)).one_or_none() is None:
                raise NotFound(NOT_FOUND)

        await self._database.transaction(write)

    async def rerun(
        self,
        user_id: uuid.UUID,
        media_id: uuid.UUID,
        *,
        models: Sequence[str] | None = None,
        reason: str | None = None,
        traceparent: str | None = None,
        repeat: Claim | None = None,
        fingerprint: str = "",
    ) -> Announcement:
        """A new run with the next number. Raises NotFound, RunActive when one is not final, InFlight (see `accept`)."""
        run_id = new_id()

        async def write(session: AsyncSession) -> Announcement:
            media = await _locked(session, user_id, media_id)
            if await session.get(Run, run_id) is not None:  # the answer to an earlier COMMIT was lost
                return await _last(session, user_id)
            if media.status not in TERMINAL_RUN:
                raise RunActive(str(media.latest_run_id), media.latest_run_number)
            number = media.latest_run_number + 1
            wanted = {
                "requested_models": list(models) if models else None,
                "requested_reason": reason,
                "requested_by": user_id,
                "traceparent": traceparent,
            }
            await _insert_run(session, run_id, media_id, number, wanted)
            if repeat is not None:
                await repeat.fulfil(session, Made(fingerprint, media_id, run_id))
            media.latest_run_id, media.latest_run_number = run_id, number
            media.status, media.updated_at = RunStatus.QUEUED, func.now()
            await session.flush()
            return await events.append(session, user_id, media_id, run_id, [told.run_queued(number)])

        return await self._database.transaction(write)

    async def request_cancel(self, user_id: uuid.UUID, media_id: uuid.UUID) -> uuid.UUID:
        """Ask for the end of the active run; the operator carries it out. Raises NotFound, NotActive. Returns the run."""
        asked_for: uuid.UUID | None = None

        async def write(session: AsyncSession) -> uuid.UUID:
            nonlocal asked_for
            media = await _locked(session, user_id, media_id)
            if asked_for is not None:  # the answer to COMMIT was lost; the operator may have carried it out since
                wished = select(Run.id).where(Run.id == asked_for, Run.cancel_requested_at.is_not(None))
                if (await session.execute(wished)).scalar_one_or_none() is not None:
                    return asked_for
            asked = (
                update(Run)
                .where(Run.id == media.latest_run_id, Run.status.in_(OPEN_RUN))
                .values(cancel_requested_at=func.coalesce(Run.cancel_requested_at, func.now()))
                .returning(Run.id)
            )
            found = (await session.execute(asked)).scalar_one_or_none()
            if found is None:
                raise NotActive("No analysis of this media is running.")
            asked_for = found
            return found

        return await self._database.transaction(write)

    async def remove(self, user_id: uuid.UUID, media_id: uuid.UUID) -> Announcement:
        """The tombstone: fences all attempts, blanks personal fields, wishes for the erasure. Raises NotFound."""
        tried = False

        async def write(session: AsyncSession) -> Announcement:
            nonlocal tried
            if tried and await _is_removed(session, user_id, media_id):  # the answer to an earlier COMMIT was lost
                return await _last(session, user_id)
            media = await _locked(session, user_id, media_id)
            tried = True
            run_id = media.latest_run_id
            await session.execute(
                update(Run)
                .where(Run.media_id == media_id, Run.status.in_(OPEN_RUN))
                .values(cancel_requested_at=func.coalesce(Run.cancel_requested_at, func.now()))
            )
            await session.execute(
                update(Run)
                .where(Run.media_id == media_id, Run.requested_reason.is_not(None))
                .values(requested_reason=None)
            )
            of_media = select(Analysis.id).where(Analysis.media_id == media_id)
            await session.execute(
                update(Attempt)
                .where(Attempt.analysis_id.in_(of_media), Attempt.state.in_(OPEN_ATTEMPT))
                .values(state="FENCED", finished_at=func.now())
            )
            media.filename, media.description, media.sha256 = "", None, ""
            media.deleted_at = media.updated_at = func.now()
            await wish(session, "erase", media_id)
            await session.flush()
            await events.forget_media(session, media_id)
            gone = Event(EventType.MEDIA_DELETED, "The media was deleted.", {})
            return await events.append(session, user_id, media_id, run_id, [gone])

        return await self._database.transaction(write)

    async def resource_facts(self, run_id: uuid.UUID) -> ResourceFacts | None:
        """What the dispatcher has to create; None when the run is gone, final, or of a deleted media."""

        async def read(session: AsyncSession) -> ResourceFacts | None:
            query = (
                select(Run, Media)
                .join(Media, Media.id == Run.media_id)
                .where(Run.id == run_id, Run.status.in_(OPEN_RUN), Media.deleted_at.is_(None))
            )
            found = (await session.execute(query)).one_or_none()
            if found is None:
                return None
            run, media = found.tuple()
            models = None if run.requested_models is None else tuple(run.requested_models)
            kind = MediaType(media.media_type)
            return ResourceFacts(run.id, run.number, media.id, kind, media.has_audio, models, run.traceparent)

        return await self._database.transaction(read)

    async def erasure(self, media_id: uuid.UUID) -> Erasure | None:
        """What the dispatcher has to remove of a tombstone; None when the rows are gone."""

        async def read(session: AsyncSession) -> Erasure | None:
            found = (
                await session.execute(
                    select(Media.object_key, func.extract("epoch", func.now() - Media.deleted_at)).where(
                        Media.id == media_id, Media.deleted_at.is_not(None)
                    )
                )
            ).one_or_none()
            if found is None:
                return None
            runs = (await session.scalars(select(Run.id).where(Run.media_id == media_id))).all()
            keys = (
                await session.scalars(select(Artifact.key).join(Analysis).where(Analysis.media_id == media_id))
            ).all()
            return Erasure(tuple(runs), (found[0], *keys), float(found[1]))

        return await self._database.transaction(read)

    async def erased(self, media_id: uuid.UUID) -> None:
        """Remove a tombstone's rows, after everything else is gone."""

        async def write(session: AsyncSession) -> None:
            runs = select(Run.id).join(Media).where(Media.id == media_id, Media.deleted_at.is_not(None))
            await session.execute(delete(Outbox).where(Outbox.kind == "create", Outbox.key.in_(runs)))
            await session.execute(delete(Media).where(Media.id == media_id, Media.deleted_at.is_not(None)))

        await self._database.transaction(write)

    async def known_keys(self, keys: Sequence[str]) -> set[str]:
        """Of these object keys, those that a row still needs. For the janitor of orphan bytes."""

        async def read(session: AsyncSession) -> set[str]:
            of_media = await session.scalars(select(Media.object_key).where(Media.object_key.in_(keys)))
            of_artifacts = await session.scalars(select(Artifact.key).where(Artifact.key.in_(keys)))
            return {*of_media, *of_artifacts}

        return await self._database.transaction(read)


async def _locked(session: AsyncSession, user_id: uuid.UUID, media_id: uuid.UUID) -> Media:
    """The media and its latest run, locked in order. Raises NotFound when it is somebody else's or deleted."""
    query = select(Media).where(Media.id == media_id, Media.user_id == user_id, Media.deleted_at.is_(None))
    media = (await session.scalars(query.with_for_update())).one_or_none()
    if media is None:
        raise NotFound(NOT_FOUND)
    await session.execute(select(Run.id).where(Run.id == media.latest_run_id).with_for_update())
    return media


async def _is_removed(session: AsyncSession, user_id: uuid.UUID, media_id: uuid.UUID) -> bool:
    query = select(Media.deleted_at).where(Media.id == media_id, Media.user_id == user_id)
    return (await session.execute(query)).scalar_one_or_none() is not None


async def _last(session: AsyncSession, user_id: uuid.UUID) -> Announcement:
    query = select(tables.EventCounter.last_seq).where(tables.EventCounter.user_id == user_id)
    return Announcement(user_id, (await session.execute(query)).scalar_one())


async def _check_quota(session: AsyncSession, new: NewMedia, quota: Quota) -> None:
    # Racers count one by one. NO KEY: whoever appends an event of this user refers to her row, and holds the counter
    # that we need in the end.
    await session.execute(select(User.id).where(User.id == new.user_id).with_for_update(key_share=True))
    query = select(func.count(), func.coalesce(func.sum(Media.size), 0))
    count, size = (
        (await session.execute(query.where(Media.user_id == new.user_id, Media.deleted_at.is_(None)))).one().tuple()
    )
    if quota.media is not None and count + 1 > quota.media:
        raise QuotaExceeded(f"You have {count} media; your quota is {quota.media}. Delete some and try again.")
    if quota.total_bytes is not None and int(size) + new.size > quota.total_bytes:
        raise QuotaExceeded(
            f"This upload would exceed your quota of {quota.total_bytes} bytes. Delete some media first."
        )


async def _insert_run(
    session: AsyncSession, run_id: uuid.UUID, media_id: uuid.UUID, number: int, more: dict[str, Any]
) -> None:
    await session.execute(
        insert(Run).values(id=run_id, media_id=media_id, number=number, status=RunStatus.QUEUED, **more)
    )
    await wish(session, "create", run_id)


async def _insert_metadata(session: AsyncSession, media_id: uuid.UUID, probe: Probe) -> None:
    pairs = (
        (tables.VideoMetadata, probe.video),
        (tables.ImageMetadata, probe.image),
        (tables.AudioMetadata, probe.audio),
    )
    for table, facts in pairs:
        if facts is not None:
            await session.execute(insert(table).values(media_id=media_id, **vars(facts)))
