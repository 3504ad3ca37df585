"""Where a platform keeps itself, which settings it takes, which ports it keeps."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from drishtiksha.domain.errors import BadSettings
from drishtiksha_devcluster import dotenv, state
from drishtiksha_devcluster.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
NOTHING: dict[str, str] = {}


def test_the_state_folder_is_the_option_then_the_variable_then_the_checkout(tmp_path: Path) -> None:
    environment = {"DRISHTIKSHA_HOME": str(tmp_path / "b")}
    assert state.find_home(tmp_path / "a", environment) == tmp_path / "a"
    assert state.find_home(None, environment) == tmp_path / "b"
    assert state.find_home(None, NOTHING) == ROOT / ".drishtiksha"


def test_outside_of_a_checkout_it_is_the_users_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(state, "checkout", lambda: None)
    assert state.find_home(None, {"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "drishtiksha"


def test_a_folder_that_cannot_be_made_is_named_with_what_helps(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(state.StateFailed, match="name another with --home"):
        state.prepare(tmp_path / "file" / "home")


def test_the_template_in_the_package_is_the_one_people_see() -> None:
    assert (ROOT / ".env.example").read_text() == dotenv.template()


def test_every_setting_stands_in_the_template() -> None:
    from drishtiksha.settings import GROUPS, names_of

    text = dotenv.template()
    missing = sorted(name for name in names_of(*GROUPS) - {"NODE_ENV"} if f"{name}=" not in text)
    assert missing == []
    assert "NODE_ENV is the same" in text


def test_a_fresh_env_has_new_secrets_is_closed_to_others_and_is_never_overwritten(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    assert dotenv.make(first)
    assert dotenv.make(second)
    assert first.stat().st_mode & 0o777 == 0o600
    one, warnings = dotenv.read(first, NOTHING)
    other, _ = dotenv.read(second, NOTHING)
    assert warnings == []
    for name in ("JWT_SECRET", "DRISHTIKSHA_SIGNING_KEYS", "SERVER_API_KEY", dotenv.DATABASE_PASSWORD):
        assert len(one[name]) >= 32
        assert one[name] != other[name]
    assert "DATABASE_URL" not in one  # empty means: `up` brings its own
    before = first.read_text()
    assert dotenv.make(first) is False
    assert first.read_text() == before


def test_a_fresh_env_satisfies_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from drishtiksha import settings

    dotenv.make(tmp_path / ".env")
    for name, value in dotenv.read(tmp_path / ".env", NOTHING)[0].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", "postgresql://x@127.0.0.1/x")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1/0")
    monkeypatch.chdir(tmp_path)
    for group in settings.GROUPS:
        if group not in settings.BUCKETS.values():
            settings.load(group)


def test_the_callers_environment_wins_but_for_names_that_shells_set_by_themselves(tmp_path: Path) -> None:
    dotenv.make(tmp_path / ".env")
    found, _ = dotenv.read(tmp_path / ".env", {"PORT": "4000", "HOST": "elsewhere", "UNRELATED": "x"})
    assert found["PORT"] == "4000"
    assert "HOST" not in found
    assert "UNRELATED" not in found


def test_an_unknown_name_is_refused_a_retired_one_is_explained_and_an_empty_secret_has_a_cure(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    dotenv.make(file)
    genuine = file.read_text()
    file.write_text(genuine + "DRISHTIKSHA_MAX_ACTIVE_JOB=3\n")
    with pytest.raises(BadSettings, match="unknown setting DRISHTIKSHA_MAX_ACTIVE_JOB: check the spelling"):
        dotenv.read(file, NOTHING)
    file.write_text(genuine + "BCRYPT_ROUNDS=12\n")
    found, warnings = dotenv.read(file, NOTHING)
    assert warnings == [f"{file}: BCRYPT_ROUNDS is no longer used: passwords are hashed with argon2id"]
    assert "BCRYPT_ROUNDS" not in found
    file.write_text(genuine + "JWT_SECRET=\n")
    with pytest.raises(BadSettings, match="JWT_SECRET is empty: give it a value"):
        dotenv.read(file, NOTHING)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("export A=b", "b"),
        ("  A = b c  ", "b c"),
        ("A='b # c' # d", "b # c"),
        ('A="b"', "b"),
        ("A=b#c", "b#c"),
        ("A=b # c", "b"),
        ("A=", ""),
        ("A= # nothing", ""),
        ("A=x=y", "x=y"),
    ],
)
def test_a_line_of_env_is_read_as_people_mean_it(line: str, value: str) -> None:
    assert dotenv.parse(f"# comment\n\n{line}\n") == {"A": value}


def test_a_line_that_is_none_is_named_by_its_number() -> None:
    with pytest.raises(BadSettings, match=r"\.env, line 2: this is no NAME=value"):
        dotenv.parse("A=b\nnonsense\n")


def test_ports_are_kept_and_a_taken_one_is_chosen_anew(tmp_path: Path) -> None:
    state.prepare(tmp_path)
    names, wish = ("api", "one", "two"), free_port()
    first = state.choose_ports(tmp_path, names, wish=wish, in_use_by_us=False)
    assert first["api"] == wish
    assert len(set(first.numbers.values())) == 3
    assert state.choose_ports(tmp_path, names, wish=wish, in_use_by_us=False) == first
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", first["one"]))
        stranger.listen()
        assert state.choose_ports(tmp_path, names, wish=wish, in_use_by_us=True) == first
        second = state.choose_ports(tmp_path, names, wish=wish, in_use_by_us=False)
    assert second["one"] != first["one"]
    assert (second["api"], second["two"]) == (first["api"], first["two"])


def test_the_api_takes_the_next_free_port_when_its_wish_is_taken_and_another_wish_is_heard(tmp_path: Path) -> None:
    state.prepare(tmp_path)
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        wish = stranger.getsockname()[1]
        ports = state.choose_ports(tmp_path, ("api",), wish=wish, in_use_by_us=False)
        assert wish < ports["api"] < wish + 200
        assert ports["wished"] == wish
    other = free_port()
    assert state.choose_ports(tmp_path, ("api",), wish=other, in_use_by_us=True)["api"] == other


def test_a_broken_ports_file_is_made_anew(tmp_path: Path) -> None:
    state.prepare(tmp_path)
    (tmp_path / "run/ports.json").write_text("{nonsense")
    ports = state.choose_ports(tmp_path, ("api", "x"), wish=free_port(), in_use_by_us=False)
    assert json.loads((tmp_path / "run/ports.json").read_text()) == dict(ports.numbers)


def test_erasing_leaves_what_is_not_ours(tmp_path: Path) -> None:
    home = tmp_path / "home"
    state.prepare(home)
    (home / "env").write_text("")
    (home / "my-notes.txt").write_text("mine")
    state.erase(home)
    assert [path.name for path in home.iterdir()] == ["my-notes.txt"]
