"""`drishtiksha dev`: the platform in the foreground for who works on it: readable logs here, a restart when code changes.

It is `up` with DRISHTIKSHA_ENV=development, then the logs, until Ctrl-C ends what `dev` has started.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .platform import Home, Names, plainly, steps

if TYPE_CHECKING:
    from drishtiksha_devcluster.control import Control

CODE: Mapping[str, tuple[str, ...]] = {
    "modelserver": ("drishtiksha", "drishtiksha_models"),
    "door": ("drishtiksha", "drishtiksha_api"),
    "api": ("drishtiksha", "drishtiksha_api"),
    "operator": ("drishtiksha", "drishtiksha_operator"),
}
"""The processes that are restarted, and the packages of their code. A runner is new with every Job."""
PAUSE = 0.7
"""Seconds between two looks at the files; a change is taken up when it has been quiet for as long."""


def dev(names: Names = None, home: Home = None) -> None:
    """Bring the platform up for a developer: its logs here, readable.

    A process is restarted when its code changes. Ctrl-C ends the platform, unless it ran before. With names only these
    and what they need.
    """
    from drishtiksha_devcluster import platform, state
    from drishtiksha_devcluster.control import Control

    os.environ["DRISHTIKSHA_ENV"] = "development"
    folder = state.find_home(home).absolute()
    control = Control(folder)
    ran_before = control.running()
    shown = list(names or CODE)
    sources = Sources(CODE, shown)  # before anything imports them: what changes from now on is seen
    with plainly():
        try:
            _up(folder, names or ())
            typer.echo(f"Logs of {', '.join(shown)} follow; Ctrl-C ends them.")
            threading.Thread(target=_print_logs, args=(folder, shown), daemon=True).start()
            _keep_restarting(control, sources)
        except KeyboardInterrupt:
            typer.echo()
        finally:
            if ran_before:
                typer.echo("The platform goes on. With its usual logs: drishtiksha up; end it: drishtiksha down")
            else:
                with steps() as report:
                    platform.down(folder, report=report)


def _up(folder: Path, names: Sequence[str]) -> None:
    """Bring it up. A process that does not become ready is no end: its code may be what is being worked on."""
    from drishtiksha_devcluster import platform
    from drishtiksha_devcluster.control import Control

    try:
        with steps() as report:
            found = platform.up(folder, names, report=report)
        typer.echo(f"API: {found.base_url}  docs: {found.base_url}/docs")
    except platform.PlatformFailed as failed:
        if not Control(folder).running():
            raise
        typer.secho(f"{failed}\nIt is started again when its code changes.", fg="red", err=True)


class Sources:
    """The code of some processes: which of them has changed since the last look?"""

    def __init__(self, code: Mapping[str, Sequence[str]], names: Iterable[str]) -> None:
        self._folders = {name: [_folder(package) for package in code[name]] for name in names if name in code}
        self._seen = self._look()

    def changed(self) -> dict[str, Path]:
        """The processes whose code is another than at the last look, each with one of the files."""
        before, self._seen = self._seen, self._look()
        files = {file for file in before.keys() | self._seen.keys() if before.get(file) != self._seen.get(file)}
        return {
            name: file
            for name, folders in self._folders.items()
            for file in sorted(files)
            if any(folder in file.parents for folder in folders)
        }

    def _look(self) -> dict[Path, int]:
        found: dict[Path, int] = {}
        for folder in {folder for folders in self._folders.values() for folder in folders}:
            for file in folder.rglob("*.py"):
                try:
                    found[file] = file.stat().st_mtime_ns
                except OSError:  # gone between the two calls
                    continue
        return found


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    places = found.submodule_search_locations if found else None
    assert places, f"{package} is not installed"
    return Path(next(iter(places))).resolve()


def _keep_restarting(control: Control, sources: Sources) -> None:
    """For ever: restart what has changed, once its files have been quiet. A restart that fails is said, not fatal."""
    from drishtiksha.domain.errors import DrishtikshaError

    due: dict[str, Path] = {}
    while True:
        time.sleep(PAUSE)
        now = sources.changed()
        due |= now
        if now or not due:
            continue
        for name, file in due.items():
            typer.secho(f"— {name} is restarted: {file.name} has changed", fg="cyan", err=True)
            try:
                control.call("restart", name=name, patience=120)
            except DrishtikshaError as error:
                typer.secho(f"— {name} could not be restarted: {error}", fg="red", err=True)
        due.clear()


def _print_logs(folder: Path, names: Sequence[str]) -> None:
    from drishtiksha_devcluster import logs

    width = max(map(len, names))
    for name, line in logs.follow(folder, names):
        typer.echo(f"{typer.style(f'{name:<{width}}', fg='blue')} {line}")
