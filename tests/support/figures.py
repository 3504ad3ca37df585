"""What the suites have shown, as `docs/figures/TOPIC.json`, and the part of docs/reliability.md that is made of it.

A suite calls `record` at its end; with DRISHTIKSHA_WRITE_FIGURES=1 that writes, otherwise nothing changes. The page
is written anew by `python tests/support/figures.py`, and a test of the house holds page and files together. The
protocol's own figures have a part of their own (`protocol_explorer`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "figures"
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: begin (written by the suites) -->", "<!-- figures: end -->"
ORDER = ("kills", "seams", "double", "commits", "events", "nodes", "service", "twos", "erasure", "limits", "soak")
"""Topics in the order of the page; others follow by name."""


@dataclass(frozen=True)
class Claim:
    """One figure. `control` says what was broken on purpose, and what the suite then said."""

    what: str
    goal: str
    found: str
    met: bool
    control: str


@dataclass(frozen=True)
class Table:
    """More figures: a head and rows of text."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def record(
    topic: str, title: str, command: str, claims: Sequence[Claim], *, words: str = "", table: Table | None = None
) -> None:
    """Write a topic's figures and the page, if asked to. `command` repeats them; `words` are sentences about them."""
    if os.environ.get("DRISHTIKSHA_WRITE_FIGURES") != "1":
        return
    told = {"title": title, "command": command, "words": words, "claims": [asdict(claim) for claim in claims]}
    told["table"] = asdict(table) if table else None
    (FOLDER / f"{topic}.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    DOCUMENT.write_text(written(DOCUMENT.read_text(), stored()))


def stored() -> dict[str, dict[str, Any]]:
    """All topics that have been recorded, in the page's order."""
    found = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json") if path.stem != "protocol"}
    place = {topic: number for number, topic in enumerate(ORDER)}
    return dict(sorted(found.items(), key=lambda item: (place.get(item[0], len(place)), item[0])))


def render(topics: dict[str, dict[str, Any]]) -> str:
    """The generated part."""
    return "\n\n".join("\n".join(_topic(told)) for told in topics.values())


def written(document: str, topics: dict[str, dict[str, Any]]) -> str:
    """The document with its generated part as these topics say."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{render(topics)}\n\n{END}{after}"


def _topic(told: dict[str, Any]) -> list[str]:
    lines = [f"### {told['title']}", ""]
    if told["words"]:
        lines += [told["words"], ""]
    lines += ["| figure | goal | found | | shown red by |", "|---|---|---|---|---|"]
    for claim in told["claims"]:
        met = "met" if claim["met"] else "**missed**"
        lines.append(_row([claim["what"], claim["goal"], claim["found"], met, claim["control"]]))
    if told["table"]:
        head, rows = told["table"]["head"], told["table"]["rows"]
        lines += ["", _row(head), "|" + "---|" * len(head), *(_row(row) for row in rows)]
    return [*lines, "", "Repeat it: `" + told["command"] + "`"]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(), stored()))
