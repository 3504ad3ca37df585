"""The command `drishtiksha-models`: serve the detectors, list them, run one on a file, or evaluate them on many."""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import sys
from pathlib import Path

from .bundles import command as bundles
from .evaluation import cards
from .evaluation import command as evaluation
from .specimens import command as specimens

GRACEFUL = 5
"""Seconds that running answers get at SIGTERM; with the killing of the workers the process is gone within ten."""
_USAGE, _UNAVAILABLE = 64, 69


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run one command; returns the exit code (sysexits.h)."""
    parser = argparse.ArgumentParser(prog="drishtiksha-models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the service (HOST, PORT, SERVER_API_KEY, ACTIVE_MODELS, …)")
    serve.set_defaults(run=_serve)
    listing = commands.add_parser("list", help="the detectors of this installation, and whether they load")
    listing.add_argument("--json", action="store_true", help="one JSON array")
    listing.add_argument(
        "--all", action="store_true", help="also families whose weights are not here, and what they need"
    )
    listing.set_defaults(run=_list)
    one = commands.add_parser("run", help="examine one file with one detector")
    one.add_argument("model", help="name of the detector, like JPEG-GRID-V1")
    one.add_argument("file", type=Path)
    one.add_argument("--json", action="store_true", help="the result as the service would answer it")
    one.add_argument("--pictures", type=Path, metavar="FOLDER", help="write the pictures of the evidence there")
    one.set_defaults(run=_run)
    for each in (listing, one):
        each.add_argument(
            "--bundles",
            type=Path,
            default=os.environ.get("BUNDLES"),
            metavar="FOLDER",
            help="bundles, too (default: BUNDLES)",
        )
    bundles.add_to(commands)
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
    from .catalogue import REASON, missing
    from .registry import discover, load

    entries = [load(entry) for entry in discover(bundles=_folders(arguments))]
    absent = missing({entry.name for entry in entries}) if arguments.all else []
    if arguments.json:
        rows = [{"name": e.name, "version": e.detector.version if e.detector else None, "loaded": e.loaded,
                 "reason": e.reason, "description": e.detector.description if e.detector else None,
                 "media_types": sorted(map(str, e.detector.media_types)) if e.detector else []}
                for e in entries] + [
                {"name": f.name, "version": None, "loaded": False, "reason": REASON, "sampler": f.sampler,
                 "description": None, "media_types": sorted(map(str, f.media_types))} for f in absent]  # fmt: skip
        print(json.dumps(rows, indent=2))
        return 0
    for entry in entries:
        kinds = ", ".join(sorted(k.lower() for k in entry.detector.media_types)) if entry.detector else "?"
        state = f"loaded in {entry.load_ms:.0f} ms" if entry.loaded else f"not loaded: {entry.reason}"
        print(f"{entry.name:20} {kinds:22} {state}")
        if entry.detector:
            print(f"{'':20} {entry.detector.description}")
    for family in absent:
        kinds = ", ".join(sorted(k.lower() for k in family.media_types))
        print(f"{family.name:20} {kinds:22} not loaded: {REASON}\n{'':20} Sampler: {family.sampler}.")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from .registry import discover, load
    from .running import report_on

    entry = next((load(e) for e in discover(bundles=_folders(arguments)) if e.name == arguments.model), None)
    if entry is None:
        return _fail(_USAGE, f"there is no detector named {arguments.model}; see: drishtiksha-models list")
    if entry.detector is None or not entry.loaded:
        return _fail(_UNAVAILABLE, f"{entry.name} is not loaded: {entry.reason}")
    return report_on(entry.detector, arguments.file, as_json=arguments.json, pictures=arguments.pictures)


def _folders(arguments: argparse.Namespace) -> list[Path]:
    from .bundles.staging import folders_in

    return folders_in(Path(arguments.bundles)) if arguments.bundles else []


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
