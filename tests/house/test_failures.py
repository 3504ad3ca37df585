"""The 37 failures of the predecessor: each has its tests (failures.toml), and the page shows them."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("failures.toml")
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- failures: begin (written by tests/house/test_failures.py) -->", "<!-- failures: end -->"
SOURCES = ("core", "api", "operator", "jobrunner", "modelserver", "devcluster", "cli")


def failures() -> list[dict[str, Any]]:
    return list(tomllib.loads(LIST.read_text())["failure"])


def render() -> str:
    """The page's table."""
    rows = ["| | the predecessor | ours cannot: see |", "|---:|---|---|"]
    for one in failures():
        shown = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in one["tests"]) or f"**open:** {one['open']}"
        rows.append(f"| {one['number']} | {one['what']} | {shown} |")
    return "\n".join(rows)


def written(document: str) -> str:
    before, _, rest = document.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{render()}\n\n{END}{rest.partition(END)[2]}"


def test_each_of_the_37_failures_has_a_test_that_exists_or_says_why_not() -> None:
    told = failures()
    assert [one["number"] for one in told] == list(range(1, 38))
    for one in told:
        assert bool(one["tests"]) != ("open" in one), f"failure {one['number']}: tests, or a word why there are none"
        for test in one["tests"]:
            path, _, name = test.partition("::")
            assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.M), test


def test_the_page_shows_the_table() -> None:
    page = DOCUMENT.read_text()
    assert written(page) == page, "run python tests/house/test_failures.py"


def _source_files() -> list[Path]:
    return [path for folder in SOURCES for path in sorted((ROOT / folder).rglob("*.py"))]


def _while_importing(tree: ast.Module) -> list[ast.AST]:
    """Everything that runs when the module is imported: all but the bodies of functions."""
    found: list[ast.AST] = []
    ahead: list[ast.AST] = [*tree.body]
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            ahead += [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
            continue
        found.append(node)
        ahead += ast.iter_child_nodes(node)
    return found


def test_no_module_reads_a_setting_while_it_is_imported() -> None:
    early = []
    for path in _source_files():
        for node in _while_importing(ast.parse(path.read_text())):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if name in ("environ", "environb", "getenv"):
                early.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}")
    assert early == []


def test_each_channel_has_its_name_in_one_place() -> None:
    """Ours in `bus.py`; the ML services' in the settings of those who hear it and of those who speak on it."""
    homes: dict[str, set[str]] = {}
    for path in _source_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for name in re.findall(r"^(?:drishtiksha:[a-z-]+|media-progress-events)$", node.value):
                    homes.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    assert homes == {
        "drishtiksha:runs": {"core/drishtiksha/bus.py"},
        "drishtiksha:users": {"core/drishtiksha/bus.py"},
        "drishtiksha:ticks": {"core/drishtiksha/bus.py"},
        "drishtiksha:server-status": {"api/drishtiksha_api/mlstatus.py"},
        "media-progress-events": {"core/drishtiksha/settings.py", "modelserver/drishtiksha_models/settings.py"},
    }


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
