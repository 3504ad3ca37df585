"""The blocks of docs/first-client.md, run as they stand there. Stands beside `curl.py` and `javascript.py`."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "first-client.md"
_SUFFIX = {"sh": "sh", "js": "mjs", "python": "py"}
_SECONDS = 240


@dataclass(frozen=True)
class Said:
    """What a block printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it printed, without the steps that it was told of (`# …`)."""
        return [line for line in self.out.splitlines() if not line.startswith("#")]

    @property
    def steps(self) -> list[str]:
        """The steps that it was told of, one line each."""
        return [line.removeprefix("# ") for line in self.out.splitlines() if line.startswith("#")]


def run_block(heading: str, program: str, folder: Path, base: str, file: Path) -> Said:
    """Run the one block under that heading in `folder` by `program`, against `base`, with `file` as its argument."""
    (section,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    ((language, block),) = re.findall(r"^```(\w+)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    script = folder / f"client.{_SUFFIX[language]}"
    script.write_text(block)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "DRISHTIKSHA": base}
    done = subprocess.run(
        [program, str(script), str(file)],
        check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)
