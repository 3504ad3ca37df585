"""docs/compatibility.md: what is said to exist here does, and each setting of the predecessor is live or retired with a word.

The middle column of each table is read: commands, files, settings, tables, routes and events in backticks.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from drishtiksha import settings
from drishtiksha.database.tables import Base
from drishtiksha.domain.events import EventType
from drishtiksha.names import OTHER_NAMES, successor
from drishtiksha_api.routes import auth, content, docs, events, frames, health, library, media, monitoring
from drishtiksha_cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "compatibility.md").read_text()
_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|PORT")
SETTINGS = settings.names_of(*settings.GROUPS) | OTHER_NAMES.keys()
STATED = frozenset({"MediaAnalysis"})
"""Kinds of Kubernetes objects."""


def rows(section: str) -> list[tuple[str, str]]:
    """What stands there and here, of one section's table; the head is left out."""
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    cells = [[c.strip() for c in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("| ")]
    return [(row[0].strip("| "), row[1].strip("| ")) for row in cells[1:]]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@cache
def routes() -> frozenset[str]:
    """`METHOD /path` of every route."""
    modules = (auth, content, docs, events, frames, health, library, media, monitoring)
    return frozenset(
        f"{method} {route.path}"
        for m in modules
        for route in m.router.routes
        for method in route.methods  # type: ignore[attr-defined]
    )


def _command_exists(words: list[str]) -> bool:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    if words[0] == "make":
        return re.search(rf"^{words[1]}:| {words[1]} ", (ROOT / "Makefile").read_text(), re.M) is not None
    if words[0] != "drishtiksha":
        return words[0] in scripts
    known = get_command(app)
    for word in words[1:]:
        if not hasattr(known, "commands"):
            return True  # an argument
        if word not in known.commands:
            return False
        known = known.commands[word]
    return True


@pytest.mark.parametrize("section", ["Scripts", "Services", "Files", "Settings", "Queues, jobs and channels", "Live events", "Routes", "Tables"])  # fmt: skip
def test_what_took_the_place_of_something_exists(section: str) -> None:
    told = {event.value for event in EventType}
    sockets = (ROOT / "api/drishtiksha_api/shapes/events.py").read_text()
    for there, here in rows(section):
        assert there
        assert here == "gone" or named(here), f"{there}: nothing took its place, and it is not said to be gone"
        for name in named(here):
            if re.match(r"(GET|POST|PUT|PATCH|DELETE) /", name):
                exists = name in routes()
            elif name.startswith(("drishtiksha", "make ")) and "/" not in name:
                exists = _command_exists(name.split())
            elif section == "Live events":
                exists = name in told or f'"{name}"' in sockets
            elif _NAME.fullmatch(name):
                exists = name in SETTINGS
            elif "table" in here:
                exists = name in Base.metadata.tables
            else:
                exists = name in STATED or name == ".env" or (ROOT / name).exists()
            assert exists, f"{there}: {name} is not there"


def test_each_setting_of_the_predecessor_is_read_or_retired_with_a_word() -> None:
    for there, here in rows("Settings"):
        for name in (n for n in named(there) if _NAME.fullmatch(n)):
            if here != "gone" and name in named(here):
                assert name in SETTINGS
            else:
                assert successor(name) or name == "STORAGE_PROVIDER", f"{name} is neither read nor retired"


def test_each_difference_says_why() -> None:
    for line in PAGE.partition("## What differs, and why")[2].splitlines():
        if line.startswith("| ") and "---" not in line:
            assert len([cell for cell in line.strip("| ").split(" | ") if cell]) == 3, line
