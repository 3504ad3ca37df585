"""`drishtiksha dev`: changed code restarts its process, and Ctrl-C leaves things as they were before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drishtiksha_cli import dev
from drishtiksha_devcluster import dotenv, platform

PROGRAM = """
import sys, pathlib
from drishtiksha_cli import dev, main
dev.CODE = {{"valkey": ("watched",)}}
dev.PAUSE = 0.1
dev._folder = lambda package: pathlib.Path({watched!r})
sys.argv = ["drishtiksha", "dev", "valkey"]
main.main()
"""


def until(what: Callable[[], Any], seconds: float = 30) -> Any:
    give_up = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.05)
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("DATABASE_URL", "REDIS_URL", "SERVER_URL", "PORT", "DRISHTIKSHA_ENV"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    dotenv.make(folder / ".env")
    monkeypatch.setenv("DRISHTIKSHA_HOME", str(folder))
    yield folder
    platform.down(folder, data=True)


@pytest.mark.parametrize("ran_before", [False, True])
def test_changed_code_restarts_its_process_and_ctrl_c_ends_what_dev_has_started(
    home: Path, tmp_path: Path, ran_before: bool
) -> None:
    code, said = tmp_path / "watched", tmp_path / "said"
    code.mkdir()
    if ran_before:
        platform.up(home, ["valkey"])
    with said.open("w") as sink:
        command = [sys.executable, "-c", PROGRAM.format(watched=str(code))]
        running = subprocess.Popen(command, stdout=sink, stderr=sink, env=dict(os.environ))
    try:
        until(lambda: "Logs of valkey follow" in said.read_text())
        (before,) = platform.status(home)
        (code / "new.py").write_text("x = 1")
        after = until(lambda: next((p for p in platform.status(home) if p["pid"] not in (None, before["pid"])), None))
        assert after["name"] == "valkey"
        assert "valkey is restarted: new.py has changed" in said.read_text()
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
    finally:
        running.kill()
        running.wait()
    assert bool(platform.status(home)) is ran_before
    assert ("The platform goes on" in said.read_text()) is ran_before


def test_a_file_that_is_changed_made_or_removed_is_the_code_of_those_that_import_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "_folder", lambda package: tmp_path / package)
    for package in ("core", "api", "operator"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "one.py").write_text("")
    code = {"api": ("core", "api"), "operator": ("core", "operator")}
    sources = dev.Sources(code, ("api", "operator", "postgres"))
    assert sources.changed() == {}
    (tmp_path / "api" / "two.py").write_text("")
    assert sources.changed() == {"api": tmp_path / "api" / "two.py"}
    os.utime(tmp_path / "core" / "one.py", ns=(1, 1))
    assert set(sources.changed()) == {"api", "operator"}
    (tmp_path / "operator" / "one.py").unlink()
    (tmp_path / "operator" / "notes.txt").write_text("")
    assert set(sources.changed()) == {"operator"}
    assert sources.changed() == {}


def test_the_code_of_every_process_is_found() -> None:
    for packages in dev.CODE.values():
        for package in packages:
            assert (dev._folder(package) / "__init__.py").is_file()
