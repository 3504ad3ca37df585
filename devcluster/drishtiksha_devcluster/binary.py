"""Where the programs of the control plane come from: etcd, the Kubernetes servers, kubectl.

In this order: the cache; a download named by the environment and checked against its SHA-256; a build from the Go
module in `devcluster/control-plane`, with the user's Go or the one of `toolchain.py`. A project of this size has no
mirror of the official release files whose checksums it could vouch for, so none is named here: whoever keeps one (an
archive of the five programs, of one multi-call `control-plane`, or that binary itself) sets

    DRISHTIKSHA_CONTROL_PLANE_URL     where it is
    DRISHTIKSHA_CONTROL_PLANE_SHA256  what it must be

The cache is `$XDG_CACHE_HOME/drishtiksha/control-plane/<hash of the Go module>/`; it is filled once per machine and
user, by one process at a time, and only with something whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drishtiksha.domain.errors import BadSettings, DrishtikshaError

from . import build, download, toolchain
from .download import Progress

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
"""What a control plane consists of here, each an executable in the folder that `control_plane` returns."""

MULTI_CALL = "control-plane"
"""The one binary that is all of them, chosen by the name it is called by."""

MODULE_FILES = ("main.go", "go.mod", "go.sum")
"""What decides the content of a build, and so the name of its place in the cache."""

URL = "DRISHTIKSHA_CONTROL_PLANE_URL"
SHA256 = "DRISHTIKSHA_CONTROL_PLANE_SHA256"


class NoControlPlane(DrishtikshaError):
    """There is no control plane and none could be made; the text says why and what helps."""


def control_plane(progress: Progress = lambda sentence, done: None) -> Path:
    """The folder with the five PROGRAMS; made, once, when the cache does not have it yet.

    `progress(sentence, fraction or None)` is called all along. Raises NoControlPlane, NoToolchain, WrongChecksum or
    BadSettings, each with its cure.
    """
    if sys.platform != "linux":
        raise NoControlPlane(
            f"The one-machine cluster runs on Linux (x86-64, arm64), not on {platform.system()}: use a virtual machine."
        )
    folder = cache() / module_hash(source())
    if is_whole(folder):
        return folder
    with _alone(folder, progress):
        # Whoever held the lock before us has probably made it.
        if is_whole(folder):
            return folder
        # What a killed one left half-made is nobody's: only the holder of the lock makes anything here.
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            fetched = cache().parent / "toolchain"
            if not _downloaded(part, progress):
                go = toolchain.find(fetched, progress)
                build.build(go, source(), part / MULTI_CALL, progress)
            _name_programs(part)
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
            # Four gigabytes that only a build that failed half-way would want again.
            shutil.rmtree(fetched, ignore_errors=True)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def is_whole(folder: Path) -> bool:
    """Are all programs there? A folder appears under its name only when it is, unless somebody emptied it."""
    return all(os.access(folder / name, os.X_OK) for name in PROGRAMS)


def cache() -> Path:
    """The user's cache folder for control planes."""
    base = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(base) if base else Path.home() / ".cache") / "drishtiksha" / "control-plane"


def source() -> Path:
    """The Go module: in the source tree, else in the installed distribution."""
    here = Path(__file__).resolve()
    tree = here.parents[1] / "control-plane"
    return tree if (tree / "go.mod").exists() else here.parents[1] / "drishtiksha" / "data" / "control-plane"


def module_hash(module: Path) -> str:
    """Sixteen hex digits that change with the module and the machine's kind."""
    digest = hashlib.sha256(platform.machine().encode())
    for name in MODULE_FILES:
        try:
            digest.update(hashlib.sha256((module / name).read_bytes()).digest())
        except OSError as error:
            raise NoControlPlane(
                f"The source of the control plane is missing: {error}. Reinstall Drishtiksha."
            ) from error
    return digest.hexdigest()[:16]


@contextmanager
def _alone(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of this cache folder; the kernel drops it when its holder dies."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_suffix(".lock").open("w")
    except OSError as error:
        raise NoControlPlane(f"The cache folder cannot be written: {error}. Set XDG_CACHE_HOME to another.") from error
    with lock:
        waited = 0.0
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress(f"Another process is making the control plane; waiting for it ({waited:.0f} s)", None)
                time.sleep(0.5)
                waited += 0.5
        yield


def _downloaded(part: Path, progress: Progress) -> bool:
    """Was a ready-made control plane named, and is it now in `part`? An unreachable one is said and passed over."""
    url, sha256 = os.environ.get(URL, "").strip(), os.environ.get(SHA256, "").strip()
    if not url:
        return False
    if len(sha256) != 64:
        raise BadSettings(f"{SHA256}: must be the 64 hex digits of the file behind {URL}")
    file = part / "download"
    try:
        download.fetch(url, sha256, file, progress)
    except download.DownloadFailed as error:
        progress(f"{error}; building it instead", None)
        return False
    if tarfile.is_tarfile(file):
        _unpack(file, part)
    else:
        file.rename(part / MULTI_CALL)
    file.unlink(missing_ok=True)
    return True


def _unpack(archive: Path, part: Path) -> None:
    """Only our own programs, by their last name, whatever folders the archive keeps them in."""
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            if member.isfile() and name in (*PROGRAMS, MULTI_CALL) and (content := tar.extractfile(member)) is not None:
                with content, (part / name).open("wb") as file:
                    shutil.copyfileobj(content, file)


def _name_programs(part: Path) -> None:
    """Every program executable under its own name; those that the multi-call binary covers become links to it."""
    for name in PROGRAMS:
        if not (part / name).exists():
            if not (part / MULTI_CALL).exists():
                raise NoControlPlane(f"The download behind {URL} holds no {name}, and no {MULTI_CALL} either.")
            (part / name).symlink_to(MULTI_CALL)
        (part / name).chmod(0o755)
