"""Following analyses live: Socket.IO events, folded into what is known of each media, with REST as the safety net.

`Board` is pure state; `follow` feeds it until every media is final. A lost connection costs nothing: the client comes
back with the last sequence number it has seen, and every few seconds REST is asked anyway.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import Any

from .client import Client
from .errors import Refused, Unreachable

TERMINAL = frozenset({"ANALYZED", "PARTIALLY_ANALYZED", "FAILED"})
ENDED = frozenset({"COMPLETED", "FAILED"})
ASK_ANYWAY = 5.0
"""Seconds after which REST is asked about a media of which nothing was heard."""
ASK_ALONE = 1.0
"""The same while there is no live channel."""
GIVE_UP = 180.0
"""Seconds without any answer of the API after which following ends; it outlasts a restart of the whole platform."""


@dataclass
class ModelLine:
    """One model of a run: its state, and its progress where it tells any (`total` None: unknown)."""

    name: str
    state: str = "PENDING"
    progress: int = 0
    total: int | None = None
    said: str = ""
    attempt: int = 0
    seq: int = 0
    """Of the event that brought this state: an older one, come late or repeated, changes nothing."""


@dataclass
class MediaLine:
    """One media: its status and its models. `final` is the full object once the run has ended."""

    id: str
    run_id: str
    filename: str
    status: str = "QUEUED"
    models: dict[str, ModelLine] = field(default_factory=dict)
    final: dict[str, Any] | None = None
    run_number: int = 0


_STATES = {
    "ANALYSIS_QUEUED": "PENDING",
    "ANALYSIS_STARTED": "PROCESSING",
    "ANALYSIS_RETRYING": "RETRYING",
    "ANALYSIS_COMPLETED": "COMPLETED",
    "ANALYSIS_FAILED": "FAILED",
}
_RANK = {"QUEUED": 0, "PROCESSING": 1} | dict.fromkeys(TERMINAL, 2)


class Board:
    """What is known. `hear` takes an event, `read` a full object; both may come in any order and any number of times."""

    def __init__(self, uploaded: Iterable[dict[str, Any]]) -> None:
        self.lines = {m["id"]: MediaLine(m["id"], m["latestRunId"], m["filename"], m["status"]) for m in uploaded}
        self.last_seq = 0
        self.away = ""
        """Why the API does not answer just now; empty when it does."""

    @property
    def done(self) -> bool:
        """Whether every media is final."""
        return all(line.final is not None for line in self.lines.values())

    def hear(self, event: dict[str, Any]) -> MediaLine | None:
        """Fold one progress_update; the line that it is about, or None when it is not about us."""
        seq = event.get("seq") or 0
        self.last_seq = max(self.last_seq, seq)
        line = self.lines.get(event.get("mediaId") or "")
        if line is None or line.final is not None or event.get("runId") not in (None, line.run_id):
            return None
        name, data = event["event"], event.get("data") or {}
        if model := data.get("modelName"):
            one = line.models.setdefault(model, ModelLine(model))
            if name in _STATES:
                _step(one, name, seq, data)
            elif one.state == "PROCESSING" and isinstance(data.get("progress"), int | float):
                one.progress, one.total = int(data["progress"]), data.get("total")
        if name == "PROCESSING_STARTED":
            _raise(line, "PROCESSING")
        if name == "RUN_COMPLETED":
            _raise(line, str(data.get("status")))
        return line

    def read(self, media: dict[str, Any]) -> None:
        """Take what REST says of one media. An answer that is older than what was heard takes nothing back."""
        line = self.lines[media["id"]]
        number = media["analysisRuns"][0]["runNumber"] if media["analysisRuns"] else 0
        if line.final is not None or number < line.run_number:
            return
        if media["latestRunId"] != line.run_id:  # a rerun began meanwhile: media follow their latest run, so do we
            line.run_id, line.status, line.models = media["latestRunId"], media["status"], {}
        line.run_number = number
        _raise(line, media["status"])
        for one in media["analyses"]:
            known = line.models.setdefault(one["model"], ModelLine(one["model"]))
            attempt = int(one.get("attempt") or 0)
            begun = one["status"] == "PROCESSING" and (attempt > known.attempt or known.state == "PENDING")
            if known.state not in ENDED and (one["status"] in ENDED or begun):
                known.state = one["status"]
                known.said = str(one.get("prediction") or one.get("errorClass") or "")
            known.attempt = max(known.attempt, attempt)
        if media["status"] in TERMINAL:
            line.final = media


def _step(one: ModelLine, name: str, seq: int, data: dict[str, Any]) -> None:
    """One transition of a model. Ends absorb what comes late; being queued is where every model begins."""
    if one.state in ENDED or (seq and seq <= one.seq) or (name == "ANALYSIS_QUEUED" and one.state != "PENDING"):
        return
    one.seq = max(one.seq, seq)
    one.state = _STATES[name]
    one.progress, one.total = 0, None
    one.said = str(data.get("prediction") or data.get("errorClass") or "")


def _raise(line: MediaLine, status: str) -> None:
    if _RANK.get(status, 0) > _RANK.get(line.status, 0):
        line.status = status


def follow(client: Client, board: Board, changed: Callable[[], None], *, tick: float = 0.25) -> None:
    """Keep the board up to date until all is done; `changed` is called after each look, at least every `tick` seconds.

    Raises Refused when the login has ended or a media is gone, Unreachable when nobody has answered for GIVE_UP.
    """
    heard: Queue[dict[str, Any]] = Queue()
    with _listening(client, board, heard) as connected:
        known_at = dict.fromkeys(board.lines, float("-inf"))
        answered = time.monotonic()
        while not board.done:
            for media_id in _drain(heard, board, tick):
                known_at[media_id] = answered = time.monotonic()
            patience = ASK_ANYWAY if connected() else ASK_ALONE
            for media_id, line in board.lines.items():
                ended = line.status in TERMINAL and line.final is None
                if line.final is None and (ended or time.monotonic() - known_at[media_id] > patience):
                    if _ask(client, board, media_id):
                        answered = time.monotonic()
                    known_at[media_id] = time.monotonic()
                    changed()
            if time.monotonic() - answered > GIVE_UP:
                raise Unreachable(client.base_url, f"no answer for {GIVE_UP:.0f} s: {board.away}")
            changed()


@contextlib.contextmanager
def _listening(client: Client, board: Board, heard: Queue[dict[str, Any]]) -> Iterator[Callable[[], bool]]:
    """A Socket.IO connection that comes up, and comes back, behind our back: nothing here waits for it."""
    import socketio

    socket = socketio.Client(reconnection=True, reconnection_delay=0.5, reconnection_delay_max=5)
    socket.on("progress_update", heard.put)

    def credentials() -> dict[str, Any]:
        # At first only what comes from now on, since REST is asked for the rest; after a break all that was missed.
        return {"token": client.token} | ({"lastSeq": board.last_seq} if board.last_seq else {})

    def connect() -> None:
        with contextlib.suppress(socketio.exceptions.ConnectionError, ValueError):  # REST says why, if it matters
            socket.connect(client.base_url, auth=credentials, wait_timeout=5, retry=True)

    threading.Thread(target=connect, daemon=True).start()
    try:
        yield lambda: bool(socket.connected)
    finally:
        ending = threading.Thread(target=socket.shutdown, daemon=True)
        ending.start()
        ending.join(2.0)


def _drain(heard: Queue[dict[str, Any]], board: Board, tick: float) -> set[str]:
    """Fold what was heard, waiting for the first of it; the media that it was about."""
    about = set()
    with contextlib.suppress(Empty):
        event = heard.get(timeout=tick)
        while True:
            if (line := board.hear(event)) is not None:
                about.add(line.id)
            event = heard.get_nowait()
    return about


def _ask(client: Client, board: Board, media_id: str) -> bool:
    """Ask REST about one media; False when the API is away, which may pass. Other refusals go to the caller."""
    try:
        board.read(client.media(media_id, tries=1))
    except Unreachable as away:
        board.away = str(away)
    except Refused as refused:
        if refused.status < 500 and refused.status != 429:
            raise
        board.away = str(refused)
    else:
        board.away = ""
        return True
    return False
