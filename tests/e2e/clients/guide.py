"""The blocks of docs/first-client.md, run as they stand there. Stands beside `curl.py` and `javascript.py`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "first-client.md"
_SUFFIX = {"sh": "sh", "js": "mjs"}
_SECONDS = 90


def run_block(language: str, command: list[str], folder: Path, base: str, picture: Path) -> str:
    """What the guide's one block of that language prints, run in `folder` beside a picture.png, against `base`."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    script = folder / f"first-client.{_SUFFIX[language]}"
    script.write_text(block)
    shutil.copyfile(picture, folder / "picture.png")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "DRISHTIKSHA": base}
    done = subprocess.run(
        [*command, str(script)],
        check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
