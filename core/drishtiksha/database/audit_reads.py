"""What the audit reads: everything of Postgres in one snapshot that nobody's commit can change, and not one write.

A REPEATABLE READ READ ONLY transaction; media come in pages with all that hangs below them, so that memory stays small.
`drishtiksha.audit` judges what is read here.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import Executable, Select, case, exists, func, or_, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from ..domain.errors import Unavailable
from ..domain.status import AnalysisStatus
from . import migrate, tables
from .audit_facts import (
    AnalysisFacts,
    ArtifactFacts,
    AttemptFacts,
    MediaFacts,
    Numbers,
    RunFacts,
    StrayEvent,
    ToldFacts,
    WishFacts,
)
from .session import Database
from .tables import Analysis, AnalysisError, Artifact, Attempt, Event, EventCounter, Media, Outbox, Run, User

Query = Select[*tuple[Any, ...]]
PAGE = 200
"""Media per page."""
GUARDS = frozenset(
    {
        *("guard_run", "guard_run_status", "guard_media", "guard_media_status", "guard_new_analysis", "guard_analysis"),
        *("guard_analysis_removal", "guard_new_attempt", "guard_attempt"),
    }
)
"""The triggers by which the database itself refuses, as the migrations make them."""


@dataclass
class Snapshot:
    """One look at the whole database. Valid inside `look_at`'s block."""

    now: datetime
    """The database's clock when the snapshot was taken."""
    revision: str | None
    guards: frozenset[str]
    """Names of the triggers that are there and enabled."""
    _connection: AsyncConnection = field(repr=False)

    async def media(self, page: int = PAGE) -> AsyncIterator[list[MediaFacts]]:
        """All media with everything below them, page by page."""
        after: uuid.UUID | None = None
        while True:
            query = _media().order_by(Media.id).limit(page)
            rows = await self._rows(query if after is None else query.where(Media.id > after))
            if not rows:
                return
            after = rows[-1].id
            yield await self._below(rows)

    async def numbers(self) -> list[Numbers]:
        """Of each user with events or a counter: what is kept."""
        kept = (
            select(
                Event.user_id, func.count().label("n"), func.min(Event.seq).label("a"), func.max(Event.seq).label("z")
            )
            .group_by(Event.user_id)
            .subquery()
        )
        query = (
            select(User.id, User.created_at, EventCounter.last_seq, func.coalesce(kept.c.n, 0), kept.c.a, kept.c.z)
            .outerjoin(EventCounter, EventCounter.user_id == User.id)
            .outerjoin(kept, kept.c.user_id == User.id)
            .where(or_(EventCounter.user_id.is_not(None), kept.c.n > 0))
            .order_by(User.id)
        )
        return [Numbers(*row) for row in await self._rows(query)]

    async def stray_events(self) -> list[StrayEvent]:
        """Events of media that are gone or deleted and still say something, and deletions of media that are there."""
        bare = func.coalesce(Event.payload["data"], text("'{}'::jsonb")) == text("'{}'::jsonb")
        there = Media.id.is_not(None) & Media.deleted_at.is_(None)
        query = (
            select(Event.user_id, Event.seq, Event.type, Event.media_id, there)
            .outerjoin(Media, Media.id == Event.media_id)
            .where(
                Event.media_id.is_not(None),
                case((there, Event.type == "MEDIA_DELETED"), else_=(Event.type != "MEDIA_DELETED") | ~bare),
            )
            .order_by(Event.user_id, Event.seq)
            .limit(1000)
        )
        return [StrayEvent(*row) for row in await self._rows(query)]

    async def wishes(self) -> list[WishFacts]:
        """The whole outbox."""
        of_run = select(Run.id, Run.status, Media.deleted_at).join(Media, Media.id == Run.media_id).subquery()
        subject = case(
            (
                Outbox.kind == "create",
                case(
                    (of_run.c.id.is_(None), "gone"),
                    (of_run.c.deleted_at.is_not(None), "deleted"),
                    (of_run.c.status.in_(("QUEUED", "PROCESSING")), "live"),
                    else_="final",
                ),
            ),
            (Media.id.is_(None), "gone"),
            (Media.deleted_at.is_not(None), "deleted"),
            else_="live",
        )
        query = (
            select(
                *(Outbox.kind, Outbox.key, subject, Outbox.created_at, Outbox.next_try_at, Outbox.rejected_at),
                Outbox.last_error,
            )
            .outerjoin(of_run, (Outbox.kind == "create") & (of_run.c.id == Outbox.key))
            .outerjoin(Media, (Outbox.kind == "erase") & (Media.id == Outbox.key))
            .order_by(Outbox.kind, Outbox.key)
        )
        return [WishFacts(*row) for row in await self._rows(query)]

    async def _below(self, media: Sequence[Any]) -> list[MediaFacts]:
        ids = [m.id for m in media]
        analyses = _grouped(await self._rows(_analyses(ids)), 1)
        attempts = _grouped(await self._rows(_attempts(ids)))
        artifacts = _grouped(await self._rows(_artifacts(ids)))
        errors = _grouped(await self._rows(_errors(ids)))
        told = _grouped(await self._rows(_told(ids)))
        with_children = {row[0] for row in await self._rows(_with_children(ids))}

        def analysis(row: Sequence[Any]) -> AnalysisFacts:
            key = row[0]
            below = {
                "attempts": tuple(AttemptFacts(*t[1:]) for t in attempts[key]),
                "artifacts": tuple(ArtifactFacts(*a[1:]) for a in artifacts[key]),
                "recorded": frozenset(e[1] for e in errors[key]),
                "has_children": key in with_children,
                "has_model_info": row[-1],
            }
            return AnalysisFacts(key, *row[2:-1], **below)

        runs: dict[uuid.UUID, list[RunFacts]] = defaultdict(list)
        worded: set[uuid.UUID] = set()
        for row in await self._rows(_runs(ids)):
            values = dict(row._mapping)
            owner, models = values.pop("media_id"), values.pop("verdict_models")
            if values.pop("worded"):
                worded.add(owner)
            runs[owner].append(
                RunFacts(
                    **values,
                    verdict_models=None if models is None else tuple(models),
                    analyses=tuple(analysis(a) for a in analyses[row.id]),
                    told=tuple(ToldFacts(*t[1:]) for t in told[row.id]),
                )
            )
        found = []
        for row in media:
            values = dict(row._mapping)
            blank = {
                "filename": values.pop("filename") == "",
                "description": values.pop("description") is None,
                "sha256": row.sha256 == "",
                "the reason of a run": row.id not in worded,
            }
            personal = tuple(name for name, empty in blank.items() if not empty)
            found.append(MediaFacts(**values, personal=personal, runs=tuple(runs[row.id])))
        return found

    async def _rows(self, query: Executable) -> Sequence[Any]:
        return list((await self._connection.execute(query)).all())


