"""PostgreSQL as the platform runs it: with a password, on loopback only, gone when its maker is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from drishtiksha_devcluster import postgres
from drishtiksha_devcluster.process import Trace, alive, trace


def _gone(seen: Trace, seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while alive(seen) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(seen)


def test_a_wrong_password_is_refused(postgres_server: str) -> None:
    parts = urlsplit(postgres_server)
    wrong = postgres_server.replace(parts.password or "", "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_the_owner_may_create_databases_and_text_is_unicode(postgres_server: str) -> None:
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        may, encoding = connection.execute(
            "SELECT rolcreatedb, current_setting('server_encoding') FROM pg_roles WHERE rolname = current_user"
        ).fetchone() or (None, None)
    assert (may, encoding) == (True, "UTF8")


def test_only_loopback_and_no_unix_socket(postgres_server: str) -> None:
    with psycopg.connect(postgres_server) as connection:
        row = connection.execute(
            "SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories')"
        ).fetchone()
    assert row == ("127.0.0.1", "")


def test_a_throwaway_server_dies_with_its_maker_and_its_folder_is_removed_by_the_next(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from drishtiksha_devcluster import postgres\n"
        "with postgres.throwaway_postgres() as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    maker = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert maker.stdout is not None
    url = maker.stdout.readline().strip()
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting('data_directory'), pg_backend_pid()").fetchone()
    assert row is not None
    data = Path(row[0])
    server = postgres.running(data)
    assert server is not None
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    assert _gone(server)
    assert data.is_dir()
    again = subprocess.run(
        [sys.executable, "-c", script.replace("time.sleep(60)", "pass")], env=environment, check=True, timeout=60
    )
    assert again.returncode == 0
    assert not data.exists()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_data_survive_a_kill_and_a_new_password_takes_the_place_of_the_old(home: Path) -> None:
    data = postgres.data_folder(home)
    try:
        assert postgres.initialise(data, "first", throwaway=True) is True
        assert postgres.initialise(data, "first", throwaway=True) is False
        with _served(data, "first") as (url, server):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE TABLE kept (n int)")
                connection.execute("INSERT INTO kept VALUES (7)")
                connection.execute("CHECKPOINT")
            os.kill(server.pid, signal.SIGKILL)
            assert _gone(server)
        postgres.set_password(data, "it's new")
        with _served(data, "it's new") as (url, server):
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
    finally:
        postgres.remove(data)
    assert not data.exists()


def test_an_initdb_that_was_killed_is_begun_anew(home: Path) -> None:
    data = postgres.data_folder(home)
    try:
        postgres.initialise(data, "x", throwaway=True)
        (data / "PG_VERSION").unlink()
        assert postgres.initialise(data, "x", throwaway=True) is True
    finally:
        postgres.remove(data)


class _served:
    """A server over `data` that is killed at the end of the block."""

    def __init__(self, data: Path, password: str) -> None:
        self.data, self.password = data, password

    def __enter__(self) -> tuple[str, Trace]:
        import asyncio
        from urllib.parse import quote

        from drishtiksha_devcluster.ports import free_port
        from drishtiksha_devcluster.process import popen
        from drishtiksha_devcluster.ready import wait_ready

        port = free_port()
        spec = postgres.process(self.data, port, throwaway=True)
        self.server = popen(spec, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert spec.ready
        assert asyncio.run(wait_ready(spec.ready, 30))
        seen = trace(self.server.pid)
        assert seen is not None
        return postgres.url(port, quote(self.password), "postgres"), seen

    def __exit__(self, *_: object) -> None:
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGQUIT)
        self.server.wait(20)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_root_with_a_package_in_a_closed_folder_uses_a_copy_that_the_system_user_can_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = postgres.binaries(None)
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to the system user
        os.chmod(folder, 0o755)
        _starts_from_a_copy(Path(folder) / "system", package, monkeypatch)


def _starts_from_a_copy(places: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "SYSTEM_FOLDER", places)
    monkeypatch.setattr(postgres, "_reachable", lambda _path: False)
    copy = postgres.binaries(postgres.system_user())
    assert copy != package
    assert places in copy.parents
    assert postgres.binaries(postgres.system_user()) == copy
    with postgres.throwaway_postgres() as url, psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting('data_directory')").fetchone()
        assert row is not None
        server = postgres.running(Path(row[0]))
        assert server is not None
        assert os.readlink(f"/proc/{server.pid}/exe") == str(copy / "postgres")
