"""After a death: everything is started anew, time passes, nobody helps; then it is told what is wrong, if anything.

Whoever calls `judge` gets sentences; none means that the platform has recovered.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import structlog

from drishtiksha.audit.audit import Places, verify
from drishtiksha.audit.limits import Limits
from drishtiksha.audit.report import lines
from drishtiksha.domain.errors import DrishtikshaError
from drishtiksha_api.janitor import GRACE

from . import pods
from .acts import Act
from .house import OBJECTS, TOLD, On
from .scenes import Scene

log = structlog.get_logger()

TURNS = 40
"""Within so many turns everything is final; five are usual."""
HEALS = 30.0
"""Seconds for what the cluster's own controllers have yet to do."""


async def judge(on: On, act: Act, scene: Scene, *, died: bool) -> list[str]:
    """Let everything come to its end; sentences about what is not as it must be."""
    wrong = await _announced(on)
    if act.again is not None:
        await act.again(on, scene)
    if not await settle(on):
        wrong.append("it does not settle")
    found = await facts(on, scene.user)
    allowed = {act.end, *(act.or_else if died else ())}
    if found not in allowed:
        wrong.append(f"it ended as {found!r}; it may end as {' or '.join(sorted(allowed))}")
    wrong += await _bytes(on)
    place = Places(on.house.database, on.kube, on.place.namespace, on.house.objects)
    report = await verify(place, Limits(grace=0.0), deep=True, patience=HEALS)
    if not report.clean:
        wrong += lines(report)
    return wrong


async def settle(on: On) -> bool:
    """Dispatcher, sweep, operator and pods in turn, until none of them finds anything to do; False: that never came."""
    for _ in range(TURNS):
        await on.time_passes()
        on.woken.clear()
        dispatched = await on.dispatcher.once()
        await on.sweep.rows()
        await on.sweep.both_sides()
        keys = list(dict.fromkeys(on.woken))
        for key in keys:
            try:
                await on.look(key)
            except DrishtikshaError as error:  # the queue would look again, as we do
                log.warning("a look failed", run=key, error=str(error))
        worked = await pods.work(on)
        if not (dispatched or keys or worked):
            return True
    return False


async def facts(on: On, user: str) -> str:
    """How a person's media stand: their runs' statuses and reasons, in order."""
    asked = """
        SELECT deleted_at IS NOT NULL, (
            SELECT string_agg(status || coalesce(' ' || reason, ''), ', ' ORDER BY number)
            FROM analysis_runs WHERE media_id = media.id)
        FROM media WHERE user_id = :user ORDER BY id
    """
    rows = await on.sql(asked, user=uuid.UUID(user))
    return " | ".join("tombstone" if deleted else str(runs) for deleted, runs in rows) or "nothing"


async def _announced(on: On) -> list[str]:
    """First make it true, then say it: what was announced before the death had been committed."""
    told = [line.split() for line in TOLD.read_text().splitlines()] if TOLD.exists() else []
    wrong = []
    for user, seq in told:
        rows = await on.sql("SELECT last_seq FROM event_counters WHERE user_id = :user", user=uuid.UUID(user))
        if not rows or rows[0][0] < int(seq):
            wrong.append(f"event {seq} was announced and never committed")
    return wrong


async def _bytes(on: On) -> list[str]:
    """Nothing is taken before its time; when it has come, what no row needs goes, and all the rest stays."""
    limit = time.time() - GRACE.total_seconds()
    young = [path for path in _files() if path.stat().st_mtime > limit]
    await on.janitor.once()
    wrong = [f"the janitor took {path} before its time" for path in young if not path.exists()]
    old = limit - GRACE.total_seconds()
    for path in OBJECTS.rglob("*"):
        os.utime(path, (old, old))
    await on.janitor.once()
    known = {str(key) for (key,) in await on.sql("SELECT object_key FROM media UNION SELECT key FROM artifacts")}
    there = {path.relative_to(OBJECTS).as_posix() for path in _files()}
    wrong += [f"nobody collects {name}" for name in sorted(there - known)]
    wrong += [f"the bytes of {key} are gone" for key in sorted(known - there)]
    wrong += [f"nobody collects the empty folder {path}" for path in _folders() if not any(path.iterdir())]
    return wrong


def _files() -> list[Path]:
    return [path for path in OBJECTS.rglob("*") if path.is_file()]


def _folders() -> list[Path]:
    return [path for path in (OBJECTS / "media").rglob("*") if path.is_dir()]
