"""A small share of the fuzzing, the same each time; the large one is `make fuzz`. And that harm would be seen."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
INPUTS = 300
BOMBS = ("png-of-49-million-pixels-16-bit", "gif-of-144-million-pixels", "mkv-of-36-million-pixels")
KINDS = {
    "image/jpeg", "image/png", "image/gif", "image/webp", "image/avif",
    "video/mp4", "video/quicktime", "video/webm", "video/x-matroska", "video/x-msvideo", "video/mp2t",
    "audio/wav", "audio/mpeg", "audio/flac", "audio/ogg", "audio/mp4", "audio/aac", "audio/aiff",
}  # fmt: skip
_ALONE = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *(p for p in sys.path if p)])}


@pytest.fixture(scope="module")
def watching() -> Any:
    """The module of that name, which the fuzzing's own processes find beside themselves."""
    sys.path.insert(0, str(HERE))
    try:
        spec = importlib.util.spec_from_file_location("fuzz_watching", HERE / "watching.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["fuzz_watching"] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(HERE))


def test_changed_and_unpacking_files_do_no_harm(watching: Any, tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "dealt.py"), str(tmp_path), str(INPUTS), "1", *BOMBS]
    ended = watching.attend(command, tmp_path, environment=_ALONE)
    seen = watching.booking.read(tmp_path)
    assert seen["findings"] == []
    assert ended.how == "done", ended.said
    assert seen["inputs"] == INPUTS
    assert {kind for kind, outcome, _ in seen["outcomes"] if outcome == "decoded"} >= KINDS
    assert sum(n for _, outcome, n in seen["outcomes"] if outcome == "refused") > INPUTS / 10


@pytest.mark.parametrize(
    ("does", "how"), [("os.kill(os.getpid(), signal.SIGSEGV)", "crash"), ("time.sleep(60)", "hang")]
)
def test_what_ends_or_stops_a_process_is_kept_with_its_input(
    watching: Any, tmp_path: Path, does: str, how: str
) -> None:
    script = f"import os, pathlib, signal, time\npathlib.Path({str(tmp_path)!r}, 'at-work').write_bytes(b'the input')\n{does}"
    ended = watching.attend([sys.executable, "-c", script], tmp_path, patience=0.5)
    (finding,) = watching.booking.read(tmp_path)["findings"]
    assert (ended.how, finding["wrong"]) == (how, how)
    assert (tmp_path / "findings" / finding["file"]).read_bytes() == b"the input"


def test_a_process_that_was_told_to_end_is_no_finding(watching: Any, tmp_path: Path) -> None:
    script = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert watching.attend([sys.executable, "-c", script], tmp_path).how == "stopped"
    assert watching.booking.read(tmp_path)["findings"] == []


BROKEN = {
    "a bound on pixels is lost": ("image.MAX_PIXELS = 10**9", "seeds.bomb('png-of-64-million-pixels')", "over"),
    "samples are not held down": ("audio.LOUDEST = 1e9", "seeds.draw.strange_numbers()", "over"),
    "memory passes its bound": ("target.GROWN_MIB = 100", "seeds.bomb('png-of-49-million-pixels')", "over"),
    "an error is not turned": ("image.FORMATS += ('MPO',)", "b'\\xff\\xd8\\xff\\xe0'", "fault"),
}
"""What is broken, the words that break it, a file that shows it, and what is said then."""


def test_a_bound_that_is_lost_is_seen(tmp_path: Path) -> None:
    script = """
        import json, pathlib, sys
        import seeds, target
        from drishtiksha_models.decode import audio, image
        target.PROVENANCE.load()
        path = pathlib.Path(sys.argv[1])
        for name, (breaks, data, _) in json.loads(sys.argv[2]).items():
            path.write_bytes(eval(data))
            before = target.look(path).wrong
            kept = image.MAX_PIXELS, audio.LOUDEST, target.GROWN_MIB, image.FORMATS
            exec(breaks)
            print(json.dumps([name, before, target.look(path).wrong]))
            image.MAX_PIXELS, audio.LOUDEST, target.GROWN_MIB, image.FORMATS = kept
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "file"), json.dumps(BROKEN)]
    ran = subprocess.run(command, env=_ALONE, capture_output=True, text=True, timeout=120, check=True)
    said = [json.loads(line) for line in ran.stdout.splitlines()]
    assert said == [[name, None, due] for name, (_, _, due) in BROKEN.items()]
