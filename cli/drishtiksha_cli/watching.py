"""Uploading files and following them to their end, live on a terminal, line by line elsewhere."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.constrain import Constrain
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from . import screen, view
from .client import Client
from .errors import NOT_ANALYZED, OK, USAGE, CommandFailed
from .live import Board, follow

GOOD = frozenset({"ANALYZED"})
CARET = 3
"""Columns left free at the right: the terminal writes ^C there instead of pushing the picture up by a line."""


def check(files: Sequence[Path]) -> None:
    """Look whether all are files before the first is sent. Raises CommandFailed."""
    for path in files:
        if not path.is_file():
            raise CommandFailed(f"{path}: {'this is no file' if path.exists() else 'there is no such file'}", USAGE)


def upload(client: Client, files: Sequence[Path], *, quiet: bool = False) -> list[dict[str, Any]]:
    """Send the files one after the other, with a bar for each. A refused one stops with the server's sentence.

    However it ends early, those that were accepted are told on standard error: their analysis goes on.
    """
    check(files)
    sent: list[dict[str, Any]] = []
    columns = (TextColumn("  uploading {task.description}"), BarColumn(24), DownloadColumn())
    try:
        with Progress(
            *columns, console=view.errors, transient=True, disable=quiet or not view.errors.is_terminal
        ) as bar:
            for path in files:
                task = bar.add_task(escape(path.name), total=path.stat().st_size)
                try:
                    sent.append(client.upload(path, lambda done, size, task=task: bar.update(task, completed=done)))  # type: ignore[misc]
                except CommandFailed as failed:
                    failed.args = (f"{path.name}: {failed}",)
                    raise
                bar.remove_task(task)
    except (CommandFailed, KeyboardInterrupt):
        if sent:
            still_going(sent)
        raise
    return sent


def observe(
    client: Client, uploaded: Sequence[dict[str, Any]], *, quiet: bool = False, kubectl: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Follow these media until they are final; their full objects in the same order.

    When following ends early, by Ctrl-C too, how to look again is told on standard error, and the cause passes on.
    """
    board = Board(uploaded)
    try:
        if quiet:
            follow(client, board, lambda: None)
        elif view.console.is_terminal:
            _on_screen(client, board, kubectl)
        else:
            _in_lines(client, board)
    except (CommandFailed, KeyboardInterrupt):
        still_going(uploaded)
        raise
    return [final for m in uploaded if (final := board.lines[m["id"]].final) is not None]


def _on_screen(client: Client, board: Board, kubectl: Sequence[str] | None) -> None:
    runs = [line.run_id for line in board.lines.values()]
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(screen.Cluster(kubectl, runs)) if kubectl else None

        moving = stack.enter_context(Live(console=view.console, refresh_per_second=8, transient=True))

        # Built here and not by the thread that refreshes the screen: the board changes under nobody's hands.
        def show() -> None:
            width, height = view.console.width - CARET, view.console.height
            moving.update(Constrain(screen.live(board, cluster.seen if cluster else None, width, height), width))

        show()
        follow(client, board, show)


def _in_lines(client: Client, board: Board) -> None:
    told = screen.Told(board)

    def say() -> None:
        for line in told.news():
            print(line, flush=True)

    follow(client, board, say)


def analyze(client: Client, files: Sequence[Path], *, watch: bool, as_json: bool) -> int:
    """Upload, follow, print. Returns the exit code."""
    uploaded = upload(client, files, quiet=as_json)
    if not watch:
        if as_json:
            print(json.dumps(uploaded, indent=2, ensure_ascii=False))
        for media in () if as_json else uploaded:
            print(f"{media['id']}  {media['filename']}: accepted. Follow it: drishtiksha watch {media['id']}")
        return OK
    return to_the_end(client, uploaded, as_json=as_json)


def watch(client: Client, media_id: str | None, *, as_json: bool = False) -> int:
    """Follow one media, or all that are not final. Returns the exit code."""
    if media_id is not None:
        wanted = [client.media(media_id)]
    else:
        wanted = [m for m in client.list(100) if m["status"] in ("QUEUED", "PROCESSING")]
    if not wanted:
        print("[]" if as_json else "Nothing is being examined.")
        return OK
    return to_the_end(client, wanted, as_json=as_json)


def to_the_end(client: Client, wanted: Sequence[dict[str, Any]], *, as_json: bool) -> int:
    """Follow these and print how each ended. Returns the exit code."""
    ended = observe(client, wanted, quiet=as_json)
    if as_json:
        print(json.dumps(ended, indent=2, ensure_ascii=False))
    else:
        for media in ended:
            view.console.print(view.result(media))
    return OK if {m["status"] for m in ended} <= GOOD else NOT_ANALYZED


def still_going(wanted: Sequence[dict[str, Any]]) -> None:
    """Say that nothing was stopped, and how to look again."""
    print("\nThe analysis goes on without you. Look again with:", file=sys.stderr)
    for media in wanted:
        print(f"  drishtiksha watch {media['id']}   # {media['filename']}", file=sys.stderr)
