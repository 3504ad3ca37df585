"""`drishtiksha doctor`: what is wrong with the platform of this machine, and what helps. It changes nothing.

The checks stand in `checks` and `neighbours`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import NOT_ANALYZED, OK
from .terminal import Json, print_json

if TYPE_CHECKING:
    from .checks import Check

WIDTH = 24
"""Columns of a check's name."""


def doctor(
    home: Annotated[Path | None, typer.Option("--home", help="State folder of the platform on this machine")] = None,
    as_json: Json = False,
) -> None:
    """Look whether everything is well, and say what helps.

    Python, packages, disk, control plane, settings, processes, database, Redis, ML service, Kubernetes, api. Exit 1
    when something is wrong.
    """
    from drishtiksha_devcluster import state

    from .checks import all_checks

    folder, found = state.find_home(home), []
    for check in all_checks(folder):
        found.append(check)
        if not as_json:
            _say(check)
    wrong = [check for check in found if check.state == "wrong"]
    if as_json:
        print_json({"ok": not wrong, "home": str(folder), "checks": [asdict(check) for check in found]})
    else:
        typer.echo()
        count = f"{len(wrong)} thing is wrong" if len(wrong) == 1 else f"{len(wrong)} things are wrong"
        typer.echo(f"{count}. Begin with the first: {wrong[0].name}." if wrong else "All is well.")
    raise typer.Exit(NOT_ANALYZED if wrong else OK)


def _say(check: Check) -> None:
    mark, colour = {"ok": ("✓", "green"), "wrong": ("✗", "red"), "unknown": ("·", "yellow")}[check.state]
    typer.echo(f"{typer.style(mark, fg=colour)} {check.name:<{WIDTH}} {check.said}")
    if check.cure:
        typer.echo(f"{'':<{WIDTH + 2}} → {check.cure}")
