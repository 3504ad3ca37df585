"""The lines of "By hand" in docs/api/ml-service.md, run by a shell with curl against a service process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import small_media
from model_process import KEY, ModelProcess, model_process

pytestmark = pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is not installed here (Debian: apt install curl)"
)

PAGE = Path(__file__).parents[3] / "docs" / "api" / "ml-service.md"
DETECTORS = "PROVENANCE-V1,JPEG-GRID-V1,IMAGE-SPECTRUM-V1,AUDIO-EVIDENCE-V1"
# The page's own answer stays on standard output; what curl itself measured goes beside it.
CURL = """curl() { command curl --max-time 60 -w '%{stderr}%{http_code}' "$@"; }\n"""


@dataclass(frozen=True)
class Line:
    """One command of the page. `needs`: variables that are set before it, in its block or the first."""

    command: str
    status: int
    words: str
    needs: tuple[str, ...]


def lines() -> list[list[Line]]:
    """The commands of "By hand", block by block."""
    section = PAGE.read_text(encoding="utf-8").split("\n## By hand\n", 1)[1].split("\n## ", 1)[0]
    blocks: list[list[Line]] = []
    first: list[str] = []
    for block in re.findall(r"```sh\n(.*?)```", section, re.S):
        found, needs = list[Line](), list(first)
        for line in block.splitlines():
            if not line.startswith("curl "):
                assert re.match(r"[A-Z]+=", line), line
                needs.append(line)
                continue
            command, _, told = line.partition(" # ")
            status, _, words = told.partition(" ")
            found.append(Line(command, int(status), words, tuple(needs)))
        blocks.append(found)
        first = first or needs
    return blocks


def say(line: Line, folder: Path, url: str) -> tuple[str, str]:
    """Run one line in a folder; the status that curl saw, and what it printed."""
    environment = {**os.environ, "A": url, "SERVER_API_KEY": KEY, "no_proxy": "*"}
    script = "\n".join([*line.needs, CURL + line.command])
    done = subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, timeout=90, check=False
    )
    assert done.returncode == 0, (line.command, done.returncode, done.stderr)
    return done.stderr.decode(), done.stdout.decode("utf-8", "replace")


def check(line: Line, folder: Path, url: str) -> None:
    status, said = say(line, folder, url)
    assert (status, line.words in said) == (str(line.status), True), f"{line.command}\n{status} {said[:2000]}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files that the page speaks of, and nothing else."""
    here = tmp_path / "by-hand"
    here.mkdir()
    (here / "picture.png").write_bytes(small_media.picture())
    (here / "clip.mp4").write_bytes(small_media.film())
    (here / "voice.wav").write_bytes(small_media.recording())
    (here / "broken.mp4").write_bytes(small_media.film()[:700])
    (here / "large.mp4").write_bytes(small_media.film() + bytes(2_000_000))
    return here


def test_each_line_of_the_page_is_answered_as_the_page_says(folder: Path, tmp_path: Path) -> None:
    asking, older, refused, _busy = lines()
    assert [len(block) >= 3 for block in (asking, older, refused)] == [True] * 3
    assert {401, 404, 413, 415, 422, 400} <= {line.status for line in refused}
    with model_process(tmp_path, ACTIVE_MODELS=DETECTORS, MAX_UPLOAD_BYTES="1000000") as running:
        for line in (*asking, *older, *refused):
            check(line, folder, running.url)
    assert (folder / "seen.png").read_bytes().startswith(b"\x89PNG")


def _until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_busy_service_answers_as_the_page_says(folder: Path, tmp_path: Path, scripted: Path) -> None:
    *_, (late, refused) = lines()
    assert (late.status, refused.status) == (504, 503)
    settings = {"ACTIVE_MODELS": "SCRIPTED-V1", "WORKERS": "1", "WAITING": "1", "ANALYSIS_DEADLINE": "1.5"}
    hang = ["curl", "-s", "-H", f"X-API-Key: {KEY}", "-F", "media=@picture.png;filename=hang.png"]
    with model_process(tmp_path, **settings) as running, ThreadPoolExecutor(1) as threads:
        holding = subprocess.Popen([*hang, "-F", "model=SCRIPTED-V1", f"{running.url}/analyze"], cwd=folder)
        try:
            _until(lambda: _in_flight(running) == 1)
            waiting = threads.submit(check, late, folder, running.url)
            _until(lambda: _in_flight(running) == 2)
            check(refused, folder, running.url)
            waiting.result(30)
        finally:
            holding.kill()
            holding.wait()
        _until(lambda: _in_flight(running) == 0)


def _in_flight(running: ModelProcess) -> float:
    return running.metric("drishtiksha_model_requests_in_flight")
