"""What docs/api/objects.md tells a client about codes and classes is all that there are."""

from __future__ import annotations

import re
from pathlib import Path

from drishtiksha.domain.errors import ErrorClass
from drishtiksha_api.problems import CODES

PAGE = (Path(__file__).parents[2] / "docs" / "api" / "objects.md").read_text(encoding="utf-8")


def _section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def _names(cell: str) -> list[str]:
    return re.findall(r"`([A-Z_]+)`", cell)


def test_every_code_stands_in_the_table_of_errors_with_its_status() -> None:
    rows = re.findall(r"^\| (`[^|]+) \| (\d{3}) \|", _section("Errors"), re.M)
    assert {name: int(status) for names, status in rows for name in _names(names)} == CODES


def test_every_class_of_failure_is_explained() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", _section("Why something failed"), re.M)
    assert sorted(name for row in rows for name in _names(row)) == sorted(ErrorClass)
