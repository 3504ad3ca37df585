"""Checks of the durable events: their numbers per user, their owner, and what a run's changes must have told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from ..database.audit_facts import MediaFacts, Numbers, RunFacts, StrayEvent
from ..domain.events import EventType
from ..domain.status import TERMINAL_RUN, AnalysisStatus
from . import catalogue as c
from .catalogue import Violation
from .limits import Limits


def numbers(kept: Iterable[Numbers], now: datetime, limits: Limits) -> Iterator[Violation]:
    """Each user's events are without gaps up to the counter; old ones may be gone, from the oldest on."""
    for user in kept:
        may_miss = (now - user.user_created_at).total_seconds() > limits.event_retention
        text: str | None = None
        if user.last_seq is None:
            text = f"There are {user.count} events and no counter."
        elif user.count == 0:
            text = None if may_miss else f"The counter says {user.last_seq}, and there are no events."
        elif user.highest != user.last_seq:
            text = f"The counter says {user.last_seq}, the last event has number {user.highest}."
        elif user.highest - (user.lowest or 0) + 1 != user.count:
            text = f"There are {user.count} events numbered {user.lowest} to {user.highest}."
        elif user.lowest != 1 and not may_miss:
            text = f"The first event has number {user.lowest}, though none is old enough to have gone."
        if text is not None:
            yield c.EVENT_NUMBERS.broken("user", user.user_id, text)


def pruned(kept: Iterable[Numbers]) -> frozenset[UUID]:
    """The users whose oldest events have gone."""
    return frozenset(user.user_id for user in kept if user.lowest != 1)


def strays(found: Iterable[StrayEvent]) -> Iterator[Violation]:
    """Events of deleted media are bare; those of media that are there are not."""
    for event in found:
        text = f"Event {event.seq} is {event.type} of media {event.media_id}, which is "
        text += "there." if event.media_is_there else "deleted."
        ids = {"user": event.user_id, "media": event.media_id}
        yield c.EVENTS_BARE.broken("event", f"{event.user_id}/{event.seq}", text, **ids)


def of_media(media: MediaFacts, lost_old: frozenset[UUID]) -> Iterator[Violation]:
    """What was told of each run of a media that is not deleted. `lost_old`: see `pruned`."""
    if media.deleted_at is not None:
        return
    for run in media.runs:
        above = {"media": media.id, "user": media.user_id}
        foreign = sorted({str(t.user_id) for t in run.told if t.user_id != media.user_id})
        if foreign:
            yield c.EVENT_OWNER.broken(
                "run", run.id, f"It is told to {', '.join(foreign)}, who do not own it.", **above
            )
        lost_some = media.user_id in lost_old and not any(t.type == EventType.RUN_QUEUED for t in run.told)
        if not lost_some:
            for text in _telling(run):
                yield c.EVENTS_OF_RUN.broken("run", run.id, text, **above)


def _telling(run: RunFacts) -> Iterator[str]:
    """One event for each change that the rows show, and no other."""
    final = run.status in TERMINAL_RUN
    by_type = Counter(t.type for t in run.told)
    for kind, due in (
        (EventType.RUN_QUEUED, 1),
        (EventType.PROCESSING_STARTED, int(run.started_at is not None)),
        (EventType.RUN_COMPLETED, int(final)),
    ):
        if by_type[kind] != due:
            yield f"It is {run.status}, and {kind} was told {by_type[kind]} times, not {due}."
    per_model = Counter((t.type, t.model) for t in run.told)
    for analysis in run.analyses:
        for kind, due in (
            (EventType.ANALYSIS_QUEUED, 1),
            (EventType.ANALYSIS_COMPLETED, int(analysis.status == AnalysisStatus.COMPLETED)),
            (EventType.ANALYSIS_FAILED, int(analysis.status == AnalysisStatus.FAILED)),
        ):
            times = per_model[kind, analysis.model]
            if times != due:
                yield f"{analysis.model} is {analysis.status}, and {kind} was told {times} times, not {due}."
    models = {analysis.model for analysis in run.analyses}
    strangers = sorted({t.model for t in run.told if t.model is not None} - models)
    if strangers:
        yield f"Models were told that it does not have: {', '.join(strangers)}."
    if run.told and run.told[0].type != EventType.RUN_QUEUED:
        yield f"It was told from {run.told[0].type} on, not from RUN_QUEUED."
    ends = [t for t in run.told if t.type == EventType.RUN_COMPLETED]
    if final and ends:
        if run.told[-1] is not ends[-1]:
            yield f"{run.told[-1].type} was told after its end."
        if any(t.status != run.status for t in ends):
            yield f"It is {run.status}, and {ends[0].status} was told."
