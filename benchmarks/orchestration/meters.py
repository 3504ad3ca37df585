"""CPU seconds and memory of each process from /proc, and statements by process from pg_stat_statements.

`take` reads all counters at a moment; two takes make a difference. `story` decides what lies between.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

MIB = 1024 * 1024
_WRITING = re.compile(r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO|COPY)\b", re.IGNORECASE)
_LOCKING = re.compile(r"\bFOR\s+(NO\s+KEY\s+)?UPDATE\b", re.IGNORECASE)
_FRAMING = re.compile(r"^\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|DEALLOCATE|START)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Sql:
    """Statements of one process. `framing`: BEGIN, COMMIT, SET; `rows_written`: by the writing ones."""

    framing: int = 0
    reads: int = 0
    writes: int = 0
    rows_written: int = 0

    def __sub__(self, other: Sql) -> Sql:
        return Sql(*(a - b for a, b in zip(_values(self), _values(other), strict=True)))

    @property
    def statements(self) -> int:
        """All of them."""
        return self.framing + self.reads + self.writes

    def to_json(self) -> dict[str, int]:
        return {"statements": self.statements, **vars(self)}


def _values(sql: Sql) -> tuple[int, ...]:
    return (sql.framing, sql.reads, sql.writes, sql.rows_written)


@dataclass(frozen=True)
class Reading:
    """All counters at a moment. CPU in seconds since start, children that have ended included."""

    cpu: Mapping[str, float]
    own_cpu: Mapping[str, float]
    """Without children: what the process itself used (postgres: all its backends)."""
    sql: Mapping[str, Sql]


def kind(query: str) -> str:
    """`framing`, `writes` or `reads`."""
    if _FRAMING.match(query):
        return "framing"
    return "writes" if _WRITING.search(_LOCKING.sub("", query)) else "reads"


def tally(rows: Iterable[tuple[str, str, int, int]]) -> dict[str, Sql]:
    """Rows of pg_stat_statements (role, query, calls, rows) by process."""
    sums: dict[str, dict[str, int]] = {}
    for role, query, calls, touched in rows:
        row = sums.setdefault(role.removeprefix("bench_"), dict.fromkeys(("framing", "reads", "writes", "rows"), 0))
        what = kind(query)
        row[what] += calls
        row["rows"] += touched if what == "writes" else 0
    return {name: Sql(r["framing"], r["reads"], r["writes"], r["rows"]) for name, r in sums.items()}


def statements(url: str) -> list[tuple[str, str, int, int]]:
    """What the platform's roles have asked PostgreSQL so far: role, query, calls, rows."""
    query = b"""
        SELECT r.rolname, s.query, s.calls, s.rows FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
        WHERE r.rolname LIKE 'bench\\_%'
    """
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def take(processes: Mapping[str, psutil.Process], url: str) -> Reading:
    """Read everything now."""
    cpu, own = {}, {}
    for name, process in processes.items():
        times = process.cpu_times()
        living = sum(t.user + t.system for t in (_times(c) for c in process.children(recursive=True)) if t)
        ended = times.children_user + times.children_system
        cpu[name] = times.user + times.system + living + ended
        own[name] = cpu[name] if name == "postgres" else times.user + times.system
    return Reading(cpu, own, tally(statements(url)))


def difference(before: Reading, after: Reading) -> dict[str, dict[str, object]]:
    """What each process used between two readings."""
    found: dict[str, dict[str, object]] = {}
    for name in after.cpu:
        used = after.cpu[name] - before.cpu[name]
        own = after.own_cpu[name] - before.own_cpu[name]
        found[name] = {"cpu": round(own, 2), "children": round(used - own, 2)}
    for name, sql in after.sql.items():
        found.setdefault(name, {})["sql"] = (sql - before.sql.get(name, Sql())).to_json()
    return found


def peak(process: psutil.Process) -> float:
    """The largest resident memory of a process so far, in MiB (VmHWM)."""
    return _status(process.pid, "VmHWM")


def resident(process: psutil.Process) -> float:
    """Its resident memory now, in MiB."""
    return _status(process.pid, "VmRSS")


def _status(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def _times(process: psutil.Process):  # type: ignore[no-untyped-def]
    try:
        return process.cpu_times()
    except psutil.NoSuchProcess:
        return None
