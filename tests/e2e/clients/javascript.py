"""A stock `socket.io-client` in Node. Its package comes from the user's cache, pinned by package-lock.json.

Without Node, npm, or a way to the package, `modules` says so, and the tests that need it are skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_INSTALL_SECONDS = 120


class NoNode(Exception):
    """Why no JavaScript client can run here."""


def modules() -> Path:
    """The folder node_modules with the pinned client; installed at the first call. Raises NoNode."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NoNode(f"{program} is not installed")
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "drishtiksha" / "clients"
    place = cache / hashlib.sha256(lock).hexdigest()[:16]
    if not place.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _install(Path(folder) / "new")
            try:
                (Path(folder) / "new").rename(place)
            except OSError:  # somebody else was quicker
                if not place.exists():
                    raise
    return place / "node_modules"


def _install(folder: Path) -> None:
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1"]
    try:
        done = subprocess.run(
            command, check=False, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise NoNode(f"npm took longer than {_INSTALL_SECONDS} s") from None
    if done.returncode != 0:
        raise NoNode(f"npm cannot bring socket.io-client: {done.stderr.strip()[-300:]}")


def workplace(folder: Path) -> Path:
    """A folder in which a script may say `import … from "socket.io-client"`."""
    link = folder / "node_modules"
    if not link.exists():
        link.symlink_to(modules())
    return folder


class Listening:
    """A running `listen.mjs`: what it was told, in order, as (name, payload)."""

    def __init__(self, folder: Path, **options: Any) -> None:
        script = workplace(folder) / "listen.mjs"
        shutil.copy(HERE / "listen.mjs", script)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self._process = subprocess.Popen(
            ["node", str(script), json.dumps(options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, payload = json.loads(line)
            self.told.append((name, payload))

    def end(self, seconds: float) -> list[tuple[str, dict[str, Any]]]:
        """All it was told, once it has left by itself; AssertionError when it does not."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still listening after {seconds:.0f} s; told: {self.told}") from None
        finally:
            self._process.kill()
        self._reader.join(5)
        assert self._process.stderr is not None
        assert self._process.returncode == 0, self._process.stderr.read()
        return self.told