@asynccontextmanager
async def look_at(database: Database) -> AsyncIterator[Snapshot]:
    """Open one snapshot; the server itself refuses a write in it. Raises Unavailable."""
    try:
        async with database.engine.connect() as plain:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            connection = await plain.execution_options(**options)
            async with connection.begin():
                now = (await connection.execute(select(func.now()))).scalar_one()
                revision = await _revision(connection)
                triggers = text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')")
                guards = frozenset((await connection.execute(triggers)).scalars())
                yield Snapshot(now, revision, guards, connection)
    except (DBAPIError, PoolTimeout) as error:
        raise Unavailable("postgres", f"The database does not answer: {str(error).splitlines()[0]}") from error


def behind(revision: str | None) -> bool:
    """Whether a schema is older than this program. One that a newer release made is not: old code runs over it."""
    known, newest = _revisions()
    return revision is None or (revision in known and revision != newest)


@cache
def _revisions() -> tuple[frozenset[str], str | None]:
    scripts = ScriptDirectory.from_config(migrate.config(""))
    return frozenset(script.revision for script in scripts.walk_revisions()), scripts.get_current_head()


async def _revision(connection: AsyncConnection) -> str | None:
    there = (await connection.execute(text("SELECT to_regclass('alembic_version') IS NOT NULL"))).scalar_one()
    if not there:
        return None
    found: str | None = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
    return found


def _grouped(rows: Iterable[Any], column: int = 0) -> dict[uuid.UUID, list[Any]]:
    found: dict[uuid.UUID, list[Any]] = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return found


def _media() -> Query:
    wished = exists().where(Outbox.kind == "erase", Outbox.key == Media.id)
    metadata = case(
        (Media.media_type == "VIDEO", exists().where(tables.VideoMetadata.media_id == Media.id)),
        (Media.media_type == "IMAGE", exists().where(tables.ImageMetadata.media_id == Media.id)),
        (Media.media_type == "AUDIO", exists().where(tables.AudioMetadata.media_id == Media.id)),
        else_=True,
    )
    return select(
        *(Media.id, Media.user_id, Media.object_key, Media.size, Media.sha256, Media.status, Media.latest_run_id),
        *(Media.latest_run_number, Media.created_at, Media.deleted_at, Media.filename, Media.description),
        metadata.label("has_metadata"),
        wished.label("erasure_wished"),
    )


