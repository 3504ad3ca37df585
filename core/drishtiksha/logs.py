"""One way to log for every process: JSON lines on standard error, readable lines in development.

`configure("api")` once at start; then `structlog.get_logger()` anywhere. Foreign loggers (uvicorn, kopf, alembic)
come through the same renderer. Ids of requests and runs travel by `structlog.contextvars`.
"""

from __future__ import annotations

import logging
import sys

import structlog

from . import settings
from .domain.errors import BadSettings

_QUIET = {
    "kopf.objects": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "urllib3": logging.WARNING,
}


def in_development() -> bool:
    """Whether DRISHTIKSHA_ENV, or NODE_ENV, is `development`."""
    try:
        return settings.load(settings.Process).environment == "development"
    except BadSettings:  # refused, with its sentence, when the process reads its settings
        return False


MAX_VALUE, MAX_EXCEPTION = 2000, 16_000
"""Characters of one value and of a traceback in a line: what a stranger sent may be in it."""


_UNSEEN = {
    code: f"\\u{code:04x}"
    for codes in ((0x00, 0x20), (0x7F, 0xA0), (0x2028, 0x202F), (0x2066, 0x206A))
    for code in range(*codes)
}
"""Characters that end a line, move a terminal's cursor, or turn the direction of what is read, and how they are shown."""
_UNSEEN_BUT_LINES = {code: shown for code, shown in _UNSEEN.items() if code not in (0x09, 0x0A)}


def cut(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Shorten what is too long: a traceback at its beginning, everything else at its end. Show what cannot be seen."""
    for key, value in event.items():
        if key == "exception" and isinstance(value, str):
            event[key] = value[-MAX_EXCEPTION:].translate(_UNSEEN_BUT_LINES)
        elif key != "exc_info" and not isinstance(value, (int, float, type(None))):
            text = value if isinstance(value, str) else repr(value)
            if len(text) > MAX_VALUE:
                event[key] = f"{text[:MAX_VALUE].translate(_UNSEEN)}… ({len(text)} characters)"
            elif isinstance(value, str):
                event[key] = text.translate(_UNSEEN)
    return event


def configure(process: str, *, readable: bool | None = None, level: int | None = None) -> None:
    """Route all logging of this process to standard error. Readable when DRISHTIKSHA_ENV is development."""
    if readable is None:
        readable = in_development()
    if level is None:
        level = logging.DEBUG if readable else logging.INFO
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
    ]

    def name_process(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["process"] = process
        return event

    final: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if readable:
        final += [cut, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    else:
        final += [structlog.processors.format_exc_info, cut, structlog.processors.JSONRenderer(ensure_ascii=False)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[*shared, name_process], processors=final)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(quiet)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True
    structlog.configure(
        processors=[*shared, name_process, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
