"""`drishtiksha-models specimens FOLDER`: make the demo's media, and tell as JSON lines what each is."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .plan import SPECIMENS, Specimen

_USAGE, _UNAVAILABLE = 64, 69


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    one = commands.add_parser("specimens", help="make media that show each kind of finding (drawn by code)")
    one.add_argument("folder", type=Path)
    one.add_argument("names", nargs="*", metavar="NAME", help="only these, like signed.jpg [default: all]")
    one.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    unknown = set(arguments.names) - {one.name for one in SPECIMENS}
    if unknown:
        known = ", ".join(one.name for one in SPECIMENS)
        print(f"drishtiksha-models: there is no specimen {min(unknown)}; there are: {known}", file=sys.stderr)
        return _USAGE
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for one in SPECIMENS:
        if arguments.names and one.name not in arguments.names:
            continue
        try:
            new = made(one, arguments.folder)
        except ImportError as error:
            print(f"drishtiksha-models: a library is missing ({error.name}); install drishtiksha[models,demo]",
                  file=sys.stderr)  # fmt: skip
            return _UNAVAILABLE
        told = {"name": one.name, "made": one.made, "expected": one.expected, "basic": one.basic, "new": new}
        print(json.dumps(told, ensure_ascii=False), flush=True)
    return 0


def made(one: Specimen, folder: Path) -> bool:
    """Make the file unless it is there already; never half a file. Gives whether it was made now."""
    path = folder / one.name
    if path.is_file():
        return False
    unfinished = path.with_name("unfinished-" + one.name)
    one.make(unfinished)
    unfinished.replace(path)
    return True
