"""The child process that touches media: it loads the detectors, examines one file at a time, and answers on a pipe.

`pool.py` starts it as `python -m drishtiksha_models.worker` with an environment that holds no secret, and kills it
when an analysis passes its deadline or is given up. A native crash on a hostile file ends this process alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import structlog

from drishtiksha import logs

from . import answer, process
from .decode.identify import identify
from .detector import BadMedia, Crashed, Deadline, DeadlinePassed, Progress, Unloadable, Unsupported
from .registry import Entry, discover, load

log = structlog.get_logger()

PROGRESS_INTERVAL = 0.25
"""Seconds between two progress messages of one analysis; the last step always passes."""

Send = Callable[[dict[str, Any]], None]


def main() -> None:
    """Load, say hello, then serve requests until standard input ends."""
    send = process.wire()
    logs.configure("models")
    process.restrict()
    requests: SimpleQueue[dict[str, Any]] = SimpleQueue()
    process.follow(requests.put)

    order = requests.get()
    networks = {Path(bundle): Path(place) for bundle, place in order["networks"].items()}
    entries = _load_all(order["active"], order["crashed"], networks, send)
    send({"hello": {"models": [_listing(e) for e in entries.values()], "memory_mb": process.memory_mb()}})
    with contextlib.suppress(BrokenPipeError):
        while True:
            send(_serve(entries, requests.get(), send))


def _serve(entries: dict[str, Entry], request: dict[str, Any], send: Send) -> dict[str, Any]:
    """One request, one last message: a result or an error with its kind."""
    try:
        return {"result": _examine(entries[request["model"]], request, send)}
    except BadMedia as error:
        return {"error": {"kind": "BAD_MEDIA", "message": str(error)}}
    except Unsupported as error:
        return {"error": {"kind": "UNSUPPORTED", "message": str(error)}}
    except DeadlinePassed as error:
        return {"error": {"kind": "DEADLINE", "message": str(error)}}
    except Crashed as error:
        return {"error": {"kind": "CRASHED", "message": str(error)}}
    except Unloadable as error:  # what was loaded does not work after all
        log.error("a detector does not work", model=request["model"], error=str(error))
        return {"error": {"kind": "INTERNAL", "message": str(error)}}
    except MemoryError:
        return {"error": {"kind": "INTERNAL", "message": "The detector ran out of memory."}}
    except Exception:
        log.exception("a detector failed", model=request["model"])
        return {
            "error": {"kind": "INTERNAL", "message": "The detector failed on this file; the service's log says how."}
        }


def _examine(entry: Entry, request: dict[str, Any], send: Send) -> dict[str, Any]:
    detector = entry.detector
    if detector is None or not entry.loaded:
        raise RuntimeError(f"{entry.name} is not loaded: {entry.reason}")
    began = time.monotonic()
    media = identify(Path(request["path"]), request["name"])
    if request["only"] not in (None, media.media_type):
        kind, only = str(media.media_type).lower(), str(request["only"]).lower()
        raise Unsupported(f"This is a file of the kind {kind}, and here only {only} is taken. POST /analyze takes all.")
    if media.media_type not in detector.media_types:
        raise Unsupported(f"{detector.name} does not examine {str(media.media_type).lower()} files.")
    examination = detector.examine(media, _reporter(detector.name, send), Deadline(request["seconds"]))
    return answer.data(detector, media, examination, time.monotonic() - began)


def _reporter(model: str, send: Send) -> Callable[[Progress], None]:
    """Passes progress on, at most every PROGRESS_INTERVAL."""
    last = 0.0

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < PROGRESS_INTERVAL and progress.done != progress.total:
            return
        last = now
        told = {"model_name": model, "progress": progress.done, "total": progress.total}
        send({"progress": {"event": progress.event, "message": progress.message, "data": told}})

    return report


def _load_all(active: list[str], crashed: list[str], networks: dict[Path, Path], send: Send) -> dict[str, Entry]:
    entries = {}
    for entry in discover(active, list(networks), networks):
        send({"loading": entry.name})
        entries[entry.name] = load(entry, crashed)
        if not entry.loaded:
            log.warning("a detector is not loaded", model=entry.name, reason=entry.reason)
    return entries


def _listing(entry: Entry) -> dict[str, Any]:
    detector = entry.detector
    return {
        "name": entry.name,
        "class_name": type(detector).__name__ if detector else "",
        "description": detector.description if detector else "",
        "version": detector.version if detector else "",
        "media_types": sorted(map(str, detector.media_types)) if detector else [],
        "limits": list(detector.limits) if detector else [],
        "loaded": entry.loaded,
        "reason": entry.reason,
        "load_ms": entry.load_ms,
        "device": getattr(detector, "device", "cpu"),
        "memory_mb": getattr(detector, "memory_mb", None),
    }


if __name__ == "__main__":
    main()
