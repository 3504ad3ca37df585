"""Which files a report shows: hits, fakes that were missed, genuine files that raised something. Pure.

`study.py` keeps their pictures, `page.py` and `cards.py` show them. A choice among a part of the rows never loses one that
would be chosen among all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

EACH = 3
"""Files shown of each kind."""
HIT, MISSED, FALSE_ALARM, EXAMPLE = "hit", "missed", "false alarm", "example"


def oriented(row: dict[str, Any]) -> float | None:
    """The row's statistic, higher for what looks more like a fake: the probability, else the score.

    Scores of a kind that begins with `log10` are logarithms of chance (p-value, NFA): the smaller, the stronger.
    """
    if row.get("probability") is not None:
        return float(row["probability"])
    score = row.get("score")
    if score is None:
        return None
    return -float(score["value"]) if str(score["kind"]).startswith("log10") else float(score["value"])


def kind(row: dict[str, Any]) -> str:
    """What a row is an example of. SUSPICIOUS counts as raised, though it decides nothing."""
    raised = row["prediction"] == "FAKE" or row["finding"] == "SUSPICIOUS"
    if row["fake"]:
        return HIT if raised else MISSED
    return FALSE_ALARM if raised else EXAMPLE


def chosen(rows: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """At most EACH rows of every kind, those that say most about it first; of equals the first by name."""
    found = []
    for wanted in (HIT, MISSED, FALSE_ALARM, EXAMPLE):
        rising = wanted is MISSED
        some = sorted((r for r in rows if r.get("finding") and kind(r) == wanted), key=lambda r: _rank(r, rising))
        found += [(row, wanted) for row in some[:EACH]]
    return found


def _rank(row: dict[str, Any], rising: bool) -> tuple[object, ...]:
    value = oriented(row)
    return (row["prediction"] != "FAKE", value is None, (value or 0.0) * (1 if rising else -1), row["file"])
