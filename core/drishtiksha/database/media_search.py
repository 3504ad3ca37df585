"""A user's media as a list: filtered, sorted, page by page. Called by the api.

A page goes on after the last row of the page before, by the values of the sort and the id: what is added or deleted
meanwhile moves nothing. Each sort has an index that holds its order.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Select, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from ..domain.analysis import Prediction
from ..domain.errors import NotFound
from ..domain.media import MediaType
from ..domain.status import TERMINAL_RUN, RunStatus
from .children import Depth
from .media import NOT_FOUND
from .media_views import MediaView, frames_of, of_owner, runs_where
from .session import Database
from .tables import Media, Run


class Order(StrEnum):
    """How a list is sorted; equal values are told apart by id."""

    NEWEST = "-createdAt"
    OLDEST = "createdAt"
    FILENAME = "filename"
    SIZE = "size"


_KEYS: dict[Order, InstrumentedAttribute[datetime] | InstrumentedAttribute[str] | InstrumentedAttribute[int]] = {
    Order.NEWEST: Media.created_at,
    Order.OLDEST: Media.created_at,
    Order.FILENAME: Media.filename,
    Order.SIZE: Media.size,
}

Place = tuple[datetime | str | int, uuid.UUID]
"""Where a page ended: the sorted value of its last row, and that row's id."""


@dataclass(frozen=True)
class Filters:
    """What a list shall hold; None: everything. `since` ≤ createdAt < `until`; `words` stand in the name or description."""

    status: RunStatus | None = None
    media_type: MediaType | None = None
    verdict: Prediction | None = None
    since: datetime | None = None
    until: datetime | None = None
    sha256: str | None = None
    words: str | None = None


@dataclass(frozen=True)
class Standing:
    """Where a media stands: its latest run, and what has become of it."""

    run_id: uuid.UUID
    status: RunStatus

    @property
    def final(self) -> bool:
        """Nothing changes any more, unless somebody asks for another run."""
        return self.status in TERMINAL_RUN


def place_of(media: Media, order: Order) -> Place:
    """The place of a row in a list of this order."""
    return getattr(media, _KEYS[order].key), media.id


class Library:
    """Reads of many media, and of the little that is asked often."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        user_id: uuid.UUID,
        *,
        limit: int,
        filters: Filters = Filters(),
        order: Order = Order.NEWEST,
        after: Place | None = None,
        depth: Depth = Depth.LIST,
    ) -> list[MediaView]:
        """At most `limit` media of a user from the place `after` on, each with its latest run only."""
        query = _sorted(_filtered(of_owner(user_id), filters), order, after).limit(limit)

        async def read(session: AsyncSession) -> list[MediaView]:
            found = (await session.scalars(query)).all()
            runs, children = await runs_where(session, Run.id.in_([m.latest_run_id for m in found]), depth)
            by_id = {run.id: run for run in runs}
            views = [MediaView(m, [by_id[m.latest_run_id]], children) for m in found]
            if depth is Depth.FULL:
                for analysis in (a for run in runs for a in run.analyses if a.frames_total):
                    view = next(v for v in views if v.media.id == analysis.media_id)
                    view.frames[analysis.id] = await frames_of(session, analysis)
            return views

        return await self._database.transaction(read)

    async def standing(self, user_id: uuid.UUID, media_id: uuid.UUID) -> Standing:
        """Where a media of this user stands now. Raises NotFound."""
        query = select(Media.latest_run_id, Media.status)
        mine = query.where(Media.id == media_id, Media.user_id == user_id, Media.deleted_at.is_(None))

        async def read(session: AsyncSession) -> Standing:
            found = (await session.execute(mine)).one_or_none()
            if found is None:
                raise NotFound(NOT_FOUND)
            return Standing(found[0], RunStatus(found[1]))

        return await self._database.transaction(read)


def _filtered(query: Select[Media], wanted: Filters) -> Select[Media]:
    if wanted.status is not None:
        query = query.where(Media.status == wanted.status)
    if wanted.media_type is not None:
        query = query.where(Media.media_type == wanted.media_type)
    if wanted.verdict is not None:
        query = query.join(Run, Run.id == Media.latest_run_id).where(Run.verdict == wanted.verdict)
    if wanted.since is not None:
        query = query.where(Media.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Media.created_at < wanted.until)
    if wanted.sha256 is not None:
        query = query.where(Media.sha256 == wanted.sha256)
    if wanted.words:
        pattern = f"%{_literally(wanted.words)}%"
        query = query.where(
            or_(Media.filename.ilike(pattern, escape="\\"), Media.description.ilike(pattern, escape="\\"))
        )
    return query


def _literally(words: str) -> str:
    """The words without the wildcards of LIKE."""
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _sorted(query: Select[Media], order: Order, after: Place | None) -> Select[Media]:
    key = _KEYS[order]
    if order is Order.NEWEST:
        query = query.order_by(key.desc(), Media.id.desc())
        return query if after is None else query.where(tuple_(key, Media.id) < after)
    query = query.order_by(key, Media.id)
    return query if after is None else query.where(tuple_(key, Media.id) > after)
