"""What a person sees when it stands still: the list, one media in full, the verdict in words.

Builders of rich renderables from plain values; `console` prints them. What moves is in `screen`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from . import words

WIDE = 200
"""Columns where there is no terminal: what is piped into a file or a program should not be broken into lines."""

console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
errors = Console(stderr=True, highlight=False)


def result(media: dict[str, Any]) -> RenderableType:
    """One finished media: the verdict in words, then each model's line."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in media["analyses"]:
        style = "red" if one["status"] == "FAILED" else "bold red" if one.get("prediction") == "FAKE" else ""
        table.add_row(f"  {one['model']}", Text(words.analysis(one), style=style))
    verdict = Table.grid(padding=(0, 2, 0, 0))
    verdict.add_column(overflow="fold")
    verdict.add_column(overflow="fold")
    verdict.add_row(Text(media["filename"], style="bold"), Text(words.verdict(media), style=words.colour(media)))
    return Group(verdict, table)


def pictures(media: dict[str, Any]) -> list[Text]:
    """Links to the pictures of the models that found something; where none did, of the first that drew any."""
    drawn = []
    for one in media["analyses"]:
        if some := [a for a in one.get("artifacts") or [] if a["name"].endswith((".png", ".jpg"))]:
            drawn.append((one.get("finding"), some))
    told = [pair for pair in drawn if pair[0] not in (None, "NONE")] or drawn[:1]
    return [_artifact(artifact) for _, some in told for artifact in some]


def listing(found: list[dict[str, Any]], width: int) -> RenderableType:
    """The list of a person's media, a line each: with type, size and status where there is room, always with whole ids."""
    now = datetime.now(UTC)
    rows = []
    for media in found:
        said = media.get("verdict")
        label = f"{said['label']} ({said['basis'].lower()})" if said else media["status"].lower()
        age = words.age((now - datetime.fromisoformat(media["createdAt"])).total_seconds())
        rows.append((media, label, age))
    name = width - sum((38, 2 + max([7, *(len(label) for _, label, _ in rows)]), 2 + 4))
    more = [column for column, needs in ((_TYPE, 120), (_SIZE, 120), (_STATUS, 140)) if width >= needs]
    name -= sum(column.width + 2 for column in more)

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("ID", no_wrap=True, min_width=36)
    table.add_column("NAME", no_wrap=True, overflow="ellipsis", max_width=max(8, name))
    for column in more:
        table.add_column(column.title, no_wrap=True, min_width=column.width)
    table.add_column("VERDICT", no_wrap=True, overflow="ellipsis")
    table.add_column("AGE", no_wrap=True, min_width=4)
    for media, label, age in rows:
        values = [column.value(media) for column in more]
        table.add_row(media["id"], Text(media["filename"]), *values, Text(label, style=words.colour(media)), age)
    return table


class _Column(NamedTuple):
    """A column of the list that is there when there is room."""

    title: str
    width: int
    value: Callable[[dict[str, Any]], str]


_TYPE = _Column("TYPE", 5, lambda media: media["mediaType"])
_SIZE = _Column("SIZE", 10, lambda media: words.size(media["size"]))
_STATUS = _Column("STATUS", 18, lambda media: media["status"])


def models(found: list[dict[str, Any]]) -> RenderableType:
    """The models of an ML service, a line each: those that are loaded first."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for title in ("MODEL", "LOADED", "TAKES", "VERSION", "DEVICE"):
        table.add_column(title, no_wrap=True)
    table.add_column("DESCRIPTION", overflow="fold")
    for one in sorted(found, key=lambda m: (not m.get("loaded"), str(m.get("name")))):
        takes = [kind for kind in ("VIDEO", "IMAGE", "AUDIO") if one.get(f"is{kind.capitalize()}")]
        takes += ["VIDEO with sound"] if one.get("isMultiModal") else []
        loaded = Text("yes", style="green") if one.get("loaded") else Text("no", style="red")
        told = (", ".join(takes) or "-", str(one.get("version") or "-"), str(one.get("device") or "-"))
        table.add_row(Text(str(one.get("name"))), loaded, *told, Text(str(one.get("description") or "")))
    return table


def full(media: dict[str, Any]) -> RenderableType:
    """Everything one would want to read of one media."""
    run = media["analysisRuns"][0]
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_row("id", media["id"])
    facts.add_row("type", f"{media['mimetype']}, {words.size(media['size'])}")
    facts.add_row("sha256", Text(media["sha256"], overflow="fold"))
    facts.add_row("uploaded", media["createdAt"])
    facts.add_row("run", f"number {run['runNumber']}, ma-{media['latestRunId']}")
    facts.add_row("status", media["status"] + (f" ({run['reason']})" if run.get("reason") else ""))
    parts: list[RenderableType] = [result(media), Text(), facts]
    for one in media["analyses"]:
        parts += [Text(), Text(f"{one['model']} {one.get('modelVersion') or ''}".strip(), style="bold"), _analysis(one)]
        parts += [_artifact(artifact) for artifact in one.get("artifacts") or []]
    return Group(*parts)


def _analysis(one: dict[str, Any]) -> RenderableType:
    """One model's result in full: what it says, what it measured, its facts, errors and limits."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    grid.add_row("  status", f"{one['status']} (attempt {one['attempt']})")
    if one["status"] == "COMPLETED":
        grid.add_row("  finding", f"{one.get('finding') or '-'}, basis {one['basis']}, {one['prediction']}")
    if one.get("score") is not None:
        grid.add_row("  score", f"{one['score']:.3f} likely to be fake, {words.kind(one)}")
    if measure := one.get("measure"):
        grid.add_row(f"  {measure['name'] or 'measure'}", f"{_value(measure['value'])} ({measure['kind']})")
    if (bound := (one.get("calibration") or {}).get("bound")) is not None:
        grid.add_row("  false alarms", f"at most {bound:.2g} expected by chance")
    for name, value in sorted((one.get("facts") or {}).items()):
        grid.add_row(f"  {name}", Text(_value(value)))
    for error in one.get("errors") or []:
        grid.add_row("  error", Text(f"{error['errorType']}: {error['errorMessage']}"))
    for limit in one.get("limits") or []:
        grid.add_row("  limit", Text(limit, style="dim"))
    return grid


def _artifact(artifact: dict[str, Any]) -> Text:
    """One line, however long: a link that is broken into pieces cannot be followed."""
    return Text(f"  {artifact['name']}: {artifact['url']}", no_wrap=True, overflow="ignore")


def _value(value: object) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
