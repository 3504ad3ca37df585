"""The demo's media: drawn by code from fixed seeds by `drishtiksha-models specimens`; nothing is downloaded, nobody is shown.

Called by `demo` only. The drawing belongs to the model service, which makes its detectors' cards with it; it is asked as a
command, since the command line stands on no other process's code.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import CommandFailed

FIRST = ("clip.mp4", "picture.png", "recording.flac")
"""The smallest choice: a video, a picture and a recording."""
USUAL = (*FIRST, "signed.jpg", "watermarked.png")
"""What the demo shows without `--all`: each kind of decision, and what INCONCLUSIVE looks like."""
ALL = (*USUAL, "altered.jpg", "face.mp4", "face-redrawn.mp4", "voice.flac")


@dataclass(frozen=True)
class DemoFile:
    """One file: where it is, how it was made, and what an honest platform says about it."""

    path: Path
    made: str
    expected: str


def draw_all(folder: Path, say: Callable[[str], None] = lambda _: None, names: Sequence[str] = FIRST) -> list[DemoFile]:
    """Draw these files into `folder`, unless they are there already, and tell what each is. Raises CommandFailed."""
    command = [sys.executable, "-m", "drishtiksha_models.main", "specimens", str(folder), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["no reason was told"])[-1]
        raise CommandFailed(f"the demo's media could not be drawn: {why}")
    told = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    for row in told.values():
        if row["new"]:
            say(f"drew {row['name']}")
    return [DemoFile(folder / name, told[name]["made"], told[name]["expected"]) for name in names]
