"""What a person sees: the live bars with the cluster beside them, the list, and one media in full.

Builders of rich renderables from plain values; `console` prints them. Without a terminal, plain lines as things happen.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from . import words
from .live import Board, MediaLine, ModelLine

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

_MARKS = {"PENDING": "·", "PROCESSING": "▸", "RETRYING": "↻", "COMPLETED": "✓", "FAILED": "✗"}
_COLOURS = {"PENDING": "dim", "PROCESSING": "cyan", "RETRYING": "yellow", "COMPLETED": "green", "FAILED": "red"}


def bars(board: Board) -> RenderableType:
    """One block per media, one bar per model."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=2)
    grid.add_column(no_wrap=True)
    grid.add_column(width=18)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    for line in board.lines.values():
        colour = words.colour(line.final) if line.final else "bold"
        grid.add_row("", Text(line.filename, style=colour), "", Text(_head(line), style=colour))
        for model in sorted(line.models.values(), key=lambda m: m.name):
            style = _COLOURS.get(model.state, "")
            grid.add_row(
                Text(_MARKS.get(model.state, "?"), style=style), Text("  " + model.name), _bar(model), _state(model)
            )
    return grid


def _head(line: MediaLine) -> str:
    if line.final and line.final.get("verdict"):
        return str(line.final["verdict"]["label"])
    if line.status == "QUEUED" and not line.models:
        return "waiting for the models to be discovered"
    return words.STATUS_WORDS.get(line.status, line.status)


def _bar(model: ModelLine) -> RenderableType:
    if model.state == "PROCESSING" and not model.total:
        return Spinner("line", style="cyan")
    share = {"COMPLETED": 1.0, "FAILED": 1.0}.get(model.state, 0.0)
    if model.state == "PROCESSING" and model.total:
        share = min(1.0, model.progress / model.total)
    colour = _COLOURS.get(model.state, "cyan")
    return ProgressBar(total=1.0, completed=share, width=18, complete_style=colour, finished_style=colour)


def _state(model: ModelLine) -> Text:
    text = {"PENDING": "waiting", "PROCESSING": "examining", "RETRYING": "tried again soon"}.get(
        model.state, model.said
    )
    if model.state == "PROCESSING" and model.total:
        text = f"{model.progress} of {model.total}"
    return Text(text, style=_COLOURS.get(model.state, ""))


class Cluster:
    """The kubectl view of some runs, asked at most every two seconds. `command`: kubectl with its kubeconfig."""

    def __init__(self, command: Sequence[str], run_ids: Sequence[str]) -> None:
        self._command, self._runs = list(command), set(run_ids)
        self._asked, self._seen = 0.0, Text("asking the cluster …", style="dim")

    def render(self) -> RenderableType:
        """A table: each resource with its phase, each pod with its node and state."""
        if time.monotonic() - self._asked > 2.0:
            self._seen, self._asked = self._look(), time.monotonic()
        return self._seen

    def _look(self) -> Text:
        try:
            done = subprocess.run(
                [*self._command, "get", "ma,pods", "-o", "json"], capture_output=True, text=True, timeout=5, check=False
            )
            items = json.loads(done.stdout)["items"]
        except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
            return Text("the cluster does not answer", style="dim")
        text = Text()
        for item in items:
            if item["kind"] == "MediaAnalysis" and item["spec"]["runId"] in self._runs:
                status = item.get("status") or {}
                name = f"ma/{item['metadata']['name'][:11]}…{item['metadata']['name'][-4:]}"
                text.append(f"{name}  {status.get('phase') or 'new':<10}", style="bold")
                text.append(f" {status.get('summary') or ''}\n")
                for pod in items:
                    labels = pod["metadata"].get("labels") or {}
                    if pod["kind"] == "Pod" and labels.get("drishtiksha.io/run") == item["spec"]["runId"]:
                        node = pod["spec"].get("nodeName") or "no node yet"
                        gone = (
                            "terminating" if "deletionTimestamp" in pod["metadata"] else pod["status"].get("phase", "")
                        )
                        text.append(f"  pod {labels.get('drishtiksha.io/model', '')[:20]:<20} {node:<6} {gone}\n")
        return text if text.plain else Text("no resource yet", style="dim")


