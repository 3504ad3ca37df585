"""Up, down and up again, with the part of the platform that is quick: PostgreSQL and Valkey.

The whole of it, with Kubernetes, is what the end-to-end tests run on.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from drishtiksha_devcluster import dotenv, logs, platform, postgres, state
from drishtiksha_devcluster.control import ControlFailed
from drishtiksha_devcluster.platform import PlatformFailed
from drishtiksha_devcluster.process import Trace, alive
from drishtiksha_devcluster.steps import Said

pytestmark = pytest.mark.long

PART = ("postgres", "valkey")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("DATABASE_URL", "REDIS_URL", "SERVER_URL", "PORT", "DRISHTIKSHA_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    dotenv.make(folder / ".env")
    yield folder
    platform.down(folder, data=True)
    assert not postgres.data_folder(folder).exists()


def processes(home: Path) -> dict[str, Trace]:
    body = json.loads((home / "run/pids.json").read_text())
    return {name: Trace(*seen) for name, seen in body["processes"].items()} | {"supervisor": Trace(*body["supervisor"])}


def test_up_is_repeatable_says_what_it_does_and_down_leaves_nothing(home: Path) -> None:
    said: list[Said] = []
    found = platform.up(home, PART, report=said.append)
    assert [s.step for s in said if s.state == "done"] == ["settings", "supervisor", "database", "services"]
    with psycopg.connect(found.database_url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("drishtiksha",)
    with redis.Redis.from_url(found.redis_url) as client:
        assert client.ping()
    before = processes(home)
    assert platform.up(home, PART) == found
    assert processes(home) == before
    assert {p["name"]: p["state"] for p in platform.status(home)} == {"postgres": "ready", "valkey": "ready"}
    assert sorted(platform.down(home)) == ["postgres", "valkey"]
    assert not any(alive(one) for one in before.values())
    assert platform.status(home) == []
    assert platform.down(home) == []


def test_after_everything_was_killed_up_finds_its_data_and_goes_on(home: Path) -> None:
    found = platform.up(home, PART)
    with psycopg.connect(found.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    for one in processes(home).values():
        os.kill(one.pid, signal.SIGKILL)
    assert platform.up(home, PART) == found
    with psycopg.connect(found.database_url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_down_after_the_supervisor_was_killed_leaves_nothing(home: Path) -> None:
    platform.up(home, PART)
    before = processes(home)
    os.kill(before["supervisor"].pid, signal.SIGKILL)
    platform.down(home)
    assert not any(alive(one) for one in before.values())


def test_two_platforms_side_by_side_do_not_collide(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    dotenv.make(other / ".env")
    try:
        one, two = platform.up(home, PART), platform.up(other, PART)
        assert not {one.ports[name] for name in one.ports if name != "wished"} & {
            two.ports[name] for name in ("postgres", "valkey")
        }
        platform.down(other)
        assert all(p["state"] == "ready" for p in platform.status(home))
    finally:
        platform.down(other, data=True)


def test_one_process_goes_down_and_up_and_is_restarted_by_name(home: Path) -> None:
    platform.up(home, PART)
    first = processes(home)["valkey"]
    platform.down(home, ["valkey"])
    assert {p["name"]: p["state"] for p in platform.status(home)} == {"postgres": "ready", "valkey": "stopped"}
    platform.up(home, ["valkey"])
    second = processes(home)["valkey"]
    assert first != second
    platform.restart(home, ["valkey"])
    assert processes(home)["valkey"] != second
    with pytest.raises(PlatformFailed, match="there is no process nothing; there are: postgres, valkey"):
        platform.up(home, ["nothing"])
    with pytest.raises(ControlFailed, match="no process 'api'"):
        platform.down(home, ["api"])


def test_a_new_password_in_env_over_old_data_is_taken_over(home: Path) -> None:
    platform.up(home, PART)
    platform.down(home)
    file = home / ".env"
    lines = [f"{dotenv.DATABASE_PASSWORD}=another" if dotenv.DATABASE_PASSWORD in line else line
             for line in file.read_text().splitlines()]  # fmt: skip
    file.write_text("\n".join(lines) + "\n")
    found = platform.up(home, PART)
    assert ":another@" in found.database_url
    with psycopg.connect(found.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_database_of_ones_own_is_used_and_none_is_brought(home: Path, database_url: str) -> None:
    with (home / ".env").open("a") as file:
        file.write(f"DATABASE_URL={database_url}\n")
    found = platform.up(home, PART)
    assert found.database_url == database_url
    assert [p["name"] for p in platform.status(home)] == ["valkey"]


def test_a_process_that_does_not_come_up_is_named_with_its_last_words(home: Path) -> None:
    state.prepare(home)
    ports = platform.addresses(home).ports
    postgres.initialise(postgres.data_folder(home), "x")
    (postgres.data_folder(home) / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(PlatformFailed) as failure:
        platform.up(home, ["postgres"])
    assert "postgres did not become ready: died 5 times within a minute" in str(failure.value)
    assert "no_such_setting" in str(failure.value)
    assert "drishtiksha logs postgres" in str(failure.value)
    assert any("no_such_setting" in line for _, line in logs.read(home, ["postgres"], 20))
    assert ports["postgres"] == platform.addresses(home).ports["postgres"]


def test_a_port_that_a_stranger_took_meanwhile_is_no_obstacle(home: Path) -> None:
    first = platform.up(home, ["valkey"])
    platform.down(home)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", first.ports["valkey"]))
        stranger.listen()
        second = platform.up(home, ["valkey"])
        assert second.ports["valkey"] != first.ports["valkey"]
        with redis.Redis.from_url(second.redis_url) as client:
            assert client.ping()


def test_logs_of_a_process_that_is_not_there_are_refused_with_the_names_that_are(home: Path) -> None:
    platform.up(home, ["valkey"])
    with pytest.raises(logs.NoLog, match=r"there is no log of 'nobody' .* there are: supervisor, valkey"):
        list(logs.read(home, ["nobody"], 1))
