"""The command `drishtiksha-models`: serve the detectors, list them, run one on a file, or evaluate them on many."""

from __future__ import annotations

import argparse
import base64
import ipaddress
import json
import sys
import time
from pathlib import Path
from typing import Any

from .evaluation import cards
from .evaluation import command as evaluation
from .specimens import command as specimens

GRACEFUL = 5
"""Seconds that running answers get at SIGTERM; with the killing of the workers the process is gone within ten."""
_USAGE, _BAD_MEDIA, _UNAVAILABLE, _INTERNAL = 64, 65, 69, 70


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run one command; returns the exit code (sysexits.h)."""
    parser = argparse.ArgumentParser(prog="drishtiksha-models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the service (HOST, PORT, SERVER_API_KEY, ACTIVE_MODELS, …)")
    serve.set_defaults(run=_serve)
    listing = commands.add_parser("list", help="the detectors of this installation, and whether they load")
    listing.add_argument("--json", action="store_true", help="one JSON array")
    listing.set_defaults(run=_list)
    one = commands.add_parser("run", help="examine one file with one detector")
    one.add_argument("model", help="name of the detector, like JPEG-GRID-V1")
    one.add_argument("file", type=Path)
    one.add_argument("--json", action="store_true", help="the result as the service would answer it")
    one.add_argument("--pictures", type=Path, metavar="FOLDER", help="write the pictures of the evidence there")
    one.set_defaults(run=_run)
    evaluation.register(commands)
    cards.register(commands)
    specimens.register(commands)
    arguments = parser.parse_args(argv)
    code: int = arguments.run(arguments)
    return code


def _serve(_arguments: argparse.Namespace) -> int:
    import structlog
    import uvicorn

    from drishtiksha import logs
    from drishtiksha.domain.errors import BadSettings
    from drishtiksha.settings import load

    from .app import create
    from .settings import ModelService

    logs.configure("models")
    try:
        settings = load(ModelService)
    except BadSettings as error:
        print(f"drishtiksha-models: {error}", file=sys.stderr)
        return _USAGE
    if settings.api_key is None and not _loopback(settings.host):
        structlog.get_logger().warning("SERVER_API_KEY is not set: anybody who reaches this address may use it",
                                       host=settings.host)  # fmt: skip
    uvicorn.run(
        create(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACEFUL,
    )
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from .registry import discover, load

    entries = [load(entry) for entry in discover()]
    if arguments.json:
        rows = [{"name": e.name, "version": e.detector.version if e.detector else None, "loaded": e.loaded,
                 "reason": e.reason, "description": e.detector.description if e.detector else None,
                 "media_types": sorted(map(str, e.detector.media_types)) if e.detector else []}
                for e in entries]  # fmt: skip
        print(json.dumps(rows, indent=2))
        return 0
    for entry in entries:
        kinds = ", ".join(sorted(k.lower() for k in entry.detector.media_types)) if entry.detector else "?"
        state = f"loaded in {entry.load_ms:.0f} ms" if entry.loaded else f"not loaded: {entry.reason}"
        print(f"{entry.name:20} {kinds:22} {state}")
        if entry.detector:
            print(f"{'':20} {entry.detector.description}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from . import answer
    from .decode.identify import identify
    from .detector import BadMedia, Deadline, DeadlinePassed, Unsupported
    from .registry import discover, load

    entry = next((load(e) for e in discover() if e.name == arguments.model), None)
    if entry is None:
        return _fail(_USAGE, f"there is no detector named {arguments.model}; see: drishtiksha-models list")
    if entry.detector is None or not entry.loaded:
        return _fail(_UNAVAILABLE, f"{entry.name} is not loaded: {entry.reason}")
    if not arguments.file.is_file():
        return _fail(_USAGE, f"there is no file {arguments.file}")
    began = time.monotonic()
    try:
        media = identify(arguments.file, arguments.file.name)
        if media.media_type not in entry.detector.media_types:
            raise Unsupported(f"{entry.name} does not examine {media.media_type.lower()} files.")
        examination = entry.detector.examine(media, lambda _progress: None, Deadline(3600))
    except (BadMedia, Unsupported) as error:
        return _fail(_BAD_MEDIA, str(error))
    except DeadlinePassed as error:
        return _fail(_INTERNAL, str(error))
    data = answer.data(entry.detector, media, examination, time.monotonic() - began)
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
        for picture in data["evidence"]["images"]:
            (arguments.pictures / picture["name"]).write_bytes(base64.b64decode(picture["data"]))
    print(json.dumps(data, indent=2, ensure_ascii=False) if arguments.json else _in_words(data))
    return 0


def _in_words(data: dict[str, Any]) -> str:
    """The result for a reader at a terminal."""
    evidence = data["evidence"]
    lines = [
        f"{data['model_name']}  {data['status']}  finding {data['finding']}  ({data['processing_time']:.2f} s)",
        f"prediction {data['prediction']}, confidence {data['confidence']:.6g}",
        str(data["note"]),
    ]
    lines += [f"  {name}: {value}" for name, value in evidence["facts"].items()]
    lines += [f"  region {r['label']} at {[round(x) for x in r['box']]}" for r in evidence["regions"]]
    lines += [f"  curve {s['name']}: {len(s['v'])} values" for s in evidence["series"]]
    lines += [f"  picture {p['name']}" for p in evidence["images"]]
    lines += [f"limit: {text}" for text in data["limits"]]
    return "\n".join(lines)


def _fail(code: int, sentence: str) -> int:
    print(f"drishtiksha-models: {sentence}", file=sys.stderr)
    return code


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    sys.exit(main())