def live(board: Board, cluster: Cluster | None, width: int) -> RenderableType:
    """The bars, and the cluster beside them where the terminal is wide enough (below them where it is not)."""
    left = Panel(bars(board), title="live from Socket.IO", border_style="cyan", padding=(0, 1))
    if cluster is None:
        return left
    right = Panel(cluster.render(), title="kubectl get ma,pods", border_style="blue", padding=(0, 1))
    if width < 118:
        return Group(left, right)
    beside = Table.grid(expand=True, padding=(0, 1))
    beside.add_column(ratio=11)
    beside.add_column(ratio=9)
    beside.add_row(left, right)
    return beside


def plain_line(board: Board, event: dict[str, Any]) -> str:
    """One event as one line, for logs."""
    line = board.lines[event["mediaId"]]
    data = event.get("data") or {}
    if event["event"] == "FRAME_ANALYSIS_PROGRESS":
        return f"{line.filename}: {data.get('modelName', '')} {data.get('progress')} of {data.get('total') or '?'}"
    more = f" {data['prediction']}" if data.get("prediction") else f" {data['error']}" if data.get("error") else ""
    return f"{line.filename}: {event.get('message', event['event'])}{more}"


def result(media: dict[str, Any]) -> RenderableType:
    """One finished media: the verdict in words, then each model's line."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column()
    for one in media["analyses"]:
        style = "red" if one["status"] == "FAILED" else "bold red" if one.get("prediction") == "FAKE" else ""
        table.add_row(f"  {one['model']}", Text(words.analysis(one), style=style))
    head = Text.assemble((media["filename"], "bold"), "  ", (words.verdict(media), words.colour(media)))
    return Group(head, table)


def listing(found: list[dict[str, Any]]) -> RenderableType:
    """The list of a person's media."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("ID", "NAME", "TYPE", "SIZE", "STATUS", "VERDICT", "AGE"):
        table.add_column(name, no_wrap=name in ("ID", "AGE", "TYPE", "SIZE"), overflow="fold")
    now = datetime.now(UTC)
    for media in found:
        made = datetime.fromisoformat(media["createdAt"])
        said = media.get("verdict")
        label = f"{said['label']} ({said['basis'].lower()})" if said else "-"
        table.add_row(
            media["id"],
            escape(media["filename"]),
            media["mediaType"],
            words.size(media["size"]),
            media["status"],
            Text(label, style=words.colour(media)),
            words.age((now - made).total_seconds()),
        )
    return table


def full(media: dict[str, Any]) -> RenderableType:
    """Everything one would want to read of one media."""
    parts: list[RenderableType] = [result(media), Text()]
    facts = Table.grid(padding=(0, 2))
    facts.add_row("id", media["id"])
    facts.add_row("type", f"{media['mimetype']}, {words.size(media['size'])}")
    facts.add_row("sha256", media["sha256"])
    facts.add_row("uploaded", media["createdAt"])
    facts.add_row("run", f"number {media['analysisRuns'][0]['runNumber']}, ma-{media['latestRunId']}")
    parts += [facts]
    for one in media["analyses"]:
        parts += [Text(), Text(f"{one['model']} {one.get('modelVersion') or ''}".strip(), style="bold")]
        more = Table.grid(padding=(0, 2))
        more.add_row("  status", f"{one['status']} (attempt {one['attempt']})")
        if one["status"] == "COMPLETED":
            more.add_row("  finding", f"{one.get('finding') or '-'}, basis {one['basis']}, {one['prediction']}")
        for name, value in sorted((one.get("facts") or {}).items()):
            more.add_row(f"  {name}", _value(value))
        for error in one.get("errors") or []:
            more.add_row("  error", f"{error['errorType']}: {error['errorMessage']}")
        for artifact in one.get("artifacts") or []:
            more.add_row(f"  {artifact['name']}", Text(artifact["url"], overflow="fold"))
        for limit in one.get("limits") or []:
            more.add_row("  limit", Text(limit, style="dim"))
        parts.append(more)
    return Group(*parts)


def _value(value: object) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
