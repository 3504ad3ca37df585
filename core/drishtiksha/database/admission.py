"""Admission: an attempt's row is the slot. Counted and inserted under one advisory lock, so the caps are exact.

Whose turn it is: users in turn (the one with the fewest attempts in flight first), each user's oldest run first.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from ..domain.analysis import attempt_id
from ..domain.status import AnalysisStatus, AttemptState
from .locks import lock_run
from .runs import OPEN_ANALYSIS, OPEN_RUN
from .session import Database
from .tables import Analysis, Attempt, Media, Run

LOCK = 0x736C6F7473  # "slots"
_LOOK_AHEAD = 2000
"""Waiting analyses that are ranked at most; those behind them wait in any case."""


@dataclass(frozen=True)
class Caps:
    """How many attempts may be in flight: in all, of one user, of one model (by name, else `per_model`)."""

    total: int
    per_user: int
    per_model: int
    of_model: Mapping[str, int]

    def model(self, name: str) -> int:
        """The cap of one model."""
        return self.of_model.get(name, self.per_model)


@dataclass(frozen=True)
class Admitted:
    """`started`: attempt ids by model, new in this call. `ahead`: by waiting model, how many are served before it.

    `others`: runs that have a free place waiting for them; look at them next.
    """

    started: Mapping[str, uuid.UUID]
    ahead: Mapping[str, int]
    others: tuple[uuid.UUID, ...]


@dataclass(frozen=True)
class Waiting:
    """One analysis that could start now."""

    analysis_id: uuid.UUID
    run_id: uuid.UUID
    user_id: uuid.UUID
    model: str


def rank(
    waiting: list[Waiting], caps: Caps, total: int, of_user: Mapping[uuid.UUID, int], of_model: Mapping[str, int]
) -> tuple[list[Waiting], dict[uuid.UUID, int]]:
    """Who gets a place, and for the others how many are ahead (by analysis id). Pure.

    `waiting` is oldest run first; the counts are of attempts in flight.
    """
    users: dict[uuid.UUID, list[Waiting]] = {}
    for one in waiting:
        users.setdefault(one.user_id, []).append(one)
    in_user, in_model = Counter(of_user), Counter(of_model)
    order: list[Waiting] = []
    turns = {user: in_user[user] for user in users}
    queues = {user: iter(ones) for user, ones in users.items()}
    arrival = {user: position for position, user in enumerate(users)}
    while queues:
        user = min(queues, key=lambda u: (turns[u], arrival[u]))
        following = next(queues[user], None)
        if following is None:
            del queues[user]
            continue
        turns[user] += 1
        order.append(following)
    admitted: list[Waiting] = []
    ahead: dict[uuid.UUID, int] = {}
    for one in order:
        full = (
            total >= caps.total or in_user[one.user_id] >= caps.per_user or in_model[one.model] >= caps.model(one.model)
        )
        if full:
            ahead[one.analysis_id] = len(ahead)
            continue
        admitted.append(one)
        total += 1
        in_user[one.user_id] += 1
        in_model[one.model] += 1
    return admitted, ahead


class Admission:
    """Called by the operator."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start_attempts(self, run_id: uuid.UUID, caps: Caps, running_deadline: Mapping[str, float]) -> Admitted:
        """Insert the next attempt of each of this run's waiting analyses that gets a place.

        `running_deadline`: seconds by model. A full house is no failure and costs no attempt. Writes nothing when
        nothing can start.
        """
        tried: list[Admitted] = []

        async def write(session: AsyncSession) -> Admitted:
            media, run = await lock_run(session, run_id)
            if tried and await _exist(session, tried[-1].started.values()):  # the answer to an earlier COMMIT was lost
                return tried[-1]
            await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            waiting = await _waiting(session)
            mine = {w.analysis_id for w in waiting if w.run_id == run_id}
            if not mine or media.deleted_at is not None or run.cancel_requested_at is not None:
                return Admitted({}, {}, ())
            in_flight = await session.execute(
                select(Media.user_id, Analysis.model, func.count())
                .select_from(Attempt)
                .join(Analysis, Analysis.id == Attempt.analysis_id)
                .join(Media, Media.id == Analysis.media_id)
                .where(Attempt.job_ended_at.is_(None))
                .group_by(Media.user_id, Analysis.model)
            )
            of_user: Counter[uuid.UUID] = Counter()
            of_model: Counter[str] = Counter()
            for user, model, count in in_flight.tuples():
                of_user[user] += count
                of_model[model] += count
            admitted, ahead = rank(waiting, caps, of_user.total(), of_user, of_model)
            started: dict[str, uuid.UUID] = {}
            for one in admitted:
                if one.run_id == run_id:
                    started[one.model] = await _start(session, one.analysis_id, running_deadline[one.model])
            others = tuple(dict.fromkeys(w.run_id for w in admitted if w.run_id != run_id))
            before_it = {
                w.model: ahead[w.analysis_id] for w in waiting if w.run_id == run_id and w.analysis_id in ahead
            }
            tried.append(Admitted(started, before_it, others))
            return tried[-1]

        return await self._database.transaction(write)


async def _exist(session: AsyncSession, attempts: Collection[uuid.UUID]) -> bool:
    found = await session.execute(select(Attempt.id).where(Attempt.id.in_(attempts)).limit(1))
    return found.scalar_one_or_none() is not None


async def _waiting(session: AsyncSession) -> list[Waiting]:
    """Analyses without an attempt in flight whose time has come, of live runs, oldest run first."""
    in_flight = select(Attempt.id).where(Attempt.analysis_id == Analysis.id, Attempt.job_ended_at.is_(None)).exists()
    rows = await session.execute(
        select(Analysis.id, Analysis.run_id, Media.user_id, Analysis.model)
        .join(Run, Run.id == Analysis.run_id)
        .join(Media, Media.id == Run.media_id)
        .where(
            Run.status.in_(OPEN_RUN),
            Run.cancel_requested_at.is_(None),
            Media.deleted_at.is_(None),
            Analysis.status.in_(OPEN_ANALYSIS),
            Analysis.attempt < Analysis.budget,
            or_(
                (Analysis.attempt == 0) & (Analysis.status == AnalysisStatus.PENDING),
                Analysis.retry_at <= func.now(),
            ),
            ~in_flight,
        )
        .order_by(Run.created_at, Run.id, Analysis.model)
        .limit(_LOOK_AHEAD)
    )
    return [Waiting(*row) for row in rows.tuples()]


async def _start(session: AsyncSession, analysis: uuid.UUID, running_deadline: float) -> uuid.UUID:
    number: int = (
        await session.execute(
            update(Analysis)
            .where(Analysis.id == analysis)
            .values(attempt=Analysis.attempt + 1, retry_at=None, pending_reason=None, pending_message=None)
            .returning(Analysis.attempt)
        )
    ).scalar_one()
    made = attempt_id(analysis, number)
    values = {"id": made, "analysis_id": analysis, "number": number, "state": AttemptState.CREATED}
    await session.execute(insert(Attempt).values(**values, running_deadline=running_deadline))
    return made
