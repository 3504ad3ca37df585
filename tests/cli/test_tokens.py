"""A token belongs to one API and one person: one file each, readable by its owner only."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from drishtiksha_cli import tokens
from drishtiksha_cli.errors import USAGE, CommandFailed

ONE, TWO = "http://127.0.0.1:3000", "https://api.example.org"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DRISHTIKSHA_HOME", str(tmp_path / "home"))
    return tmp_path


def test_a_token_is_kept_for_its_api_alone_and_closed_to_others() -> None:
    path = tokens.save(ONE, "a@b.c", "secret-one")
    tokens.save(TWO, "a@b.c", "secret-two")
    assert (tokens.load(ONE), tokens.load(TWO)) == ("secret-one", "secret-two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    tokens.forget(ONE)
    tokens.forget(ONE)
    assert (tokens.load(ONE), tokens.load(TWO)) == (None, "secret-two")


def test_a_new_token_replaces_the_old_one_and_its_mode() -> None:
    path = tokens.save(ONE, "a@b.c", "old")
    path.chmod(0o644)
    tokens.save(ONE, "a@b.c", "new")
    assert tokens.load(ONE) == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"token": "x"}', '{"api": "http://other", "token": "x"}'])
def test_a_file_that_is_damaged_or_anothers_is_no_token(text: str) -> None:
    tokens.save(ONE, "a@b.c", "x").write_text(text)
    assert tokens.load(ONE) is None


def test_a_folder_that_cannot_be_written_is_one_sentence(folders: Path) -> None:
    (folders / "config").write_text("a file where a folder should be")
    with pytest.raises(CommandFailed, match="the token cannot be kept in"):
        tokens.save(ONE, "a@b.c", "x")


def test_the_api_is_the_named_one_else_this_machines_else_port_3000(folders: Path) -> None:
    assert tokens.api_url(None) == "http://127.0.0.1:3000"
    ports = folders / "home" / "run" / "ports.json"
    ports.parent.mkdir(parents=True)
    ports.write_text(json.dumps({"api": 3007}))
    assert tokens.api_url(None) == "http://127.0.0.1:3007"
    assert tokens.api_url("https://api.example.org/") == "https://api.example.org"
    ports.write_text("[]")
    assert tokens.api_url(None) == "http://127.0.0.1:3000"


@pytest.mark.parametrize("given", ["localhost:3000", "ftp://x", "http://", "three thousand"])
def test_what_is_no_url_is_refused_as_wrong_usage(given: str) -> None:
    with pytest.raises(CommandFailed, match="no URL such as") as caught:
        tokens.api_url(given)
    assert caught.value.code == USAGE
