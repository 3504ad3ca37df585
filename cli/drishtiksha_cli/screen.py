"""What moves: the live bars of `live.Board` with the cluster beside them, and the same as plain lines without a terminal.

Builders of rich renderables from plain values; `watching` puts them on the screen. `Cluster` looks in a thread of its
own, so that a slow kubectl never holds up the bars.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from . import words
from .live import TERMINAL, Board, MediaLine, ModelLine

BAR = 18
"""Columns of a bar."""
STATE = 18
"""Columns kept for what a model is at."""
BESIDE = 118
"""Columns from which on the cluster stands beside the bars."""

_MARKS = {"PENDING": "·", "PROCESSING": "▸", "RETRYING": "↻", "COMPLETED": "✓", "FAILED": "✗"}
_COLOURS = {"PENDING": "dim", "PROCESSING": "cyan", "RETRYING": "yellow", "COMPLETED": "green", "FAILED": "red"}


def live(board: Board, cluster: Text | None, width: int, height: int) -> RenderableType:
    """The bars, and the cluster beside them where the terminal is wide enough, below them where it is high enough."""
    title = "the API does not answer; trying again" if board.away else "live from Socket.IO"
    edge = "yellow" if board.away else "cyan"
    beside = cluster is not None and width >= BESIDE
    inner = (width * 7 // 12 if beside else width) - 4
    left = Panel(bars(board, inner, height - 3), title=title, border_style=edge, padding=(0, 1))
    if cluster is None:
        return left
    right = Panel(cluster, title="kubectl get ma,pods", border_style="blue", padding=(0, 1))
    pods = len(cluster.plain.splitlines())
    rows = sum(1 + len(line.models) for line in board.lines.values())
    if beside:
        left.height = right.height = min(max(rows, pods) + 2, height - 1)
        both = Table.grid(expand=True)
        both.add_column(ratio=7)
        both.add_column(ratio=5)
        both.add_row(left, right)
        return both
    return Group(left, right) if rows + pods + 4 < height else left


def bars(board: Board, width: int, most: int = 1000) -> RenderableType:
    """One block per media, one bar per model; `width` columns, at most `most` rows."""
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=1)
    grid.add_column(no_wrap=True, overflow="ellipsis", max_width=max(12, width - BAR - 4 - STATE))
    grid.add_column(width=BAR)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    shown = _layout(board, most)
    for line, spread in shown:
        colour = words.colour(line.final) if line.final else "bold"
        middle = Text() if spread else _summary(line)
        grid.add_row("", Text(line.filename, style=colour), middle, Text(_head(line), style=colour))
        for model in sorted(line.models.values(), key=lambda m: m.name) if spread else ():
            style = _COLOURS.get(model.state, "")
            grid.add_row(Text(_MARKS.get(model.state, "?"), style=style), "  " + model.name, _bar(model), _state(model))
    if len(shown) < len(board.lines):
        grid.add_row("", Text(f"… and {len(board.lines) - len(shown)} more", style="dim"), "", "")
    return grid


def _layout(board: Board, most: int) -> list[tuple[MediaLine, bool]]:
    """The lines that are shown, and whether with their models. Where room is short, what has ended shrinks first."""
    lines = list(board.lines.values())
    for kept in (lines, [line for line in lines if line.final is None], []):
        shown = [(line, line in kept) for line in lines]
        if sum(1 + len(line.models) * spread for line, spread in shown) <= most:
            return shown
    return sorted(shown, key=lambda one: one[0].final is not None)[: max(1, most - 1)]


def _summary(line: MediaLine) -> Text:
    ended = sum(model.state in ("COMPLETED", "FAILED") for model in line.models.values())
    return Text(f"{ended} of {len(line.models)} models" if line.models else "", style="dim")


def _head(line: MediaLine) -> str:
    if line.final and line.final.get("verdict"):
        return str(line.final["verdict"]["label"])
    if line.status == "QUEUED":
        return "waiting" if line.models else "discovering models"
    return words.STATUS_WORDS.get(line.status, line.status)


def _bar(model: ModelLine) -> RenderableType:
    colour = _COLOURS.get(model.state, "cyan")
    known = float(model.total) if isinstance(model.total, int | float) and model.total > 0 else None
    if model.state == "PROCESSING" and known is None:
        return ProgressBar(total=None, width=BAR, pulse_style=colour)
    share = 1.0 if model.state in ("COMPLETED", "FAILED") else 0.0
    if model.state == "PROCESSING" and known:
        share = min(1.0, model.progress / known)
    return ProgressBar(total=1.0, completed=share, width=BAR, complete_style=colour, finished_style=colour)


def _state(model: ModelLine) -> Text:
    return Text(state_words(model), style=_COLOURS.get(model.state, ""))


def state_words(model: ModelLine) -> str:
    """What a model is at."""
    if model.state == "PROCESSING" and (model.total or model.progress):
        return f"{model.progress} of {model.total or '?'}"
    if model.state == "FAILED":
        return f"failed: {model.said}" if model.said else "failed"
    waiting = {"PENDING": "waiting", "PROCESSING": "examining", "RETRYING": "tried again soon"}
    return waiting.get(model.state, model.said)


class Told:
    """What plain output has said already: each change of the board is one line, whether heard or read."""

    def __init__(self, board: Board) -> None:
        self._board, self._said = board, dict[tuple[str, str], str]()

    def news(self) -> Iterator[str]:
        """A line for each media and model whose state changed since the last call. Progress is no news."""
        for line in self._board.lines.values():
            if line.status not in TERMINAL and self._is_new(line.id, line.run_id, line.status):
                yield f"{line.filename}: {_head(line)}"
            for model in sorted(line.models.values(), key=lambda m: m.name):
                if self._is_new(line.id, line.run_id + model.name, model.state):
                    bare = ModelLine(model.name, model.state, said=model.said)
                    yield f"{line.filename}: {model.name}: {state_words(bare)}"
            if line.status in TERMINAL and self._is_new(line.id, line.run_id, line.status):
                yield f"{line.filename}: {words.STATUS_WORDS[line.status]}"

    def _is_new(self, media_id: str, what: str, state: str) -> bool:
        before = self._said.get((media_id, what))
        self._said[media_id, what] = state
        return before != state


class Cluster:
    """The kubectl view of some runs, looked at every two seconds. `command`: kubectl with its kubeconfig."""

    EVERY = 2.0

    def __init__(self, command: Sequence[str], run_ids: Sequence[str]) -> None:
        self._command, self._runs = list(command), set(run_ids)
        self._over = threading.Event()
        self.seen = Text("asking the cluster …", style="dim")
        """What was seen last."""

    def __enter__(self) -> Cluster:
        threading.Thread(target=self._keep_looking, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _keep_looking(self) -> None:
        while not self._over.is_set():
            self.seen = self._look()
            self._over.wait(self.EVERY)

    def _look(self) -> Text:
        words_ = [*self._command, "get", "ma,pods", "-o", "json"]
        try:
            done = subprocess.run(
                words_, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False
            )
            return resources(json.loads(done.stdout)["items"], self._runs)
        except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
            return Text("the cluster does not answer", style="dim")


def resources(items: Sequence[dict[str, Any]], run_ids: set[str]) -> Text:
    """The resources of these runs with their phase and, below each, its pods with model, node and phase."""
    lines = []
    for item in items:
        if item["kind"] != "MediaAnalysis" or item["spec"]["runId"] not in run_ids:
            continue
        status, name = item.get("status") or {}, item["metadata"]["name"]
        head = f"ma/{name[:11]}…{name[-4:]}  {status.get('phase') or 'new'} {status.get('summary') or ''}"
        lines.append(Text(head.rstrip(), style="bold"))
        for pod in items:
            labels = pod["metadata"].get("labels") or {}
            if pod["kind"] == "Pod" and labels.get("drishtiksha.io/run") == item["spec"]["runId"]:
                node = pod["spec"].get("nodeName") or "no node yet"
                phase = (pod.get("status") or {}).get("phase", "")
                gone = "Terminating" if "deletionTimestamp" in pod["metadata"] else phase
                lines.append(Text(f"  pod {labels.get('drishtiksha.io/model', '')[:20]:<20} {node:<6} {gone}"))
    seen = Text("\n").join(lines) if lines else Text("no resource yet", style="dim")
    seen.no_wrap, seen.overflow = True, "ellipsis"
    return seen
