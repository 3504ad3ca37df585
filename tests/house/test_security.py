"""The security floor: each sentence has its tests (security.toml), and docs/security.md shows them.

`python tests/house/test_security.py` writes the table.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("security.toml")
PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- security: begin (written by tests/house/test_security.py) -->", "<!-- security: end -->"


def parts() -> list[dict[str, Any]]:
    return list(tomllib.loads(LIST.read_text())["part"])


def render() -> str:
    """The page's tables, one for each part."""
    said: list[str] = []
    for part in parts():
        said += [f"### {part['title']}", "", "| sentence | shown by |", "|---|---|"]
        for line in part["line"]:
            shown = "<br>".join(f"`{test}`" for test in line.get("tests", [])) or f"**open:** {line['open']}"
            said.append(f"| {line['says']} | {shown} |")
        said.append("")
    return "\n".join(said).strip()


def written(page: str) -> str:
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{render()}\n\n{END}{rest.partition(END)[2]}"


def test_each_sentence_of_the_floor_has_tests_that_exist_or_says_what_is_missing() -> None:
    for part in parts():
        for line in part["line"]:
            assert bool(line.get("tests")) != ("open" in line), line["says"]
            for test in line.get("tests", []):
                path, _, name = test.partition("::")
                assert re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / path).read_text(), re.M), test


def test_the_page_shows_the_tables() -> None:
    page = PAGE.read_text()
    assert written(page) == page, "run python tests/house/test_security.py"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
