"""After everything has settled nobody writes (I12): counted in PostgreSQL, and in the API server's own log of requests.

PostgreSQL counts each transaction that writes, whoever made it, in its next transaction number. The nodes' leases are
in another namespace; nothing else may be written in ours.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from world import World

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
LOOK_SECONDS = 6.5
"""One look: longer than a sweep of these worlds."""
LOOKS = 5
"""PostgreSQL's own autovacuum writes now and then, each minute at most: one of so many looks must be without."""


def disturbances(world: World, audit_log: Path | None) -> list[str]:
    """Empty if in one look of LOOKS nothing was written; else what the last look saw."""
    seen: list[str] = []
    for _ in range(LOOKS):
        start, before = audit_log.stat().st_size if audit_log else 0, _transactions(world)
        versions = None if audit_log else _versions(world)
        time.sleep(LOOK_SECONDS)
        after = _transactions(world)
        seen = _requests(audit_log, start, world.namespace) if audit_log else []
        if versions is not None and _versions(world) != versions:
            seen.append("objects have other versions than before")
        if after != before:
            seen.append(f"{after - before} transactions wrote in PostgreSQL")
        if not seen:
            return []
    return seen


def _transactions(world: World) -> int:
    ((number,),) = world.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    return int(number)


def _versions(world: World) -> dict[str, str]:
    found = json.loads(world.kubectl("get", "ma,jobs,pods,secrets,events", "-o", "json"))["items"]
    return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in found}


def _requests(audit_log: Path, start: int, namespace: str) -> list[str]:
    """The writes in a namespace since a place in the log: who, what, which."""
    with audit_log.open("rb") as log:
        log.seek(start)
        lines = log.read().splitlines()
    seen = []
    for line in lines:
        told = json.loads(line)
        target = told.get("objectRef") or {}
        if told["verb"] in WRITES and target.get("namespace") == namespace:
            seen.append(f"{told['user']['username']}: {told['verb']} {target.get('resource')} {target.get('name')}")
    return seen
