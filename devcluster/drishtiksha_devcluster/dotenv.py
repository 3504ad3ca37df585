"""The person's settings: `.env`, made once from the template with fresh secrets, and never overwritten.

`template()` is `.env.example`. What stands in the environment of the caller wins over the file.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from drishtiksha.domain.errors import BadSettings
from drishtiksha.names import OTHER_NAMES, retired, successor
from drishtiksha.settings import GROUPS, names_of

DATABASE_PASSWORD = "DRISHTIKSHA_DATABASE_PASSWORD"  # noqa: S105  a name, not a password
"""The password of the PostgreSQL that `up` brings itself."""

_FRESH: dict[str, Callable[[], str]] = {
    "JWT_SECRET": lambda: secrets.token_hex(32),
    "DRISHTIKSHA_SIGNING_KEYS": lambda: f"k1:{secrets.token_hex(32)}",
    "SERVER_API_KEY": lambda: secrets.token_hex(24),
    DATABASE_PASSWORD: lambda: secrets.token_hex(24),
}
"""What every platform needs and nobody should choose by hand."""

_LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")


def template() -> str:
    """The text of `.env.example`."""
    return (Path(__file__).parent / "env.example").read_text(encoding="utf-8")


def known_names() -> frozenset[str]:
    """Every name that may stand in `.env`: what the processes read and what the template shows."""
    shown = re.findall(r"^#?\s?([A-Z][A-Z0-9_]*)=", template(), flags=re.MULTILINE)
    return frozenset({*shown, *names_of(*GROUPS), *OTHER_NAMES, DATABASE_PASSWORD})


def make(path: Path) -> bool:
    """Write `.env` (0600) with fresh secrets if there is none; True when it was made."""
    text = template()
    for name, fresh in _FRESH.items():
        text = re.sub(rf"^{name}=$", f"{name}={fresh()}", text, flags=re.MULTILINE)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def read(path: Path, environment: Mapping[str, str] | None = None) -> tuple[dict[str, str], list[str]]:
    """The settings that hold (empty ones left out), and a sentence for each retired name in the file.

    Raises BadSettings for a name that nobody knows, and for a secret that is missing.
    """
    environment = os.environ if environment is None else environment
    stands = parse(path.read_text(encoding="utf-8"), str(path))
    known = known_names()
    gone = {name for name in stands if successor(name)}
    unknown = sorted(set(stands) - known - gone)
    if unknown:
        raise BadSettings(f"{path}: unknown setting {', '.join(unknown)}: check the spelling, or remove it")
    told = [f"{path}: {sentence}" for sentence in retired(gone)]
    found = {**stands, **{name: environment[name] for name in known if name in environment and name not in _OURS_ALONE}}
    settings = {name: value for name, value in found.items() if value and name not in gone}
    missing = [name for name in _FRESH if name not in settings]
    if missing:
        raise BadSettings(
            f"{path}: {', '.join(missing)} is empty: give it a value (openssl rand -hex 32), or delete the file, and "
            "`drishtiksha up` makes a new one"
        )
    return settings, told


def parse(text: str, origin: str = ".env") -> dict[str, str]:
    """Names and values of a `.env`: one per line, `#` begins a comment, quotes may stand around a value."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise BadSettings(f"{origin}, line {number}: this is no NAME=value")
        name, value = match.groups()
        if value[:1] in ("'", '"') and value.find(value[0], 1) > 0:
            value = value[1 : value.find(value[0], 1)]
        else:
            value = re.sub(r"(^|\s+)#.*$", "", value)
        found[name] = value
    return found


_OURS_ALONE = frozenset({"HOST", "ACTIVE_MODELS", "KUBECONFIG", "WORKERS", "WAITING"})
"""Names so common in people's shells that only the file may set them."""
