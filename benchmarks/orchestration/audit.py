"""The API server's audit log, counted: who asked for what, how often. Pure; `stage` names the file, `story` the windows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_SERVICE_ACCOUNT = "system:serviceaccount:kube-system:"


@dataclass(frozen=True)
class Request:
    """One finished request, or a watch as it began. `at` in Unix seconds; `name` may be empty where a create names none."""

    at: float
    user: str
    verb: str
    resource: str
    """With its subresource: `jobs`, `jobs/status`."""
    namespace: str
    name: str
    code: int

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES and self.resource not in _QUESTIONS


_QUESTIONS = frozenset({"selfsubjectaccessreviews", "subjectaccessreviews", "tokenreviews"})
"""Created only to be answered: nothing is stored."""


def read(lines: Iterable[str]) -> list[Request]:
    """The log's requests, each once, oldest first as far as the log is. A half-written last line is left out."""
    found = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        watching = event.get("verb") == "watch"
        if event.get("stage") != ("ResponseStarted" if watching else "ResponseComplete"):
            continue
        about = event.get("objectRef") or {}
        resource = about.get("resource") or event.get("requestURI", "").partition("?")[0]
        found.append(
            Request(
                at=_seconds(event["requestReceivedTimestamp"]),
                user=event["user"]["username"].removeprefix(_SERVICE_ACCOUNT),
                verb=event["verb"],
                resource="/".join(filter(None, (resource, about.get("subresource")))),
                namespace=about.get("namespace", ""),
                name=about.get("name", ""),
                code=(event.get("responseStatus") or {}).get("code", 0),
            )
        )
    return found


def between(requests: Iterable[Request], start: float, end: float) -> list[Request]:
    """Those that arrived in [start, end)."""
    return [r for r in requests if start <= r.at < end]


def counted(requests: Iterable[Request]) -> dict[str, dict[str, int]]:
    """By user, then by `verb resource`: how many requests."""
    table: dict[str, Counter[str]] = {}
    for r in requests:
        table.setdefault(r.user, Counter())[f"{r.verb} {r.resource}"] += 1
    return {user: dict(sorted(table[user].items())) for user in sorted(table)}


def per_run(counts: Mapping[str, Mapping[str, int]], runs: int) -> dict[str, dict[str, float]]:
    """The same table divided by the number of runs."""
    return {user: {what: round(n / runs, 2) for what, n in row.items()} for user, row in counts.items()}


def writes(counts: Mapping[str, Mapping[str, float]], user: str, *verbs: str) -> float:
    """The sum of a user's requests with one of these verbs (default: all that write)."""
    wanted = set(verbs) or WRITES
    row = counts.get(user) or {}
    return round(
        sum(n for what, n in row.items() if what.split()[0] in wanted and what.split()[1] not in _QUESTIONS), 2
    )


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).astimezone(UTC).timestamp()
