"""The runner's log: JSON lines on standard error, standard library only, with the pod's secrets struck out.

`redact` also cleans what is sent to the door: an ML service may echo our key in its error text.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TextIO

HIDDEN = "[redacted]"
_MAX_VALUE = 2000
"""Characters of one value in a line: the door's or an ML service's words may be in it."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Redactor:
    """Strikes out the given secrets wherever they appear in a text."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        # The longest first, for one secret may contain another.
        self._secrets = sorted({s for s in secrets if s}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


class JsonLines(logging.Formatter):
    """One object per record: time, level, process, event, then whatever was given as `extra`."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "process": "jobrunner",
            "event": record.getMessage(),
        }
        line.update({k: v for k, v in vars(record).items() if k not in _STANDARD})
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))[-8000:]
        # Redacting before cutting and encoding: half a secret, or an escaped one, would slip through afterwards.
        cleaned = {k: self._redact(v) if isinstance(v, str) else v for k, v in line.items()}
        for key, value in cleaned.items():
            if isinstance(value, str) and len(value) > _MAX_VALUE and key != "exception":
                cleaned[key] = f"{value[:_MAX_VALUE]}… ({len(value)} characters)"
        return self._redact(json.dumps(cleaned, default=str, ensure_ascii=True))


def configure(redact: Redactor, stream: TextIO | None = None) -> None:
    """Send the logging of this process to standard error (or `stream`), JSON lines, INFO and above."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(redact))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
