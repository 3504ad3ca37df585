"""Frames as rows: those that the analyses of one run have looked at, by model and number. Called by the api.

A page is read analysis by analysis from the primary key on (analysis, frame number), which is their order already.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from ..domain.analysis import Prediction
from ..domain.errors import NotFound
from .media import NOT_FOUND
from .session import Database
from .tables import Analysis, FrameAnalysis, Media, Run


class Frame(NamedTuple):
    """`score` is P(fake), `timestamp` in seconds."""

    model: str
    analysis_id: uuid.UUID
    number: int
    score: float
    prediction: str
    timestamp: float | None


@dataclass(frozen=True)
class FramePage:
    """Some frames of the run with this number."""

    run: int
    frames: Sequence[Frame]


class Frames:
    """Reads of single frames."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        user_id: uuid.UUID,
        media_id: uuid.UUID,
        *,
        limit: int,
        run: int | None = None,
        model: str | None = None,
        prediction: Prediction | None = None,
        min_score: float | None = None,
        after: tuple[str, int] | None = None,
    ) -> FramePage:
        """At most `limit` frames of a run (None: the latest) from the one after (model, number) on. Raises NotFound."""

        async def read(session: AsyncSession) -> FramePage:
            found = (await session.execute(_analyses(user_id, media_id, run))).all()
            if not found:
                raise NotFound(NOT_FOUND)
            frames: list[Frame] = []
            for analysis_id, name in sorted(((a, m) for _, a, m in found if a and m), key=lambda pair: pair[1]):
                if len(frames) == limit or (after and name < after[0]) or (model is not None and name != model):
                    continue
                start = after[1] if after and name == after[0] else None
                query = _frames(analysis_id, prediction, min_score, start).limit(limit - len(frames))
                rows = await session.execute(query)
                frames += [Frame(name, analysis_id, *row) for row in rows]
            return FramePage(found[0][0], frames)

        return await self._database.transaction(read)


def _analyses(user_id: uuid.UUID, media_id: uuid.UUID, run: int | None) -> Select[int, uuid.UUID, str]:
    """The run's number, and each of its analyses; one row without an analysis where there is none."""
    query = select(Run.number, Analysis.id, Analysis.model).select_from(Media)
    joined = query.join(Run, Run.media_id == Media.id).outerjoin(Analysis, Analysis.run_id == Run.id)
    wanted = func.coalesce(run, Media.latest_run_number)
    return joined.where(
        Media.id == media_id, Media.user_id == user_id, Media.deleted_at.is_(None), Run.number == wanted
    )


def _frames(
    analysis_id: uuid.UUID, prediction: Prediction | None, min_score: float | None, start: int | None
) -> Select[int, float, str, float | None]:
    row = FrameAnalysis
    query = select(row.frame_number, row.score, row.prediction, row.timestamp).where(row.analysis_id == analysis_id)
    if prediction is not None:
        query = query.where(row.prediction == prediction)
    if min_score is not None:
        query = query.where(row.score >= min_score)
    if start is not None:
        query = query.where(row.frame_number > start)
    return query.order_by(row.frame_number)
