"""Uploading files and following them to their end, live on a terminal, line by line elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from . import view
from .client import Client
from .errors import INTERRUPTED, NOT_ANALYZED, OK, CommandFailed
from .live import Board, follow

GOOD = frozenset({"ANALYZED"})


def upload(client: Client, files: Sequence[Path], *, quiet: bool = False) -> list[dict[str, Any]]:
    """Send the files one after the other, with a bar for each. A refused one stops with the server's sentence."""
    for path in files:
        if not path.is_file():
            raise CommandFailed(f"{path}: there is no such file", 2)
    sent = []
    columns = (TextColumn("  uploading {task.description}"), BarColumn(24), DownloadColumn())
    with Progress(*columns, console=view.errors, transient=True, disable=quiet or not view.errors.is_terminal) as bar:
        for path in files:
            task = bar.add_task(path.name, total=path.stat().st_size)
            try:
                sent.append(client.upload(path, lambda done, size, task=task: bar.update(task, completed=done)))  # type: ignore[misc]
            except CommandFailed as failed:
                raise CommandFailed(f"{path.name}: {failed}", failed.code) from None
            bar.remove_task(task)
    return sent


def observe(
    client: Client, uploaded: Sequence[dict[str, Any]], *, quiet: bool = False, kubectl: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Follow these media until they are final; their full objects in the same order. KeyboardInterrupt passes."""
    board = Board(uploaded)
    if quiet:
        follow(client, board, lambda event: None)
    elif view.console.is_terminal:
        cluster = view.Cluster(kubectl, [m["latestRunId"] for m in uploaded]) if kubectl else None
        with Live(console=view.console, refresh_per_second=8, transient=True) as live:

            def show(_: dict[str, Any] | None) -> None:
                live.update(view.live(board, cluster, view.console.width))

            show(None)
            follow(client, board, show)
    else:
        follow(client, board, lambda event: _say(board, event))
    return [final for m in uploaded if (final := board.lines[m["id"]].final) is not None]


def _say(board: Board, event: dict[str, Any] | None) -> None:
    if event is not None and event["event"] != "FRAME_ANALYSIS_PROGRESS":
        print(view.plain_line(board, event), flush=True)


def analyze(client: Client, files: Sequence[Path], *, watch: bool, as_json: bool) -> int:
    """Upload, follow, print. Returns the exit code."""
    uploaded = upload(client, files, quiet=as_json)
    if not watch:
        if as_json:
            print(json.dumps(uploaded, indent=2, ensure_ascii=False))
        for media in () if as_json else uploaded:
            print(f"{media['id']}  {media['filename']}: accepted. Follow it: drishtiksha watch {media['id']}")
        return OK
    return _to_the_end(client, uploaded, as_json=as_json)


def watch(client: Client, media_id: str | None) -> int:
    """Follow one media, or all that are not final. Returns the exit code."""
    if media_id is not None:
        wanted = [client.media(media_id)]
    else:
        wanted = [m for m in client.list(100) if m["status"] in ("QUEUED", "PROCESSING")]
    if not wanted:
        print("Nothing is being examined.")
        return OK
    return _to_the_end(client, wanted, as_json=False)


def _to_the_end(client: Client, wanted: Sequence[dict[str, Any]], *, as_json: bool) -> int:
    try:
        ended = observe(client, wanted, quiet=as_json)
    except KeyboardInterrupt:
        still_going(wanted)
        return INTERRUPTED
    if as_json:
        print(json.dumps(ended, indent=2, ensure_ascii=False))
    else:
        for media in ended:
            view.console.print(view.result(media))
    return OK if {m["status"] for m in ended} <= GOOD else NOT_ANALYZED


def still_going(wanted: Sequence[dict[str, Any]]) -> None:
    """Say after Ctrl-C that nothing was stopped."""
    print("\nYou stopped watching; the analysis goes on. Look again with:", file=sys.stderr)
    for media in wanted:
        print(f"  drishtiksha watch {media['id']}   # {media['filename']}", file=sys.stderr)
