"""The service's own copies of bundles: only whole ones, so that nothing that happens in the folder touches what is served.

`look` copies what is new, `review` hears from a worker that has loaded it what is wrong with it. While a newer one is
refused the older one is served. Blocking: the service calls `look` in a thread.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .folder import checked, open_bundle
from .manifest import MANIFEST, BadBundle


@dataclass(frozen=True, slots=True)
class Copy:
    """A whole copy of a bundle: where it lies, its model's name, and the state of the folder that it was made of."""

    path: Path
    name: str
    state: str


class Staging:
    """Copies out of `source` into `home`, by the name of a bundle's folder."""

    def __init__(self, source: Path, home: Path) -> None:
        self._source, self._home = source, home
        self._states: dict[str, str] = {}
        self._count = 0
        self.served: dict[str, Copy] = {}
        """What is in use."""
        self.proposed: dict[str, Copy] = {}
        """What shall be, once a worker has loaded it."""
        self.refused: dict[str, str] = {}
        """Why the newest state of a folder is not served."""

    def look(self) -> bool:
        """Copy what has changed since the last look; whether there is something else to serve now."""
        there = {path.name: path for path in folders_in(self._source)}
        proposed = {name: copy for name, copy in self.served.items() if name in there}
        self.refused = {name: why for name, why in self.refused.items() if name in there}
        self._states = {name: state for name, state in self._states.items() if name in there}
        for name, path in there.items():
            state = _state(path)
            if self._states.get(name) == state:
                continue
            self._states[name] = state
            try:
                proposed[name] = self._copied(path, state)
            except BadBundle as error:
                self.refused[name] = str(error)
            except OSError as error:
                self.refused[name] = f"cannot be copied: {error.strerror}"
        self.proposed = proposed
        return proposed != self.served

    def review(self, models: Sequence[Mapping[str, Any]]) -> bool:
        """Take a worker's word on what is proposed; whether it was changed by that, so that a worker has to be asked again."""
        reasons = {model["name"]: model["reason"] for model in models if not model["loaded"]}
        again = False
        for folder, copy in list(self.proposed.items()):
            if copy.name not in reasons or self.served.get(folder) == copy:
                continue
            self.refused[folder] = str(reasons[copy.name])
            if folder in self.served:
                self.proposed[folder] = self.served[folder]
                again = True
        return again

    def settle(self) -> None:
        """What is proposed is in use from now on; other copies are removed."""
        self.served = dict(self.proposed)
        for folder, copy in self.served.items():
            if copy.state == self._states.get(folder):  # its newest; should a worker refuse it, its listing says why
                self.refused.pop(folder, None)
        kept = {copy.path for copy in self.served.values()}
        for path in self._home.iterdir():
            if path not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def _copied(self, path: Path, state: str) -> Copy:
        bundle = open_bundle(path)
        self._count += 1
        target = self._home / f"{self._count}-{path.name}"
        target.mkdir(mode=0o700)
        try:
            (target / MANIFEST).write_bytes(bundle.text)
            for name, file in bundle.manifest.files.items():
                with (target / name).open("wb") as out:
                    checked(path / name, file, out.write)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        return Copy(target, bundle.manifest.name, state)


def folders_in(source: Path) -> list[Path]:
    """The folders of a folder that may be bundles, by name; none when it cannot be read."""
    try:
        return sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def _state(path: Path) -> str:
    """A word for all that can be seen of a folder without reading it."""
    digest = hashlib.sha256()
    try:
        for entry in sorted(path.iterdir()):
            seen = entry.lstat()
            digest.update(f"{entry.name}\0{seen.st_size}\0{seen.st_mtime_ns}\0{seen.st_ino}\0".encode())
    except OSError as error:
        digest.update(str(error.errno).encode())
    return digest.hexdigest()
