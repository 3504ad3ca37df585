"""The contract's sentences: each has its tests (contract.toml), or says what is missing; the page shows them.

`python tests/house/test_contract.py` writes the page.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("contract.toml")
PAGE = ROOT / "docs" / "api" / "contract-coverage.md"
_HEAD = """# The contract, sentence by sentence

Written by `python tests/house/test_contract.py` from `tests/house/contract.toml`; a test compares. "open" says what no test shows yet.
"""


def parts() -> list[dict[str, Any]]:
    return list(tomllib.loads(LIST.read_text())["part"])


def render() -> str:
    lines = [line for part in parts() for line in part["line"]]
    shown = sum(bool(line.get("tests")) for line in lines)
    said = [_HEAD, f"Sentences with tests: {shown} of {len(lines)}.", ""]
    for part in parts():
        said += [f"## {part['title']}", "", "| sentence | shown by |", "|---|---|"]
        for line in part["line"]:
            tests = "<br>".join(f"`{test}`" for test in line.get("tests", [])) or f"**open:** {line['open']}"
            said.append(f"| {line['says'].replace('|', chr(92) + '|')} | {tests} |")
        said.append("")
    return "\n".join(said)


@cache
def _text(path: str) -> str:
    return (ROOT / "tests" / path).read_text()


def test_each_sentence_of_the_contract_has_tests_that_exist_or_says_what_is_missing() -> None:
    said = [line["says"] for part in parts() for line in part["line"]]
    assert len(said) == len(set(said))
    for part in parts():
        for line in part["line"]:
            assert bool(line.get("tests")) != ("open" in line), line["says"]
            for test in line.get("tests", []):
                path, _, name = test.partition("::")
                assert re.search(rf"^(async )?def {name}\(", _text(path), re.M), test


def test_the_page_shows_the_list() -> None:
    assert PAGE.read_text() == render(), "run python tests/house/test_contract.py"


if __name__ == "__main__":
    PAGE.write_text(render())
