"""Where the API is, and the token of the person at this terminal: one file per API, readable by its owner only."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from .errors import USAGE, CommandFailed

DEFAULT_API = "http://127.0.0.1:3000"


def api_url(given: str | None) -> str:
    """`--api` or DRISHTIKSHA_API; else the platform of this machine; else port 3000. Raises CommandFailed."""
    if given:
        parts = urlsplit(given)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandFailed(f"--api {given}: this is no URL such as {DEFAULT_API}", USAGE)
        return given.rstrip("/")
    ports = _home() / "run" / "ports.json"
    try:
        return f"http://127.0.0.1:{int(json.loads(ports.read_text())['api'])}"
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_API


def _home() -> Path:
    named = os.environ.get("DRISHTIKSHA_HOME")
    if named:
        return Path(named)
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parents[2]):
        if (folder / ".drishtiksha" / "run").is_dir():
            return folder / ".drishtiksha"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "drishtiksha"


def _file(base_url: str) -> Path:
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "drishtiksha"
    return config / f"token-{hashlib.sha256(base_url.encode()).hexdigest()[:16]}.json"


def load(base_url: str) -> str | None:
    """The stored token for this API."""
    try:
        found = json.loads(_file(base_url).read_text())
    except (OSError, ValueError):
        return None
    return found.get("token") if isinstance(found, dict) and found.get("api") == base_url else None


def save(base_url: str, email: str, token: str) -> Path:
    """Keep a token, mode 0600; returns the file. Raises CommandFailed."""
    path = _file(base_url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump({"api": base_url, "email": email, "token": token}, file)
        unfinished.replace(path)
    except OSError as error:
        raise CommandFailed(f"the token cannot be kept in {path}: {error.strerror}") from None
    return path


def forget(base_url: str) -> None:
    """Remove the token for this API."""
    _file(base_url).unlink(missing_ok=True)
