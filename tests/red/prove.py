"""`python tests/red/prove.py [WORD…]`: break the platform in a copy, fault by fault; the tests that must see it have to be red.

`make prove-red` runs it over all `*.toml` beside it. Exit 0: each fault was seen. The checkout itself is never touched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCES = ("core", "api", "operator", "jobrunner", "modelserver", "devcluster", "cli")
PATIENCE = 900.0
"""Seconds for the tests of one fault. Hanging is no proof: it counts as not seen."""


@dataclass(frozen=True)
class Fault:
    """One way to break the platform, and the tests that must see it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    suite: str = "test"
    like: tuple[int, ...] = ()

    def plant(self, root: Path) -> str:
        """Break the copy; the text that was there. Raises ValueError when it cannot be told what to change."""
        path = root / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"`old` stands {text.count(self.old)} times in {self.file}")
        path.write_text(text.replace(self.old, self.new))
        return text


def faults() -> list[Fault]:
    """All that stand in the lists, by file and order."""
    found = []
    for path in sorted(HERE.glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["fault"]:
            lists = {key: tuple(entry.pop(key)) for key in ("tests", "like") if key in entry}
            found.append(Fault(**entry, **lists))
    return found


def copy(folder: Path) -> Path:
    """A copy of what git tracks or would track, with an environment that imports its sources and our packages."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    root = folder / "checkout"
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    packages = next((folder / "venv" / "lib").glob("python*")) / "site-packages"
    installed = [path for path in sys.path if Path(path).name == "site-packages"]
    paths = [*(str(root / source) for source in SOURCES), *installed]
    (packages / "broken.pth").write_text("\n".join(paths) + "\n")
    return root


def seen(fault: Fault, root: Path) -> tuple[bool, str]:
    """Whether the tests turned red because of it, and pytest's last line."""
    marker = {"test": "not kill and not soak and not media", "kill": "kill", "soak": "soak"}[fault.suite]
    python = root.parent / "venv" / "bin" / "python"
    command = [python, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", "-m", marker, *fault.tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, check=False, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return False, "the tests did not end"
    last = done.stdout.strip().splitlines()[-1:] or done.stderr.strip().splitlines()[-1:] or ["nothing was said"]
    # 1: tests failed; 2 to 5: they were not run. A Python that cannot even start pytest says 1, too.
    return done.returncode == 1 and re.search(r"\d+ (failed|error)", last[0]) is not None, last[0]


def main() -> int:
    """Prove all faults whose name or file holds one of the words."""
    chosen = [f for f in faults() if not sys.argv[1:] or any(w in f.name or w in f.file for w in sys.argv[1:])]
    if not chosen:
        print("No fault has such a name.", file=sys.stderr)
        return 2
    missed = 0
    with tempfile.TemporaryDirectory(prefix="drishtiksha-red-") as folder:
        root = copy(Path(folder))
        for number, fault in enumerate(chosen, 1):
            began = time.monotonic()
            print(f"[{number}/{len(chosen)}] {fault.name} …", end=" ", flush=True)
            try:
                text = fault.plant(root)
            except ValueError as error:
                missed += 1
                print(f"cannot be planted: {error}")
                continue
            red, last = seen(fault, root)
            (root / fault.file).write_text(text)
            missed += not red
            print(
                f"{'red, as it must be' if red else 'NOT SEEN'} ({last.strip('= ')}; {time.monotonic() - began:.0f} s)"
            )
    print(f"{len(chosen) - missed} passed, {missed} failed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
