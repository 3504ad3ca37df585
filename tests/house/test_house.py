"""The house itself: what must never stand in it, and what must stay in step."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import figures
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "red"))
import prove  # noqa: E402  found through the line above

SOURCES = ("core", "api", "operator", "jobrunner", "modelserver", "devcluster", "cli")


def test_the_operator_folder_never_becomes_a_package() -> None:
    """`operator/__init__.py` would shadow the standard library's operator and kill Python in this folder."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not (ROOT / "tests" / "operator" / "__init__.py").exists()
    done = subprocess.run(
        [sys.executable, "-c", "import operator; operator.add"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr


def test_lock_files_hold_hashes_and_no_index_address() -> None:
    locks = sorted(ROOT.glob("requirements*.lock"))
    assert len(locks) >= 6
    for path in locks:
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links", text), path.name


def test_every_file_opens_with_what_it_is() -> None:
    silent = []
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text().lstrip()
            if text and not text.startswith(('"""', 'r"""', "#!")):
                silent.append(str(path.relative_to(ROOT)))
    assert silent == []


def test_the_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", (ROOT / "README.md").read_text(), re.M))
    assert named <= targets
    assert {"demo", "test"} <= named


def test_the_figures_of_the_reliability_page_are_those_that_the_suites_have_written() -> None:
    page = figures.DOCUMENT.read_text()
    assert figures.written(page, figures.stored()) == page, "run python tests/support/figures.py"


def test_every_fault_to_be_planted_can_be_planted() -> None:
    """`make prove-red` takes long; that each fault's place and its tests are still there is seen each time."""
    for fault in prove.faults():
        assert (ROOT / fault.file).read_text().count(fault.old) == 1, fault.name
        assert fault.old != fault.new
        for test in fault.tests:
            path, _, name = test.partition("::")
            assert (ROOT / path).exists(), f"{fault.name}: {path}"
            assert not name or f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(), f"{fault.name}: {name}"


@pytest.mark.soak
def test_the_names_of_the_tests_are_the_same_each_time() -> None:
    """Two processes share the tests by name (`make test`): a name with a random id or a time in it stops both.

    pytest-xdist compares the names of its processes at each start; this says which name it is."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "--ignore=tests/house", "-p", "no:cacheprovider"]
    seen = []
    for seed in ("1", "2"):
        done = subprocess.run(
            command,
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout[-2000:]
        seen.append([line for line in done.stdout.splitlines() if "::" in line])
    assert seen[0] == seen[1]