def _runs(media: Sequence[uuid.UUID]) -> Query:
    wish = (Outbox.kind == "create") & (Outbox.key == Run.id)
    return (
        select(
            *(Run.media_id, Run.id, Run.number, Run.status, Run.reason, Run.frozen_at, Run.verdict, Run.verdict_basis),
            *(Run.verdict_score, Run.verdict_models, Run.created_at, Run.started_at, Run.finished_at),
            Run.cancel_requested_at.is_not(None).label("cancel_requested"),
            Run.requested_reason.is_not(None).label("worded"),
            (Outbox.key.is_not(None) & Outbox.rejected_at.is_(None)).label("wished"),
            Outbox.rejected_at.label("rejected_at"),
        )
        .outerjoin(Outbox, wish)
        .where(Run.media_id.in_(media))
        .order_by(Run.number)
    )


def _analyses(media: Sequence[uuid.UUID]) -> Query:
    """By their run's media, so that a row whose own media is another one is seen too."""
    return (
        select(
            *(Analysis.id, Analysis.run_id, Analysis.media_id, Analysis.model, Analysis.status, Analysis.attempt),
            *(Analysis.budget, Analysis.retry_at, Analysis.prediction, Analysis.confidence, Analysis.score),
            *(Analysis.basis, Analysis.error_class, Analysis.error_message, Analysis.created_at, Analysis.started_at),
            *(Analysis.finished_at, exists().where(tables.ModelInfo.analysis_id == Analysis.id)),
        )
        .join(Run, Run.id == Analysis.run_id)
        .where(Run.media_id.in_(media))
        .order_by(Analysis.model)
    )


def _attempts(media: Sequence[uuid.UUID]) -> Query:
    return (
        select(
            *(Attempt.analysis_id, Attempt.id, Attempt.number, Attempt.state, Attempt.job_name, Attempt.job_uid),
            *(Attempt.error_class, Attempt.running_deadline, Attempt.created_at, Attempt.started_at),
            *(Attempt.finished_at, Attempt.job_ended_at),
        )
        .join(Analysis, Analysis.id == Attempt.analysis_id)
        .join(Run, Run.id == Analysis.run_id)
        .where(Run.media_id.in_(media))
        .order_by(Attempt.number)
    )


def _artifacts(media: Sequence[uuid.UUID]) -> Query:
    return (
        select(
            *(Artifact.analysis_id, Artifact.id, Artifact.attempt_id, Artifact.key, Artifact.size, Artifact.sha256),
            Artifact.listed,
        )
        .join(Analysis, Analysis.id == Artifact.analysis_id)
        .join(Run, Run.id == Analysis.run_id)
        .where(Run.media_id.in_(media))
        .order_by(Artifact.name)
    )


def _errors(media: Sequence[uuid.UUID]) -> Query:
    return (
        select(AnalysisError.analysis_id, AnalysisError.attempt)
        .join(Analysis, Analysis.id == AnalysisError.analysis_id)
        .join(Run, Run.id == Analysis.run_id)
        .where(Run.media_id.in_(media))
    )


def _told(media: Sequence[uuid.UUID]) -> Query:
    data = Event.payload["data"]
    return (
        select(
            *(Event.run_id, Event.seq, Event.type, Event.user_id),
            *(data["status"].astext, data["modelName"].astext),
        )
        .join(Run, Run.id == Event.run_id)
        .where(Run.media_id.in_(media))
        .order_by(Event.user_id, Event.seq)
    )


_CHILDREN = (
    tables.AnalysisMetric, tables.AnalysisFact, tables.AnalysisLimit, tables.AnalysisDetails, tables.FrameAnalysis,
    tables.TemporalAnalysis, tables.AudioAnalysis, tables.ImageAnalysis, tables.ModelInfo, tables.SystemInfo,
    tables.EvidenceSeries, tables.EvidenceRegion,
)  # fmt: skip
"""Tables that only a result fills."""


def _with_children(media: Sequence[uuid.UUID]) -> Query:
    """Analyses that are not COMPLETED and have rows of a result all the same."""
    children = or_(*(exists().where(child.analysis_id == Analysis.id) for child in _CHILDREN))
    return (
        select(Analysis.id)
        .join(Run, Run.id == Analysis.run_id)
        .where(Run.media_id.in_(media), Analysis.status != AnalysisStatus.COMPLETED, children)
    )
