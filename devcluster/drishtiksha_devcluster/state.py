"""The state folder: where one platform keeps everything, and where it stands when nobody says so.

`--home`, else DRISHTIKSHA_HOME, else `.drishtiksha/` in the checkout, else the user's own state folder. One platform
per state folder; two of them side by side share nothing but the binaries.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from drishtiksha.domain.errors import DrishtikshaError

from .ports import free_port

FOLDERS = ("kubeconfig", "pki", "etcd", "postgres", "valkey", "objects", "pods", "run", "logs", "demo")
FILES = ("env", ".env", "config.yaml", "images.json", "faults.json")


class StateFailed(DrishtikshaError):
    """The state folder cannot be used; the text says why and what helps."""


def checkout(start: Path | None = None) -> Path | None:
    """The source tree of this project above the working folder or above this file; None when there is none."""
    for folder in (start or Path.cwd(), Path(__file__).resolve().parent):
        for candidate in (folder, *folder.parents):
            with contextlib.suppress(OSError):
                if 'name = "drishtiksha"' in (candidate / "pyproject.toml").read_text(encoding="utf-8"):
                    return candidate
    return None


def find_home(option: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """The state folder that a command means. It need not exist yet."""
    environment = os.environ if environment is None else environment
    if option or environment.get("DRISHTIKSHA_HOME"):
        return Path(option or environment["DRISHTIKSHA_HOME"]).expanduser().absolute()
    source = checkout()
    if source is not None and os.access(source, os.W_OK):
        return source / ".drishtiksha"
    states = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(states) / "drishtiksha"


def settings_file(home: Path) -> Path:
    """The `.env` that holds for this state folder: its own if it has one, else the checkout's, else its own to be."""
    source = checkout(home)
    if (home / ".env").is_file() or source is None or not os.access(source, os.W_OK):
        return home / ".env"
    return source / ".env"


def prepare(home: Path) -> None:
    """Make the folder, closed to others. Raises StateFailed."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("run", "logs", "objects", "pods"):
            (home / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StateFailed(
            f"the state folder {home} cannot be made ({error.strerror}): name another with --home"
        ) from None


@contextlib.contextmanager
def alone(home: Path) -> Iterator[None]:
    """One `up` or `down` at a time per state folder; a second one waits."""
    with open(home / "run" / "up.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def erase(home: Path) -> None:
    """Delete what a platform keeps in its folder, and the folder if nothing else is in it."""
    for name in FOLDERS:
        shutil.rmtree(home / name, ignore_errors=True)
    for name in FILES:
        with contextlib.suppress(OSError):
            (home / name).unlink()
    with contextlib.suppress(OSError):
        home.rmdir()


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner may read; a file that is right already is not touched."""
    with contextlib.suppress(OSError):
        if path.read_text() == text and path.stat().st_mode & 0o077 == 0:
            return
    partial = path.with_name(path.name + ".partial")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


@dataclass(frozen=True)
class Ports:
    """The ports of a platform by name. Chosen once and kept; one that somebody else has taken is chosen anew."""

    numbers: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.numbers[name]


def choose_ports(home: Path, names: Iterable[str], *, wish: int, in_use_by_us: bool) -> Ports:
    """The ports for these names, from `run/ports.json` as far as they are there. `wish` is the api's.

    `in_use_by_us`: the platform runs, so that a taken port is no stranger's.
    """
    path = home / "run" / "ports.json"
    try:
        kept = {str(name): int(port) for name, port in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        kept = {}
    wished_before = kept.get("wished", wish)
    chosen: dict[str, int] = {"wished": wish}
    for name in names:
        port = kept.get(name)
        if name == "api" and (port is None or wish != wished_before or not (in_use_by_us or _free(port))):
            port = _other_than(set(chosen.values()) - {wish}, wish)
        elif port is None or not (in_use_by_us or _free(port)):
            port = _other_than({*chosen.values(), *kept.values()}, 0)
        chosen[name] = port
    write_private(path, json.dumps(chosen, indent=1) + "\n")
    return Ports(chosen)


def _free(port: int) -> bool:
    try:
        return free_port(wish=port) == port
    except OSError:
        return False


def _other_than(taken: set[int], wish: int) -> int:
    while (port := free_port(wish=wish)) in taken:
        wish = wish + 1 if wish else 0
    return port
