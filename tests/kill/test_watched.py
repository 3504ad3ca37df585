"""The trace that kills: it sees coroutines and threads, it dies exactly where it is told, and it leaves no line out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from kill_matrix.watched import ROOT, Point, choose, in_share

LOCAL = "core/drishtiksha/objects/local.py"
PUT = """
import asyncio, json, sys
from pathlib import Path
from kill_matrix.watched import Point, Watch
from drishtiksha.objects.local import LocalObjects

async def drawn():
    yield b"abc"

watch = Watch(Point(*json.loads(sys.argv[2])) if len(sys.argv) > 2 else None)
watch.arm()
asyncio.run(LocalObjects(Path(sys.argv[1])).put("media/x/original", drawn()))
watch.disarm()
print(json.dumps([[file, line] for file, line in watch.counts]))
"""


def put(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One object is stored in a process of its own, watched."""
    paths = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", PUT, str(folder), *words]
    return subprocess.run(command, env=os.environ | paths, capture_output=True, text=True, timeout=120, check=False)


def line_of(text: str) -> int:
    lines = (ROOT / LOCAL).read_text().splitlines()
    (found,) = [number for number, line in enumerate(lines, 1) if text in line]
    return found


def test_lines_of_coroutines_and_of_threads_are_seen(tmp_path: Path) -> None:
    done = put(tmp_path)
    assert done.returncode == 0, done.stderr
    in_coroutine, in_thread = line_of("block.append(chunk)"), line_of("part.replace(target)")
    for line in (in_coroutine, in_thread):
        assert f'["{LOCAL}", {line}]' in done.stdout


def test_death_comes_before_the_line_and_not_after_it(tmp_path: Path) -> None:
    named = line_of("part.replace(target)")
    done = put(tmp_path, f'["{LOCAL}", {named}]')
    assert done.returncode == -signal.SIGKILL
    (left,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left.parent.name == ".incoming"
    assert left.read_bytes() == b"abc"
    assert put(tmp_path, f'["{LOCAL}", {named}, 2]').returncode == 0, "it is executed once only"


def test_every_line_is_a_place_of_two_deaths_where_it_is_executed_twice() -> None:
    once, often, shared = ("a.py", 1), ("a.py", 2), ("b.py", 7)
    recorded = {"one": {once: 1, often: 5, shared: 3}, "two": {shared: 4}}
    chosen = choose(recorded)
    assert {(p.file, p.line) for points in chosen.values() for p in points} == {once, often, shared}
    assert Point("a.py", 2) in chosen["one"]
    assert Point("a.py", 2, 5) in chosen["one"]
    first, last = (next(p for p in chosen[act] if (p.file, p.line) == shared) for act in ("one", "two"))
    assert sorted([first.time, last.time]) in ([1, 3], [1, 4])
    assert choose(recorded) == chosen


def test_every_point_is_in_exactly_one_share() -> None:
    points = [Point("a.py", line) for line in range(500)]
    for point in points:
        assert sum(in_share("act", point, (number, 12)) for number in range(12)) == 1
    assert all(sum(in_share("act", p, (n, 12)) for p in points) > 20 for n in range(12))
