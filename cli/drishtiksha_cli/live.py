"""Following analyses live: Socket.IO events, folded into what is known of each media, with REST as the safety net.

`Board` is pure state; `follow` feeds it until every media is final. A lost connection costs nothing: the client comes
back with the last sequence number it has seen, and every few seconds REST is asked anyway.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import Any

from .client import Client
from .errors import Refused

TERMINAL = frozenset({"ANALYZED", "PARTIALLY_ANALYZED", "FAILED"})
ASK_ANYWAY = 5.0
"""Seconds after which REST is asked about a media of which nothing was heard."""


@dataclass
class ModelLine:
    """One model of a run: its state, and its progress where it tells any (`total` None: unknown)."""

    name: str
    state: str = "PENDING"
    progress: int = 0
    total: int | None = None
    said: str = ""


@dataclass
class MediaLine:
    """One media: its status and its models. `final` is the full object once the run has ended."""

    id: str
    run_id: str
    filename: str
    status: str = "QUEUED"
    models: dict[str, ModelLine] = field(default_factory=dict)
    final: dict[str, Any] | None = None


_STATES = {
    "ANALYSIS_QUEUED": "PENDING",
    "ANALYSIS_STARTED": "PROCESSING",
    "ANALYSIS_RETRYING": "RETRYING",
    "ANALYSIS_COMPLETED": "COMPLETED",
    "ANALYSIS_FAILED": "FAILED",
}


class Board:
    """What is known. `hear` takes an event, `read` a full object; both may come in any order and any number of times."""

    def __init__(self, uploaded: Iterable[dict[str, Any]]) -> None:
        self.lines = {m["id"]: MediaLine(m["id"], m["latestRunId"], m["filename"], m["status"]) for m in uploaded}
        self.last_seq = 0

    @property
    def done(self) -> bool:
        """Whether every media is final."""
        return all(line.final is not None for line in self.lines.values())

    def hear(self, event: dict[str, Any]) -> MediaLine | None:
        """Fold one progress_update; the line it changed, or None when it is not about us."""
        self.last_seq = max(self.last_seq, event.get("seq") or 0)
        line = self.lines.get(event.get("mediaId") or "")
        if line is None or line.final is not None or event.get("runId") not in (None, line.run_id):
            return None
        name, data = event["event"], event.get("data") or {}
        model = data.get("modelName")
        if model:
            one = line.models.setdefault(model, ModelLine(model))
            if name in _STATES and one.state not in ("COMPLETED", "FAILED"):
                one.state = _STATES[name]
                one.said = str(data.get("prediction") or data.get("error") or "")
            elif name not in _STATES and one.state == "PROCESSING" and isinstance(data.get("progress"), int | float):
                one.progress, one.total = int(data["progress"]), data.get("total")
        if name == "PROCESSING_STARTED":
            line.status = "PROCESSING"
        if name == "RUN_COMPLETED":
            line.status = str(data.get("status"))
        return line

    def read(self, media: dict[str, Any]) -> None:
        """Take what REST says of one media."""
        line = self.lines[media["id"]]
        line.status = media["status"]
        for one in media["analyses"]:
            known = line.models.setdefault(one["model"], ModelLine(one["model"]))
            if known.state != "RETRYING" or one["status"] in ("COMPLETED", "FAILED"):
                known.state = one["status"]
            known.said = str(one.get("prediction") or one.get("errorClass") or "")
        if media["status"] in TERMINAL:
            line.final = media


def follow(
    client: Client, board: Board, changed: Callable[[dict[str, Any] | None], None], *, tick: float = 0.25
) -> None:
    """Keep the board up to date until all is done. `changed` is called with each event of ours, and with None each tick."""
    import socketio

    heard: Queue[dict[str, Any]] = Queue()
    socket = socketio.Client(reconnection=True, reconnection_delay=0.5, reconnection_delay_max=5)
    socket.on("progress_update", heard.put)

    def credentials() -> dict[str, Any]:
        return {"token": client.token, "lastSeq": board.last_seq}

    asked = dict.fromkeys(board.lines, 0.0)
    try:
        try:
            socket.connect(client.base_url, auth=credentials, wait_timeout=5)
        except socketio.exceptions.ConnectionError:
            socket.sleep(0)  # REST alone is slower, and just as true
        while not board.done:
            _drain(heard, board, changed, tick)
            for media_id, line in board.lines.items():
                ended = line.status in TERMINAL and line.final is None
                if ended or (line.final is None and time.monotonic() - asked[media_id] > ASK_ANYWAY):
                    asked[media_id] = time.monotonic()
                    _ask(client, board, media_id)
            changed(None)
    finally:
        socket.disconnect()


def _drain(
    heard: Queue[dict[str, Any]], board: Board, changed: Callable[[dict[str, Any] | None], None], tick: float
) -> None:
    try:
        event = heard.get(timeout=tick)
        while True:
            if board.hear(event) is not None:
                changed(event)
            event = heard.get_nowait()
    except Empty:
        return


def _ask(client: Client, board: Board, media_id: str) -> None:
    try:
        board.read(client.media(media_id))
    except Refused as refused:
        if refused.status == 404:
            raise
